package upload_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"filippo.io/age"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/upload"
)

func encrypt(t testing.TB, id *age.HybridIdentity, h upload.Header, plain string) ([]byte, upload.Part) {
	t.Helper()
	var out bytes.Buffer
	p, err := upload.EncryptPart(&out, id.Recipient(), h, strings.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), p
}

func decrypt(id *age.HybridIdentity, h upload.Header, p upload.Part, ciphertext []byte) (string, error) {
	r, err := upload.DecryptPart(id, h, p, bytes.NewReader(ciphertext))
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), err
}

func TestPartComesBack(t *testing.T) {
	id, h := identity(t), target().Header(1)
	for _, n := range []int{0, 1, 1000, 1 << 16, 3<<16 + 5} {
		plain := strings.Repeat("x", n)
		c, p := encrypt(t, id, h, plain)
		if p.Size != int64(len(c)) || p.Digest != canon.Sum(c) {
			t.Errorf("%d bytes: the part says %d %s", n, p.Size, p.Digest)
		}
		if got, err := decrypt(id, h, p, c); err != nil || got != plain {
			t.Errorf("%d bytes: came back with %d, %v", n, len(got), err)
		}
		r, err := upload.DecryptPart(id, h, p, iotest.OneByteReader(bytes.NewReader(c)))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(iotest.OneByteReader(r)); err != nil || string(b) != plain {
			t.Errorf("%d bytes, one by one: %d, %v", n, len(b), err)
		}
	}
}

func TestPartRefuses(t *testing.T) {
	id, h := identity(t), target().Header(1)
	c, p := encrypt(t, id, h, "id,age\n1,20\n")
	c2, p2 := encrypt(t, id, h, "id,age\n1,99\n") // the host can encrypt to the recipient too
	for name, change := range map[string]func(*upload.Header){
		"number": func(h *upload.Header) { h.Number = 2 }, "upload": func(h *upload.Header) { h.Upload = "u2" },
		"dataset": func(h *upload.Header) { h.Dataset = "lab.tests" }, "version": func(h *upload.Header) { h.Version = 2 },
		"ledger": func(h *upload.Header) { h.Ledger = "x" }, "collaboration": func(h *upload.Header) { h.Collaboration = "x" },
	} {
		want := h
		change(&want)
		if _, err := decrypt(id, want, p, c); !errors.Is(err, upload.ErrPartHeader) {
			t.Errorf("other %s: %v", name, err)
		}
	}
	if _, err := decrypt(id, h, p, c2); !errors.Is(err, upload.ErrPartDigest) {
		t.Errorf("part of a stranger: %v", err)
	}
	if _, err := decrypt(id, h, upload.Part{Digest: p.Digest, Size: p.Size + 1}, c); !errors.Is(err, upload.ErrPartDigest) {
		t.Errorf("other size: %v", err)
	}
	if _, err := decrypt(id, h, p2, append(bytes.Clone(c2), 0)); err == nil {
		t.Error("a byte at the end is accepted")
	}
	if _, err := decrypt(identity(t), h, p, c); err == nil {
		t.Error("another identity decrypts")
	}
	var short bytes.Buffer
	w, err := age.Encrypt(&short, id.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := decrypt(id, h, upload.Part{Digest: canon.Sum(short.Bytes()), Size: int64(short.Len())}, short.Bytes()); !errors.Is(err, upload.ErrPartHeader) {
		t.Errorf("no header: %v", err)
	}
}

func TestNoBitOfAPartIsLoose(t *testing.T) {
	id, h := identity(t), target().Header(1)
	c, p := encrypt(t, id, h, "id,age\n1,20\n")
	for i := range c {
		b := bytes.Clone(c)
		b[i] ^= 1 << (i % 8)
		if _, err := decrypt(id, h, p, b); err == nil {
			t.Fatalf("byte %d is not bound", i)
		}
	}
	for n := range len(c) {
		if _, err := decrypt(id, h, p, c[:n]); err == nil {
			t.Fatalf("cut to %d bytes it is accepted", n)
		}
	}
}

func TestPartLimit(t *testing.T) {
	id := identity(t)
	exact, err := upload.EncryptPart(io.Discard, id.Recipient(), target().Header(1), io.LimitReader(zeros{}, upload.MaxPart))
	if err != nil || exact.Size > upload.MaxCiphertext {
		t.Fatal(exact, err)
	}
	if _, err := upload.EncryptPart(io.Discard, id.Recipient(), target().Header(1), io.LimitReader(zeros{}, upload.MaxPart+1)); !errors.Is(err, upload.ErrPartTooLarge) {
		t.Fatal(err)
	}
	long := target().Header(1)
	long.Upload = strings.Repeat("u", 2000)
	if _, err := upload.EncryptPart(io.Discard, id.Recipient(), long, strings.NewReader("")); !errors.Is(err, upload.ErrPartHeader) {
		t.Fatal(err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// The vectors are read by TypeScript too: identity, header, plaintext, ciphertext.
func TestPartVectors(t *testing.T) {
	raw, err := os.ReadFile("../testdata/part.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Identity   string
		Header     upload.Header
		Plaintext  string
		Ciphertext []byte
		Part       upload.Part
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		id, err := age.ParseHybridIdentity(v.Identity)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decrypt(id, v.Header, v.Part, v.Ciphertext); err != nil || got != v.Plaintext {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

func FuzzDecryptPart(f *testing.F) {
	id, h := identity(f), target().Header(1)
	c, p := encrypt(f, id, h, "id\n1\n")
	f.Add(c)
	f.Fuzz(func(t *testing.T, in []byte) {
		if got, err := decrypt(id, h, p, in); err == nil && !bytes.Equal(in, c) {
			t.Fatalf("accepted other bytes as %q", got)
		}
	})
}
