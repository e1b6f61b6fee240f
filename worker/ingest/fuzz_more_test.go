package ingest_test

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"concordat.dev/worker/ingest"
)

// mostAllocated is more than any small file may make the readers allocate: one piece of the largest allowed size, and what a pass needs.
const mostAllocated = 1 << 30

// bounded fails when the work allocates more than mostAllocated in all.
func bounded(t *testing.T, work func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	work()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > mostAllocated {
		t.Errorf("%d bytes were allocated", n)
	}
}

// FuzzPacked hands gzip and zstd to the reader of texts.
func FuzzPacked(f *testing.F) {
	for _, text := range []string{visitsCSV, `{"id":"u1","n":1}` + "\n", "id\n"} {
		var z bytes.Buffer
		g := gzip.NewWriter(&z)
		if _, err := io.WriteString(g, text); err != nil || g.Close() != nil {
			f.Fatal(err)
		}
		f.Add(z.Bytes())
		w, err := zstd.NewWriter(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(w.EncodeAll([]byte(text), nil))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, magic := range []string{"", "\x1f\x8b\x08", "\x28\xb5\x2f\xfd"} { // let the fuzzer past the magic
			o := options(t, visits())
			o.Tolerance, o.Parallel = 1<<20, 1
			bounded(t, func() {
				c, report, err := ingest.All(t.Context(), o, raw(append([]byte(magic), file...)))
				if err == nil && report.Rows > report.Read {
					t.Errorf("%+v", report)
				}
				if c != nil {
					_ = c.Reset() // never fails
				}
			})
		}
	})
}

// FuzzTwoIdentifiers compares units with those of a plain reading of docs/adr/0023-two-identifiers.md. Each byte is a row: its upper half the email, its lower half the
// number, 0 for none.
func FuzzTwoIdentifiers(f *testing.F) {
	f.Add([]byte{0x11, 0x01, 0x22, 0x21, 0x02})
	f.Add([]byte{0x11, 0x12, 0x13, 0x14, 0x15, 0x01, 0x25, 0x05, 0x00})
	f.Fuzz(func(t *testing.T, rows []byte) {
		var b strings.Builder
		b.WriteString("id,mobile,n\n")
		for i, r := range rows {
			id, mobile := "", ""
			if r>>4 != 0 {
				id = fmt.Sprintf("m%d@m.de", r>>4)
			}
			if r&15 != 0 {
				mobile = fmt.Sprintf("+49 30 9018%02d", r&15)
			}
			fmt.Fprintf(&b, "%s,%s,%d\n", id, mobile, i)
		}
		o := contacts(t)
		c, report, err := ingest.All(t.Context(), o, text(b.String()))
		if err != nil {
			t.Fatal(err)
		}
		var emails, numbers []string
		for i := range 16 {
			emails, numbers = append(emails, fmt.Sprintf("m%d@m.de", i)), append(numbers, fmt.Sprintf("+49 30 9018%02d", i))
		}
		got := whose(t, o, c, emails, numbers)
		want, shared, none := persons(rows)
		if !slices.Equal(got, want) || report.Dropped.SharedUnit != shared || report.Dropped.NoUnit != none {
			t.Errorf("%x: %q, want %q; %+v", rows, got, want, report.Dropped)
		}
	})
}

// persons is what each row counts under, slowly.
func persons(rows []byte) (out []string, shared, none int64) {
	beside := func(email byte) (numbers []byte) {
		for _, r := range rows {
			if n := r & 15; r>>4 == email && n != 0 && !slices.Contains(numbers, n) {
				numbers = append(numbers, n)
			}
		}
		return numbers
	}
	for i, r := range rows {
		email, number := r>>4, r&15
		switch {
		case email != 0:
			out = append(out, fmt.Sprintf("m%d@m.de %d", email, i))
			continue
		case number == 0:
			none++
			continue
		}
		var owners []byte
		for e := byte(1); e < 16; e++ {
			if all := beside(e); slices.Contains(all, number) && len(all) <= 4 {
				owners = append(owners, e)
			}
		}
		switch len(owners) {
		case 0:
			out = append(out, fmt.Sprintf("+49 30 9018%02d %d", number, i))
		case 1:
			out = append(out, fmt.Sprintf("m%d@m.de %d", owners[0], i))
		default:
			shared++
		}
	}
	return out, shared, none
}

// A file of a few bytes that claims much is refused before it is believed.
func TestSmallFilesNeedLittle(t *testing.T) {
	batch := visitsBatch(t)
	defer batch.Release()
	for _, file := range [][]byte{parquetFile(t, batch, 2), arrowStream(t, batch), arrowFile(t, batch)} {
		for i := range file {
			bent := bytes.Clone(file)
			bent[i] = 0xff
			bounded(t, func() {
				if c, _, err := ingest.All(t.Context(), options(t, visits()), anywhere(bent)); err == nil {
					_ = c.Reset()
				}
			})
			if i > 400 {
				break
			}
		}
	}
}
