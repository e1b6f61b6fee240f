package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"testing"
	"time"

	"concordat.dev/policies/budget"
)

// Every field that a query, an entry or a reservation has, or will have, comes back from its record.
func TestRecords(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a repeatable walk
	for range 200 {
		var q, backQ Query
		var e, backE Entry
		var v budget.Reservation
		var c Command
		var rec, backRec Record
		told, back := Reserved{Answer: &Query{}, Short: &Shortage{}}, Reserved{}
		for _, p := range []any{&q, &e, &v, &c, &told.Query, told.Answer, told.Short, &told.Review, &rec} {
			fill(reflect.ValueOf(p).Elem(), r)
		}
		q.pays = "p"
		if err := backQ.read(q.record(), names{}); err != nil || !alike(&q, &backQ) || backQ.pays != "p" {
			t.Errorf("query: %v\n%+v\n%+v", err, q, backQ)
		}
		if err := backE.read(e.record(), nil); err != nil || !alike(&e, &backE) {
			t.Errorf("entry: %v\n%+v\n%+v", err, e, backE)
		}
		if backV, err := readReservation(recordOf(&v), names{}); err != nil || !alike(&v, backV) {
			t.Errorf("reservation: %v\n%+v\n%+v", err, v, backV)
		}
		if err := backRec.read(rec.record(), nil); err != nil || !alike(&rec, &backRec) {
			t.Errorf("record: %v\n%+v\n%+v", err, rec, backRec)
		}
		if err := back.read(told.record(), nil); err != nil || !alike(&told, &back) {
			t.Errorf("reserved: %v\n%+v\n%+v", err, told, back)
		}
		var raw record
		raw.text(1, c.Kind)
		raw.raw(2, []byte{7})
		raw.number(3, c.Time)
		raw.raw(4, c.Salt)
		raw.raw(5, c.Body)
		raw.raw(6, c.Record)
		c.V, c.ID = 0, "07"
		if got := decodeCommand(1, append([]byte{commandRecord}, raw...)); fmt.Sprint(got) != fmt.Sprint(c) {
			t.Errorf("command:\n%+v\n%+v", c, got)
		}
	}
}

// fill gives every exported field a value, or leaves it out now and then.
func fill(v reflect.Value, r *rand.Rand) {
	if at, ok := v.Addr().Interface().(*time.Time); ok {
		*at = time.Unix(r.Int64N(1e10)-5e9, 1e6).UTC()
		return
	}
	if r.IntN(10) == 0 && v.Kind() != reflect.Struct {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprint("s", r.Uint32()))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(r.Uint64())) //nolint:gosec // any number
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(r.Uint32()))
	case reflect.Float64:
		v.SetFloat(r.NormFloat64())
	case reflect.Uint8:
		v.SetUint(uint64(r.Uint32() % 256))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1+r.IntN(3), 3))
		for i := range v.Len() {
			fill(v.Index(i), r)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && v.Type().Field(i).Tag.Get("json") != "-" || v.Type() == reflect.TypeFor[Command]() {
				fill(v.Field(i), r)
			}
		}
	default:
		panic("fill: " + v.Type().String())
	}
}

// alike compares two values in JSON, where no list and an empty one are told apart; records do not.
func alike(a, b any) bool {
	var out [2]any
	for i, v := range []any{a, b} {
		raw, err := json.Marshal(v)
		if err != nil || json.Unmarshal(raw, &out[i]) != nil {
			return false
		}
		out[i] = withoutEmpty(out[i])
	}
	return reflect.DeepEqual(out[0], out[1])
}

func withoutEmpty(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			if v[k] = withoutEmpty(inner); v[k] == nil || v[k] == "" {
				delete(v, k)
			}
		}
	case []any:
		for i := range v {
			v[i] = withoutEmpty(v[i])
		}
		if len(v) == 0 {
			return nil
		}
	}
	return v
}

func FuzzRecord(f *testing.F) {
	q := Query{ID: "q", SQL: []byte("x"), Datasets: []DatasetRef{{"a", 1, "d"}}, Price: []Price{{Owner: "o"}}, At: time.Unix(5, 0)}
	f.Add(q.record())
	f.Fuzz(func(t *testing.T, b []byte) {
		var first, second Query
		if first.read(b, nil) != nil {
			return
		}
		if err := second.read(first.record(), nil); err != nil || !alike(&first, &second) {
			t.Errorf("%+v came back as %+v: %v", first, second, err)
		}
	})
}

// A snapshot of the first form, which an earlier build wrote, is read, and says the same when it is written in the present one.
func TestFirstSnapshot(t *testing.T) {
	first, err := os.ReadFile("first/snapshot-v1.json")
	if err != nil {
		t.Fatal(err)
	}
	m := New()
	if _, err := m.Restore(bytes.NewReader(first)); err != nil {
		t.Fatal(err)
	}
	write, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var second bytes.Buffer
	if err := write(&second); err != nil {
		t.Fatal(err)
	}
	again := New()
	if _, err := again.Restore(bytes.NewReader(second.Bytes())); err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(m.s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(again.s)
	if err != nil || !alike(json.RawMessage(want), json.RawMessage(got)) || !alike(json.RawMessage(first), json.RawMessage(want)) {
		t.Errorf("%v\n%s\n%s", err, want, got)
	}
	for n := 0; n < second.Len(); n += 211 { // cut anywhere, it is no snapshot
		if _, err := New().Restore(bytes.NewReader(second.Bytes()[:n])); err == nil {
			t.Fatalf("%d of %d bytes were taken for a snapshot", n, second.Len())
		}
	}
}
