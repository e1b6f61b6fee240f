package key_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concordat.dev/protocol/key"
)

func newKey(t *testing.T) key.Private {
	t.Helper()
	p, err := key.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTextAndSignature(t *testing.T) {
	p := newKey(t)
	pub, err := key.ParsePublic(p.Public().String())
	if err != nil || pub != p.Public() {
		t.Fatal(pub, err)
	}
	sig := p.Sign([]byte("m"))
	if !pub.Verify([]byte("m"), sig) || pub.Verify([]byte("n"), sig) || pub.Verify([]byte("m"), sig[:63]) || (key.Public{}).Verify([]byte("m"), sig) {
		t.Fatal("signature check is wrong")
	}
}

func TestParsePublicRefuses(t *testing.T) {
	good := newKey(t).Public().String()
	body := strings.TrimPrefix(good, "ed25519:")
	b64 := func(b []byte) string { return "ed25519:" + base64.StdEncoding.EncodeToString(b) }
	small := make([]byte, 32)
	small[0] = 1 // the identity
	notCanonical := make([]byte, 32)
	for i := range notCanonical {
		notCanonical[i] = 0xff
	}
	notCanonical[0], notCanonical[31] = 0xee, 0x7f // p + 1 encodes y = 1
	for name, s := range map[string]string{
		"empty": "", "no prefix": body, "other prefix": "ed448:" + body, "no padding": strings.TrimRight(good, "="),
		"space": good + " ", "newline inside": good[:20] + "\n" + good[20:], "short": b64(make([]byte, 31)), "long": b64(make([]byte, 33)),
		"small order": b64(small), "zero": b64(make([]byte, 32)), "not canonical": b64(notCanonical),
	} {
		if _, err := key.ParsePublic(s); !errors.Is(err, key.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k")
	p := newKey(t)
	if err := p.Save(path); err != nil {
		t.Fatal(err)
	}
	if err := newKey(t).Save(path); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("overwrote: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info.Mode(), err)
	}
	q, err := key.Load(path)
	if err != nil || q.Public() != p.Public() {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := key.Load(path); !errors.Is(err, key.ErrExposed) {
		t.Fatalf("loaded an exposed key: %v", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	seed := "ed25519-seed:" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\n"
	for name, text := range map[string]string{
		"empty": "", "comment only": "# x\n", "two keys": seed + seed, "other line": seed + "x\n", "short": "ed25519-seed:AAAA\n", "huge": strings.Repeat("#\n", 4096) + seed,
	} {
		path := filepath.Join(t.TempDir(), "k")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := key.Load(path); !errors.Is(err, key.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPrivateNeverPrints(t *testing.T) {
	p := newKey(t)
	seed := p.Ed25519().Seed()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		if out := fmt.Sprintf(verb, p); out != p.String() || strings.Contains(out, fmt.Sprintf("%x", seed)) {
			t.Errorf("%s prints %s", verb, out)
		}
	}
}

func FuzzParsePublic(f *testing.F) {
	f.Add("ed25519:AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := key.ParsePublic(s); err == nil && p.String() != s {
			t.Fatalf("%q has a second form %q", s, p.String())
		}
	})
}
