package store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concordat.dev/coordinator/seal"
	"concordat.dev/coordinator/store"
	"concordat.dev/protocol/canon"
)

var keys = seal.NewRing(bytes.Repeat([]byte{7}, 32))

func open(t *testing.T) (*store.Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "objects")
	s, err := store.Open(t.Context(), "file://"+dir)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s, dir
}

func TestPartsAreKeptWithTheirDigestOrNotAtAll(t *testing.T) {
	s, _ := open(t)
	ctx := t.Context()
	put := func(n uint32, body, digestOf string) error {
		return s.PutPart(ctx, "u1", n, canon.Sum([]byte(digestOf)), strings.NewReader(body))
	}
	must(t, put(2, "two", "two"))
	must(t, put(1, "one", "one"))
	must(t, put(1, "one", "one")) // again
	if err := put(3, "three", "other"); !errors.Is(err, store.ErrDigest) {
		t.Errorf("wrong digest: %v", err)
	}
	if err := put(2, "damaged", "changed"); !errors.Is(err, store.ErrDigest) {
		t.Errorf("wrong digest over a kept part: %v", err)
	}
	broken := io.MultiReader(strings.NewReader("thr"), failing{})
	if err := s.PutPart(ctx, "u1", 3, canon.Sum([]byte("three")), broken); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("interrupted: %v", err)
	}
	parts, err := s.Parts(ctx, "u1")
	must(t, err)
	if len(parts) != 2 || parts[0].Number != 1 || parts[1].Digest != canon.Sum([]byte("two")) || parts[1].Size != 3 {
		t.Fatalf("parts %+v", parts)
	}
	must(t, put(2, "new two", "new two"))
	if parts, err = s.Parts(ctx, "u1"); err != nil || len(parts) != 3 || parts[1].Number != 2 || parts[2].Number != 2 ||
		parts[1].Digest != canon.Sum([]byte("new two")) && parts[2].Digest != canon.Sum([]byte("new two")) {
		t.Fatalf("a part sent anew: %+v %v", parts, err)
	}
	if other, err := s.Parts(ctx, "u"); err != nil || len(other) != 0 {
		t.Fatalf("parts of another upload: %+v %v", other, err)
	}
	must(t, s.DropUpload(ctx, "u1"))
	if parts, err := s.Parts(ctx, "u1"); err != nil || len(parts) != 0 {
		t.Fatalf("parts after the drop: %+v %v", parts, err)
	}
}

func TestPartTooLarge(t *testing.T) {
	s, _ := open(t)
	if err := s.PutPart(t.Context(), "u1", 1, canon.Sum(nil), zeros{}); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("endless part: %v", err)
	}
}

func TestReleaseIsSealedToItsName(t *testing.T) {
	s, dir := open(t)
	ctx := t.Context()
	name, digest, err := s.PutRelease(ctx, keys, "q1", "a", []byte("aggregate 4711"))
	must(t, err)
	other, otherDigest, err := s.PutRelease(ctx, keys, "q2", "a", []byte("another"))
	must(t, err)
	if got, err := s.Release(ctx, keys, name, digest); err != nil || string(got) != "aggregate 4711" {
		t.Fatalf("%q %v", got, err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, name)) //nolint:gosec // test files
	must(t, err)
	if bytes.Contains(raw, []byte("4711")) {
		t.Fatal("a release lies in clear")
	}
	if _, err := s.Release(ctx, keys, name, otherDigest); !errors.Is(err, store.ErrDigest) {
		t.Errorf("another digest: %v", err)
	}
	must(t, os.WriteFile(filepath.Join(dir, other), raw, 0o600))
	if _, err := s.Release(ctx, keys, other, digest); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("one release under another's name: %v", err)
	}
	must(t, s.Delete(context.WithoutCancel(ctx), name, "releases/none/x"))
	if _, err := s.Release(ctx, keys, name, digest); !errors.Is(err, store.ErrMissing) {
		t.Errorf("deleted: %v", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSweepKeepsWhatIsRegistered(t *testing.T) {
	s, _ := open(t)
	ctx := t.Context()
	for n := uint32(1); n <= 3; n++ {
		body := []byte{byte(n)}
		if err := s.PutPart(ctx, "u1", n, canon.Sum(body), bytes.NewReader(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sweep(ctx, "uploads/u1", []string{store.PartKey("u1", 2, canon.Sum([]byte{2}))}); err != nil {
		t.Fatal(err)
	}
	parts, err := s.Parts(ctx, "u1")
	if err != nil || len(parts) != 1 || parts[0].Number != 2 {
		t.Errorf("after the sweep there are %v: %v", parts, err)
	}
	if err := s.Sweep(ctx, "uploads/u", nil); err != nil { // a folder is a folder, not a prefix of names
		t.Fatal(err)
	}
	if parts, err := s.Parts(ctx, "u1"); err != nil || len(parts) != 1 {
		t.Errorf("a sweep of another folder left %v: %v", parts, err)
	}
}
