package keyrelease

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

var errNoHardware = errors.New("no hardware")

// quoted stands for hardware: a quote that holds the digest of what was quoted.
func quoted(data []byte) ([]byte, error) {
	sum := sha256.Sum256(data)
	return append([]byte("quote of "), sum[:]...), nil
}

func TestRelease(t *testing.T) {
	secretFile := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secretFile, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	key := bytes.Repeat([]byte{7}, 32)
	for name, c := range map[string]struct {
		change func(*cloud, *azure)
		want   error
		calls  int // 0: 3
	}{
		"managed identity":            {},
		"managed identity by its id":  {change: func(_ *cloud, a *azure) { a.cfg.Identity.Managed = "11-22" }},
		"an application":              {change: func(_ *cloud, a *azure) { a.cfg.Identity = Identity{Tenant: "t", Client: "c", SecretFile: secretFile} }},
		"busy, then well":             {change: func(c *cloud, _ *azure) { c.busy = 3 }, calls: 6},
		"busy for too long":           {change: func(c *cloud, _ *azure) { c.busy = 4 }, want: errBusy, calls: 4},
		"a redirection":               {change: func(c *cloud, _ *azure) { c.status = http.StatusTemporaryRedirect }, want: errDenied, calls: 1},
		"policy not met":              {change: func(c *cloud, _ *azure) { c.denied = true }, want: errDenied},
		"no hardware":                 {change: func(_ *cloud, a *azure) { a.quote = func([]byte) ([]byte, error) { return nil, errNoHardware } }, want: errNoHardware, calls: -1},
		"a server of another name":    {change: func(c *cloud, _ *azure) { c.signer = newAuthority(t).issue(t, "other.example") }, want: errSigned},
		"a vault of other roots":      {change: func(c *cloud, _ *azure) { c.signer = newAuthority(t).issue(t, "127.0.0.1") }, want: errSigned},
		"not signed":                  {change: func(c *cloud, _ *azure) { c.spoil = func(s string) string { return s[:len(s)-4] + "AAAA" } }, want: errSigned},
		"another key":                 {change: func(c *cloud, _ *azure) { c.kid = "https://127.0.0.1/keys/other/00" }, want: errAnswer},
		"the answer to another":       {change: func(c *cloud, _ *azure) { c.nonce = "other" }, want: errAnswer},
		"wrapped with SHA-1":          {change: func(c *cloud, _ *azure) { c.enc = "CKM_RSA_AES_KEY_WRAP" }, want: errAnswer},
		"a key of an unknown type":    {change: func(c *cloud, _ *azure) { c.kty = "okp" }, want: errAnswer},
		"wrapped for somebody else":   {change: func(c *cloud, _ *azure) { c.other = true }, want: errWrap},
		"an answer without an end":    {change: func(c *cloud, _ *azure) { c.long = true }, want: errAnswer, calls: 1},
		"more than one JSON document": {change: func(c *cloud, _ *azure) { c.trailing = true }, want: errAnswer, calls: 1},
	} {
		t.Run(name, func(t *testing.T) {
			cloud, a := newCloud(t, key)
			if c.change != nil {
				c.change(cloud, &a)
			}
			got, err := a.Release(t.Context())
			if !errors.Is(err, c.want) && (err == nil || !errors.Is(c.want, errBusy)) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if c.want == nil && !bytes.Equal(got, key) {
				t.Errorf("released %x", got)
			}
			calls := c.calls
			if calls == 0 {
				calls = 3
			}
			if n := len(cloud.seen); n != max(calls, 0) {
				t.Errorf("%d calls (%v), want %d", n, cloud.seen, calls)
			}
			if c.want == nil && c.calls == 0 && !slices.Equal(cloud.seen, []string{"attest", cloud.signIn(a), "release"}) {
				t.Errorf("calls in the order %v", cloud.seen)
			}
		})
	}
}

func TestWaits(t *testing.T) {
	cloud, a := newCloud(t, bytes.Repeat([]byte{7}, 32))
	cloud.busy, cloud.after = 3, "7"
	var waited []time.Duration
	a.call.wait = func(_ context.Context, d time.Duration) error {
		waited = append(waited, d)
		return nil
	}
	if _, err := a.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(waited, []time.Duration{7 * time.Second, 7 * time.Second, 7 * time.Second}) {
		t.Errorf("waited %v, though the server said how long", waited)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Release(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	if err := pause(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("waited on: %v", err)
	}
}

// TestKeyWrap holds the unwrapping against the vectors of RFC 5649, section 6.
func TestKeyWrap(t *testing.T) {
	kek := unhex(t, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8")
	for plain, wrapped := range map[string]string{
		"c37b7e6492584340bed12207808941155068f738": "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a",
		"466f7250617369": "afbeb0f07dfbf5419200f2ccb50bb24f",
	} {
		got, err := unwrapPadded(kek, unhex(t, wrapped))
		if err != nil || !bytes.Equal(got, unhex(t, plain)) {
			t.Errorf("%s opens as %x, %v", wrapped, got, err)
		}
		for i := range unhex(t, wrapped) {
			changed := unhex(t, wrapped)
			changed[i] ^= 1
			if _, err := unwrapPadded(kek, changed); !errors.Is(err, errWrap) {
				t.Errorf("%s: byte %d is not bound: %v", wrapped, i, err)
			}
		}
	}
	for _, n := range []int{0, 8, 15, 17, 8200} {
		if _, err := unwrapPadded(kek, make([]byte, n)); !errors.Is(err, errWrap) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	for n := 1; n < 70; n++ { // the other side, as the test's vault wraps
		plain := make([]byte, n)
		_, _ = rand.Read(plain)
		if got, err := unwrapPadded(kek, wrapPadded(t, kek, plain)); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes: %x, %v", n, got, err)
		}
	}
}

func FuzzUnwrap(f *testing.F) {
	f.Add(make([]byte, 24))
	f.Add(base64ed("r76w8H379UGSAPLMtQuyTw"))
	f.Fuzz(func(t *testing.T, wrapped []byte) {
		if got, err := unwrapPadded(make([]byte, 32), wrapped); err == nil && len(got) > len(wrapped)-8 {
			t.Fatal("more came out than went in")
		}
	})
}

func base64ed(s string) []byte {
	b, _ := base64.RawStdEncoding.DecodeString(s)
	return b
}
