package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/apache/arrow-go/v18/arrow/array"

	"concordat.dev/protocol/document"
	"concordat.dev/protocol/upload"
	"concordat.dev/worker/ingest"
	"concordat.dev/worker/storage"
)

// desk is an upload of one file in parts, with a store to seal it into.
type desk struct {
	options ingest.Options
	parts   ingest.Parts
	wrapper *storage.Wrapper
	binding storage.Binding
}

var target = upload.Target{Ledger: "1f", Collaboration: "study", Manifest: "sha256:x", Dataset: "clinic.patients", Version: 2, Upload: "u1"}

// newDesk encrypts text in parts of size bytes for target and stores them.
func newDesk(t *testing.T, file string, size int) *desk {
	t.Helper()
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	store, err := storage.Open(t.Context(), "mem://")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	wrapper, err := storage.NewWrapper(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{
		options: options(t, policy(true, map[string]document.Column{"n": {Type: "integer", Role: "measure"}})),
		parts:   ingest.Parts{Store: store, Statement: upload.Statement{Target: target}, Identity: identity},
		wrapper: wrapper,
		binding: storage.Binding{Ledger: "1f", Collaboration: "study", Owner: "ed25519:k", Dataset: "clinic.patients", Version: 2},
	}
	for from := 0; from < len(file); from += size {
		n := uint32(len(d.parts.Keys) + 1)
		d.put(t, target.Header(n), file[from:min(from+size, len(file))])
	}
	return d
}

// put appends a part, whatever its header says.
func (d *desk) put(t *testing.T, h upload.Header, text string) {
	t.Helper()
	var body bytes.Buffer
	part, err := upload.EncryptPart(&body, d.parts.Identity.(*age.HybridIdentity).Recipient(), h, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	key := fmt.Sprint("uploads/u1/", len(d.parts.Keys)+1)
	if err := d.parts.Store.Put(t.Context(), key, body.Bytes()); err != nil {
		t.Fatal(err)
	}
	d.parts.Keys = append(d.parts.Keys, key)
	d.parts.Statement.Parts = append(d.parts.Statement.Parts, part)
}

func (d *desk) seal(t *testing.T) (storage.Sealed, ingest.Report, error) {
	t.Helper()
	return ingest.Seal(t.Context(), d.options, d.parts, d.parts.Store, d.wrapper, d.binding)
}

func (d *desk) sealed(t *testing.T) []string {
	t.Helper()
	keys, err := d.parts.Store.List(context.Background(), "datasets/")
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func file(rows int) string {
	var b strings.Builder
	b.WriteString("id,n\n")
	for i := range rows {
		fmt.Fprintf(&b, "%d,%d\n", i, i)
	}
	return b.String()
}

func TestSeal(t *testing.T) {
	for _, size := range []int{100_000, 999, 1 << 20} {
		d := newDesk(t, file(20_000), size)
		sealed, report, err := d.seal(t)
		if err != nil {
			t.Fatal(err)
		}
		schema, _ := ingest.Schema(d.options.Policy)
		tokens, err := storage.NewReader(t.Context(), d.parts.Store, d.wrapper, d.binding, sealed, schema, 0)
		if err != nil {
			t.Fatal(err)
		}
		r, err := ingest.Numbered(tokens, "id")
		if err != nil {
			t.Fatal(err)
		}
		rows, seen := 0, map[int32]bool{} // in which order rows are sealed is the storage's affair
		for r.Next() {
			b := r.RecordBatch()
			for i := range int(b.NumRows()) {
				n := b.Column(1).(*array.Int32).Value(i)
				tok, _ := d.options.Tokenizer.Token(fmt.Append(nil, n))
				if b.Column(0).(*array.Int64).Value(i) != tok.ID() || seen[n] {
					t.Fatalf("the row of %d differs, or is there twice", n)
				}
				seen[n] = true
				rows++
			}
		}
		if r.Err() != nil || rows != 20_000 || report.Rows != 20_000 || report.Units != 20_000 || !slices.Equal(d.sealed(t), sealed.Objects) {
			t.Errorf("%d rows, %v, %+v, %s", rows, r.Err(), report, d.sealed(t))
		}
		r.Release()
		tokens.Release()
	}
}

func TestSealRefuses(t *testing.T) {
	flip := func(part, at int) func(*testing.T, *desk) {
		return func(t *testing.T, d *desk) {
			body, err := d.parts.Store.Get(t.Context(), d.parts.Keys[part], 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			body[(at+len(body))%len(body)] ^= 4
			if err := d.parts.Store.Put(t.Context(), d.parts.Keys[part], body); err != nil {
				t.Fatal(err)
			}
		}
	}
	// foreign signs for a part whose header belongs elsewhere, as a steward with an old or mixed-up client might.
	foreign := func(change func(*upload.Header)) func(*testing.T, *desk) {
		return func(t *testing.T, d *desk) {
			h := target.Header(uint32(len(d.parts.Keys) + 1))
			change(&h)
			d.put(t, h, "99999,1\n")
		}
	}
	for name, c := range map[string]struct {
		change func(*testing.T, *desk)
		want   string
	}{
		"missing":    {func(t *testing.T, d *desk) { _ = d.parts.Store.Delete(t.Context(), d.parts.Keys[1]) }, "part 2 of 4 is missing"},
		"fewer keys": {func(_ *testing.T, d *desk) { d.parts.Keys = d.parts.Keys[:3] }, "names 4 parts, 3 are there"},
		"none":       {func(_ *testing.T, d *desk) { d.parts.Keys, d.parts.Statement.Parts = nil, nil }, "0 parts"},
		"order":      {func(_ *testing.T, d *desk) { k := d.parts.Keys; k[1], k[2] = k[2], k[1] }, "part 3 lies in the place of part 2 of 4"},
		"signed order": {func(_ *testing.T, d *desk) {
			k, p := d.parts.Keys, d.parts.Statement.Parts
			k[1], k[2], p[1], p[2] = k[2], k[1], p[2], p[1]
		}, "part 2 of 4 is the signed one, but not of this upload"},
		"repeated":        {func(_ *testing.T, d *desk) { d.parts.Keys[2] = d.parts.Keys[1] }, "part 2 lies in the place of part 3 of 4"},
		"bit in header":   {flip(0, 10), "part 1 of 4 was changed"},
		"bit in text":     {flip(2, 2500), "part 3 of 4 was changed"},
		"bit at the end":  {flip(3, -1), "part 4 of 4 was changed"},
		"other ledger":    {foreign(func(h *upload.Header) { h.Ledger = "20" }), "part 5 of 5 is the signed one, but not of this upload"},
		"other dataset":   {foreign(func(h *upload.Header) { h.Dataset = "clinic.others" }), "part 5 of 5 is the signed one"},
		"other version":   {foreign(func(h *upload.Header) { h.Version = 1 }), "part 5 of 5 is the signed one"},
		"other upload":    {foreign(func(h *upload.Header) { h.Upload = "u0" }), "part 5 of 5 is the signed one"},
		"other study":     {foreign(func(h *upload.Header) { h.Collaboration = "x" }), "part 5 of 5 is the signed one"},
		"other statement": {func(_ *testing.T, d *desk) { d.parts.Statement.Version = 3 }, "part 1 of 4 is the signed one, but not of this upload"},
		"other recipient": {func(t *testing.T, d *desk) {
			var err error
			if d.parts.Identity, err = age.GenerateHybridIdentity(); err != nil {
				t.Fatal(err)
			}
		}, "part 1 of 4 is the signed one, but not of this upload"},
		"other bytes, well encrypted": {func(t *testing.T, d *desk) {
			keys, parts := d.parts.Keys, d.parts.Statement.Parts
			d.parts.Keys = keys[:3:3]
			d.put(t, target.Header(4), "20001,5\n") // lands on the key of part 4, but the steward signed another
			d.parts.Keys, d.parts.Statement.Parts = keys, parts
		}, "part 4 of 4 was changed"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, file(2000), 5000)
			c.change(t, d)
			sealed, _, err := d.seal(t)
			if !errors.Is(err, ingest.ErrPart) || !strings.Contains(err.Error(), c.want) || sealed.Objects != nil {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if left := d.sealed(t); len(left) > 0 {
				t.Errorf("left behind: %s", left)
			}
		})
	}
}

func TestSealRejectsRows(t *testing.T) {
	d := newDesk(t, file(2000)+"7,1\n8,x\n", 5000)
	_, report, err := d.seal(t)
	if !errors.Is(err, ingest.ErrRejected) || report.Accepted || len(report.Errors) != 2 || report.Errors[0].Row != 2001 || report.Errors[1].Row != 2002 {
		t.Errorf("%v %+v", err, report)
	}
	if left := d.sealed(t); len(left) > 0 {
		t.Errorf("left behind: %s", left)
	}
}

// A unit above the cap makes ingest read the upload twice; what is sealed is the second reading alone.
func TestSealTwoPasses(t *testing.T) {
	var b strings.Builder
	b.WriteString("id,n\n")
	for i := range 400_000 {
		fmt.Fprintf(&b, "%d,%d\n", i%100, i)
	}
	d := newDesk(t, b.String(), 1<<20)
	d.options = options(t, policy(false, map[string]document.Column{"n": {Type: "integer", Role: "measure"}}))
	d.options.Policy.MaxRows = 3000
	sealed, report, err := d.seal(t)
	if err != nil {
		t.Fatal(err)
	}
	if sealed.Rows != 300_000 || report.Dropped.Excess != 100_000 || report.Dropped.ExcessUnits != 100 || !slices.Equal(d.sealed(t), sealed.Objects) {
		t.Errorf("%d rows, %+v, %s", sealed.Rows, report, d.sealed(t))
	}
}

func TestSealCancelled(t *testing.T) {
	d := newDesk(t, file(2000), 5000)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := ingest.Seal(ctx, d.options, d.parts, d.parts.Store, d.wrapper, d.binding); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if left := d.sealed(t); len(left) > 0 {
		t.Errorf("left behind: %s", left)
	}
}

// FuzzParts hands the enclave a part that anybody may have put into the store.
func FuzzParts(f *testing.F) {
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		f.Fatal(err)
	}
	var body bytes.Buffer
	part, err := upload.EncryptPart(&body, identity.Recipient(), target.Header(1), strings.NewReader(file(10)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body.Bytes()[:200])
	f.Add([]byte("age-encryption.org/v1\n-> X25519 "))
	f.Fuzz(func(t *testing.T, data []byte) {
		store, err := storage.Open(t.Context(), "mem://")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = store.Close() }()
		if err := store.Put(t.Context(), "p", data); err != nil {
			t.Fatal(err)
		}
		parts := ingest.Parts{Store: store, Keys: []string{"p"}, Statement: upload.Statement{Target: target, Parts: []upload.Part{part}}, Identity: identity}
		r, err := parts.Sources()[0](t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Close() }()
		if _, err := io.Copy(io.Discard, r); !errors.Is(err, ingest.ErrPart) && !bytes.Equal(data, body.Bytes()) {
			t.Errorf("foreign bytes give %v", err)
		}
	})
}
