package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"concordat.dev/worker/recycle"
)

var schema = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: &arrow.FixedSizeBinaryType{ByteWidth: 16}},
	{Name: "b", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
	{Name: "i", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
	{Name: "l", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	{Name: "d", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "t", Type: arrow.FixedWidthTypes.Date32, Nullable: true},
	{Name: "ts", Type: &arrow.TimestampType{Unit: arrow.Microsecond}, Nullable: true},
}, nil)

// sentinel is in many rows; it must never be found in the store.
const sentinel = "SENTINEL-of-the-plaintext"

func batch(from, n int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i := from; i < from+n; i++ {
		b.Field(0).(*array.FixedSizeBinaryBuilder).Append([]byte(fmt.Sprintf("%016d", i)))
		if i%5 == 4 {
			for k := 1; k < 8; k++ {
				b.Field(k).AppendNull()
			}
			continue
		}
		b.Field(1).(*array.BooleanBuilder).Append(i%2 == 0)
		b.Field(2).(*array.Int32Builder).Append(int32(-i))
		b.Field(3).(*array.Int64Builder).Append(int64(i) << 40)
		b.Field(4).(*array.Float64Builder).Append(float64(i) / 3)
		b.Field(5).(*array.StringBuilder).Append(fmt.Sprint(sentinel, i%7))
		b.Field(6).(*array.Date32Builder).Append(arrow.Date32(i))
		b.Field(7).(*array.TimestampBuilder).Append(arrow.Timestamp(i * 1001))
	}
	return b.NewRecordBatch()
}

type fixture struct {
	store   *Store
	dir     string
	wrapper *Wrapper
	binding Binding
}

func room(t testing.TB) fixture {
	t.Helper()
	dir := t.TempDir()
	store, err := Open(context.Background(), "file://"+filepath.Join(dir, "objects"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	wrapper, err := NewWrapper(bytes.Repeat([]byte{9}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return fixture{store, dir, wrapper, Binding{Ledger: "1f", Collaboration: "study", Owner: "ed25519:k", Dataset: "clinic.patients", Version: 3}}
}

// seal writes batches of a thousand rows; perFile forces several files.
func (f fixture) seal(t testing.TB, rows int, perFile int) Sealed {
	t.Helper()
	w, err := NewWriter(t.Context(), f.store, f.wrapper, f.binding, schema)
	if err != nil {
		t.Fatal(err)
	}
	for from := 0; from < rows; from += 1000 {
		if err := w.Write(batch(from, min(1000, rows-from))); err != nil {
			t.Fatal(err)
		}
		if perFile > 0 && w.rows >= int64(perFile) {
			if err := w.flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	sealed, err := w.Seal()
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func (f fixture) read(t testing.TB, sealed Sealed) (rows int, err error) {
	t.Helper()
	r, err := NewReader(t.Context(), f.store, f.wrapper, f.binding, sealed, schema, 2)
	if err != nil {
		return 0, err
	}
	defer r.Release()
	for r.Next() {
		b := r.RecordBatch()
		want := batch(rows, int(b.NumRows()))
		if !array.RecordEqual(b, want) {
			t.Fatalf("rows from %d differ", rows)
		}
		want.Release()
		rows += int(b.NumRows())
	}
	return rows, r.Err()
}

func (f fixture) files(t testing.TB) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(f.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestRoundTrip(t *testing.T) {
	for _, c := range []struct{ rows, perFile, files int }{{0, 0, 1}, {1, 0, 1}, {70_000, 0, 1}, {10_500, 2000, 6}} {
		f := room(t)
		sealed := f.seal(t, c.rows, c.perFile)
		if got, err := f.read(t, sealed); err != nil || got != c.rows || sealed.Rows != int64(c.rows) || len(sealed.Objects) != c.files {
			t.Errorf("%d rows: read %d of %d in %d files: %v", c.rows, got, sealed.Rows, len(sealed.Objects), err)
		}
		for _, path := range f.files(t) {
			b, err := os.ReadFile(path)
			if err != nil || bytes.Contains(b, []byte(sentinel)) || !bytes.HasPrefix(b, []byte("PARE")) || !bytes.HasSuffix(b, []byte("PARE")) {
				t.Errorf("%s isn't an encrypted Parquet file (%v)", path, err)
			}
		}
	}
}

// Each byte of the file counts for the digest; even without it a change is an error or, in the magic and the key's id, changes no row.
func TestFlippedByte(t *testing.T) {
	f := room(t)
	sealed := f.seal(t, 50, 0)
	path := f.files(t)[0]
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := f.wrapper.Unwrap(FileKeys, f.binding, sealed.Wrap)
	if err != nil {
		t.Fatal(err)
	}
	drop := func(b arrow.RecordBatch) error { b.Release(); return nil }
	if err := decode(t.Context(), whole, Key(keys), schema, recycle.New(1<<20), drop); err != nil {
		t.Fatal(err)
	}
	want := batch(0, 50)
	for i := range whole {
		whole[i] ^= 1 << (i % 8)
		rows := 0
		err := decode(t.Context(), whole, Key(keys), schema, recycle.New(1<<20), func(b arrow.RecordBatch) error {
			if rows += int(b.NumRows()); !array.RecordEqual(b, want) {
				t.Errorf("byte %d of %d flipped, and other rows come", i, len(whole))
			}
			return nil
		})
		if err == nil && rows != 50 || err != nil && !errors.Is(err, ErrSealed) {
			t.Errorf("byte %d of %d flipped: %d rows, %v", i, len(whole), rows, err)
		}
		if i%37 == 0 {
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := f.read(t, sealed); !errors.Is(err, ErrSealed) || !strings.Contains(err.Error(), "SHA-256") {
				t.Errorf("byte %d flipped: %v", i, err)
			}
		}
		whole[i] ^= 1 << (i % 8)
	}
	for n := range len(whole) {
		if err := decode(t.Context(), whole[:n], Key(keys), schema, recycle.New(1<<20), drop); !errors.Is(err, ErrSealed) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if err := decode(t.Context(), whole, Key{}, schema, recycle.New(1<<20), drop); !errors.Is(err, ErrSealed) {
		t.Errorf("wrong key: %v", err)
	}
}

func TestForeignObjects(t *testing.T) {
	f := room(t)
	sealed := f.seal(t, 3000, 1000)
	for name, change := range map[string]func(s *Sealed){
		"order":   func(s *Sealed) { s.Objects[0], s.Objects[1] = s.Objects[1], s.Objects[0] },
		"missing": func(s *Sealed) { s.Objects = s.Objects[:2] },
		"twice":   func(s *Sealed) { s.Objects[0] = s.Objects[1] },
		"digest":  func(s *Sealed) { s.Digest = "sha256:" + s.Digest[8:] + "0" },
	} {
		s := sealed
		s.Objects = append([]string(nil), sealed.Objects...)
		change(&s)
		if _, err := f.read(t, s); !errors.Is(err, ErrSealed) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "digest" {
			continue
		}
		// Even a registry that agrees doesn't make keys fit other files.
		s.Digest, _ = DigestOf(s.Objects)
		if _, err := f.read(t, s); !errors.Is(err, ErrSealed) {
			t.Errorf("%s, registered: %v", name, err)
		}
	}
	first := f.files(t)[0]
	if err := os.Rename(f.files(t)[1], first); err != nil {
		t.Fatal(err)
	}
	if _, err := f.read(t, sealed); !errors.Is(err, ErrSealed) {
		t.Errorf("swapped file: %v", err)
	}
	if err := os.Truncate(first, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := f.read(t, sealed); !errors.Is(err, ErrSealed) {
		t.Errorf("truncated file: %v", err)
	}
	if err := os.Truncate(first, maxFile+1); err != nil {
		t.Fatal(err)
	}
	if _, err := f.read(t, sealed); !errors.Is(err, ErrTooLarge) {
		t.Errorf("huge file: %v", err)
	}
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	if _, err := f.read(t, sealed); !errors.Is(err, ErrMissing) {
		t.Errorf("no file: %v", err)
	}
}

func TestOtherColumns(t *testing.T) {
	f := room(t)
	sealed := f.seal(t, 10, 0)
	other := arrow.NewSchema(append([]arrow.Field{{Name: "uid", Type: schema.Field(0).Type}}, schema.Fields()[1:]...), nil)
	r, err := NewReader(t.Context(), f.store, f.wrapper, f.binding, sealed, other, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	if r.Next() || !errors.Is(r.Err(), ErrSealed) {
		t.Error("a file with other columns than the policy's was read:", r.Err())
	}
}

func TestWrap(t *testing.T) {
	f := room(t)
	wrap, err := f.wrapper.Wrap(FileKeys, f.binding, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.wrapper.Unwrap(FileKeys, f.binding, wrap); err != nil || string(got) != "secret" {
		t.Fatal(string(got), err)
	}
	for name, change := range map[string]func(*Binding){
		"ledger": func(b *Binding) { b.Ledger += "0" }, "collaboration": func(b *Binding) { b.Collaboration = "x" }, "owner": func(b *Binding) { b.Owner = "x" },
		"dataset": func(b *Binding) { b.Dataset = "x" }, "version": func(b *Binding) { b.Version++ },
	} {
		b := f.binding
		change(&b)
		if _, err := f.wrapper.Unwrap(FileKeys, b, wrap); !errors.Is(err, ErrWrap) {
			t.Errorf("other %s: %v", name, err)
		}
	}
	if _, err := f.wrapper.Unwrap(UploadIdentity, f.binding, wrap); !errors.Is(err, ErrWrap) {
		t.Errorf("other purpose: %v", err)
	}
	other, err := NewWrapper(bytes.Repeat([]byte{8}, 32))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Unwrap(FileKeys, f.binding, wrap); !errors.Is(err, ErrWrap) {
		t.Errorf("other root: %v", err)
	}
	for i := range wrap {
		wrap[i] ^= 1
		if _, err := f.wrapper.Unwrap(FileKeys, f.binding, wrap); !errors.Is(err, ErrWrap) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
		if _, err := f.wrapper.Unwrap(FileKeys, f.binding, wrap[:i]); !errors.Is(err, ErrWrap) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
		wrap[i] ^= 1
	}
}

func TestAbortLeavesNothing(t *testing.T) {
	f := room(t)
	ctx, cancel := context.WithCancel(t.Context())
	w, err := NewWriter(ctx, f.store, f.wrapper, f.binding, schema)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := w.Write(batch(0, 100)); err != nil {
			t.Fatal(err)
		}
		if err := w.flush(); err != nil {
			t.Fatal(err)
		}
	}
	w.work.Wait()
	if n := len(f.files(t)); n != 3 {
		t.Fatalf("%d files before", n)
	}
	cancel()
	if err := w.Write(batch(0, 100)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Seal(); !errors.Is(err, context.Canceled) {
		t.Errorf("sealed after its context ended: %v", err)
	}
	if left := f.files(t); len(left) > 0 {
		t.Errorf("left behind: %s", left)
	}
}

func TestResetStartsOver(t *testing.T) {
	f := room(t)
	w, err := NewWriter(t.Context(), f.store, f.wrapper, f.binding, schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(batch(500, 100)), w.flush(), w.Write(batch(700, 10)), w.Reset(), w.Write(batch(0, 20))); err != nil {
		t.Fatal(err)
	}
	sealed, err := w.Seal()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.read(t, sealed); n != 20 || err != nil || len(f.files(t)) != 1 {
		t.Errorf("%d rows, %v, files %s", n, err, f.files(t))
	}
}

func TestFolder(t *testing.T) {
	for _, name := range []string{"", "..", "a/b", `a\b`, "."} {
		if _, err := folder(Binding{Collaboration: "c", Dataset: name}); err == nil {
			t.Errorf("%q became part of a key", name)
		}
	}
}

// A reader that is let go early leaves no goroutine behind that waits for it.
func TestReleaseEarly(t *testing.T) {
	f := room(t)
	sealed := f.seal(t, 20_000, 1000)
	r, err := NewReader(t.Context(), f.store, f.wrapper, f.binding, sealed, schema, 2)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Next() {
		t.Fatal(r.Err())
	}
	r.Retain()
	r.Release()
	r.Release()
	r.work.Wait()
}

func FuzzDecode(f *testing.F) {
	b := batch(0, 30)
	var file bytes.Buffer
	if err := encode(&file, schema, []arrow.RecordBatch{b}, Key{1}); err != nil {
		f.Fatal(err)
	}
	body := file.Bytes()
	f.Add(body, true)
	f.Add(body[:len(body)/2], true)
	f.Add([]byte("PARE"), false)
	f.Fuzz(func(t *testing.T, data []byte, tail bool) {
		if tail && len(data) > 8 { // let the fuzzer past the magic
			data = append(append([]byte("PARE"), data...), "PARE"...)
		}
		err := decode(t.Context(), data, Key{1}, schema, recycle.New(1<<20), func(b arrow.RecordBatch) error { b.Release(); return nil })
		if err != nil && !errors.Is(err, ErrSealed) {
			t.Error(err)
		}
	})
}

func BenchmarkHouse(b *testing.B) {
	f := room(b)
	const n = 1 << 20
	one := batch(0, 1<<14)
	var sealed Sealed
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			w, err := NewWriter(context.Background(), f.store, f.wrapper, f.binding, schema)
			if err != nil {
				b.Fatal(err)
			}
			for range n >> 14 {
				one.Retain()
				if err := w.Write(one); err != nil {
					b.Fatal(err)
				}
			}
			if sealed, err = w.Seal(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			r, err := NewReader(context.Background(), f.store, f.wrapper, f.binding, sealed, schema, 2)
			if err != nil {
				b.Fatal(err)
			}
			for r.Next() {
			}
			if r.Err() != nil {
				b.Fatal(r.Err())
			}
			r.Release()
		}
		b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
}
