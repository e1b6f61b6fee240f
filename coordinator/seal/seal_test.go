package seal_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"concordat.dev/coordinator/seal"
)

func root(t *testing.T, b byte) seal.Root {
	t.Helper()
	r, err := seal.NewRoot(bytes.Repeat([]byte{b}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestOpensUnderItsKeyAndContextOnly(t *testing.T) {
	k := root(t, 1).Key(seal.Raft)
	sealed := k.Seal([]byte("entry"), "a")
	if got, err := k.Open(sealed, "a"); err != nil || string(got) != "entry" {
		t.Fatalf("%q %v", got, err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"context": func() ([]byte, error) { return k.Open(sealed, "b") },
		"label":   func() ([]byte, error) { return root(t, 1).Key(seal.Snap).Open(sealed, "a") },
		"secret":  func() ([]byte, error) { return root(t, 2).Key(seal.Raft).Open(sealed, "a") },
		"short":   func() ([]byte, error) { return k.Open(sealed[:5], "a") },
	} {
		if _, err := open(); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := k.Open(bad, "a"); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
}

func TestStream(t *testing.T) {
	const mib = 1 << 20
	k := root(t, 1).Key(seal.Snap)
	for _, size := range []int{0, 1, mib - 1, mib, mib + 1, 3*mib + 17} {
		plain := bytes.Repeat([]byte("0123456"), size/7+1)[:size]
		var out bytes.Buffer
		w, err := k.Writer(&out)
		must(t, err)
		_, err = w.Write(plain[:size/3])
		must(t, err)
		_, err = w.Write(plain[size/3:])
		must(t, err)
		must(t, w.Close())
		sealed := out.Bytes()
		if got, err := openAll(k, sealed); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes came back as %d: %v", size, len(got), err)
		}
		cuts := map[string][]byte{"cut": sealed[:len(sealed)-1], "longer": append(bytes.Clone(sealed), 0), "no salt": sealed[:10]}
		if size > 2*mib {
			piece := mib + 16
			cuts["last piece missing"] = sealed[:32+3*piece]
			cuts["first piece missing"] = append(bytes.Clone(sealed[:32]), sealed[32+piece:]...)
		}
		for name, bad := range cuts {
			if _, err := openAll(k, bad); !errors.Is(err, seal.ErrOpen) {
				t.Errorf("%d bytes, %s: %v", size, name, err)
			}
		}
	}
}

func openAll(k seal.Key, sealed []byte) ([]byte, error) {
	r, err := k.Reader(bytes.NewReader(sealed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
