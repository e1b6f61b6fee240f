package receipt_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"concordat.dev/protocol/document"
	"concordat.dev/protocol/receipt"
	"concordat.dev/protocol/receipt/receipttest"
)

// TestNoFieldIsLoose takes a receipt that has all there can be, and changes each field of its JSON, whatever its depth: it is left out, emptied, of another
// type, swapped with its neighbour, doubled, or cut. None of these verifies, unless it is the same receipt in other words. Documents and result are one
// field each: they are held to digests of their bytes.
func TestNoFieldIsLoose(t *testing.T) {
	w := receipttest.New(t)
	a, b := receipttest.NewWitness(t, "a.example"), receipttest.NewWitness(t, "b.example")
	w.Bundle.Manifest.Witnesses = &document.Witnesses{Keys: []string{a.VKey(), b.VKey()}, Quorum: 2}
	w.Cosign = append(w.Cosign, a, b)
	w.SSH(t)
	w.Passkey(t)
	w.SGX(t, nil)
	r, o := w.Receipt(t)
	if report := receipt.Verify(r, o); !report.OK() {
		t.Fatal(report)
	}
	good, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(good, &tree); err != nil {
		t.Fatal(err)
	}
	fields, parsed := 0, 0
	vary(tree, "", func(path string, whole any) {
		if slices.Contains(sameReceipt, path) {
			return
		}
		fields++
		raw, err := json.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		r, err := receipt.Parse(raw)
		if err != nil {
			return
		}
		parsed++
		if again, err := r.Marshal(); err == nil && bytes.Equal(again, good) {
			return // an empty field that may be left out
		}
		if report := receipt.Verify(r, o); report.OK() {
			t.Errorf("%s is not bound\n%s", path, report)
		}
	}, func(changed any) any { return changed })
	t.Logf("%d changes, of which %d were read", fields, parsed)
	if parsed < 100 {
		t.Errorf("only %d of %d changes were read as receipts", parsed, fields)
	}
}

// sameReceipt are changes that change nothing of what is said: signatures and policies are looked up, in whatever order they come; and a text that is left
// out is reported as not shown.
var sameReceipt = []string{
	": without sql", ".approvals: twice 0", ".approvals: twice 1", ".approvals: swapped 1",
}

// vary tells each change of a value, within the whole that in makes of it.
func vary(value any, path string, tell func(string, any), in func(any) any) {
	change := func(how string, changed any) { tell(path+": "+how, in(changed)) }
	switch v := value.(type) {
	case map[string]any:
		change("emptied", map[string]any{})
		for _, name := range slices.Sorted(maps.Keys(v)) {
			without := maps.Clone(v)
			delete(without, name)
			change("without "+name, without)
			if path == "" && slices.Contains([]string{"manifest", "policies", "result"}, name) {
				continue
			}
			vary(v[name], path+"."+name, tell, func(changed any) any {
				with := maps.Clone(v)
				with[name] = changed
				return in(with)
			})
		}
	case []any:
		change("emptied", []any{})
		for i := range v {
			change(fmt.Sprint("without ", i), slices.Delete(slices.Clone(v), i, i+1))
			change(fmt.Sprint("twice ", i), slices.Insert(slices.Clone(v), i, v[i]))
			if i > 0 {
				swapped := slices.Clone(v)
				swapped[i-1], swapped[i] = v[i], v[i-1]
				change(fmt.Sprint("swapped ", i), swapped)
			}
			vary(v[i], fmt.Sprint(path, "[", i, "]"), tell, func(changed any) any {
				with := slices.Clone(v)
				with[i] = changed
				return in(with)
			})
		}
	case string:
		change("empty", "")
		change("longer", v+"A")
		change("a number", 1)
		if v != "" {
			change("cut", v[:len(v)-1])
		}
	case float64:
		change("more", v+1)
		change("less", v-1)
		change("zero", 0)
		change("text", fmt.Sprint(v))
	}
	change("null", nil)
}
