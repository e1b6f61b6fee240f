package token

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"concordat.dev/protocol/document"
)

func read[T any](t *testing.T, path string) []T {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var cases []T
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

func TestNormalizeVectors(t *testing.T) {
	type vector struct {
		Rules  document.Namespace
		Input  string
		Output *string
	}
	for _, c := range read[vector](t, "../../protocol/testdata/normalize.json") {
		normalize, err := NewNormalizer(c.Rules)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := normalize([]byte("kept"), []byte(c.Input))
		if string(got[:4]) != "kept" {
			t.Errorf("%+v %q: overwrote dst", c.Rules, c.Input)
		}
		got = got[4:]
		switch ok = ok && len(got) > 0; {
		case ok != (c.Output != nil):
			t.Errorf("%+v %q: accepted %v as %q", c.Rules, c.Input, ok, got)
		case ok && string(got) != *c.Output:
			t.Errorf("%+v %q: got %q, want %q", c.Rules, c.Input, got, *c.Output)
		}
	}
}

func TestTokenVectors(t *testing.T) {
	type vector struct {
		Root, Collaboration, Namespace, Identifier, Input, Token string
		Rules                                                    document.Namespace
	}
	for _, c := range read[vector](t, "testdata/token.json") {
		root, _ := hex.DecodeString(c.Root)
		tokenizer, err := NewIdentifier(root, c.Collaboration, c.Namespace, c.Identifier, c.Rules)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second use restores the state of the first
			tok, ok := tokenizer.Token([]byte(c.Input))
			if !ok || hex.EncodeToString(tok[:]) != c.Token {
				t.Errorf("%+v: got %x", c, tok)
			}
		}
		tok, _ := tokenizer.Clone().Token([]byte(c.Input))
		if hex.EncodeToString(tok[:]) != c.Token {
			t.Errorf("%+v: clone got %x", c, tok)
		}
	}
}

// The fast path is plain HMAC, for inputs on both sides of each block boundary.
func TestTokenIsHMAC(t *testing.T) {
	tokenizer, err := New(bytes.Repeat([]byte{7}, 32), "c", "n", document.Namespace{})
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 200; n++ {
		id := bytes.Repeat([]byte{'x'}, n)
		m := hmac.New(sha256.New, tokenizer.key)
		m.Write(id)
		tok, ok := tokenizer.Token(id)
		if !ok || !bytes.Equal(tok[:], m.Sum(nil)[:Size]) {
			t.Fatalf("length %d: %x", n, tok)
		}
	}
}

func TestTokenSeparation(t *testing.T) {
	root := bytes.Repeat([]byte{7}, 32)
	seen := map[Token]string{}
	for _, name := range [][2]string{{"ab", "c"}, {"a", "bc"}, {"abc", ""}, {"", "abc"}, {"c", "ab"}} {
		tokenizer, err := New(root, name[0], name[1], document.Namespace{})
		if err != nil {
			t.Fatal(err)
		}
		tok, _ := tokenizer.Token([]byte("7"))
		if other, ok := seen[tok]; ok {
			t.Errorf("%q has the token of %s", name, other)
		}
		seen[tok] = name[0] + "/" + name[1]
	}
}

// Another version, option, region or identifier gives other tokens, so that what was tokenised by other rules never matches in part.
func TestRulesAreInTheKey(t *testing.T) {
	root := bytes.Repeat([]byte{7}, 32)
	seen := map[Token]string{}
	rules := document.Namespace{Normalize: "email", Then: &document.Further{Name: "phone", Normalize: "email"}}
	for _, c := range []struct {
		identifier string
		rules      document.Namespace
	}{
		{"", document.Namespace{Normalize: "lower"}},
		{"", rules.First()},
		{"", document.Namespace{Normalize: "email", Options: []string{document.GmailDots}}},
		{"", document.Namespace{Normalize: "email", Options: []string{document.GmailDots, document.PlusTags}}},
		{"", document.Namespace{Normalize: "email", Prehashed: document.SHA256HexOrPlain}},
		{"phone", rules},
	} {
		tokenizer, err := NewIdentifier(root, "c", "n", c.identifier, c.rules)
		if err != nil {
			t.Fatal(err)
		}
		tok, ok := tokenizer.Token([]byte("ann@mail.example"))
		if other, taken := seen[tok]; taken || !ok {
			t.Errorf("%+v has the token of %s", c, other)
		}
		seen[tok] = fmt.Sprintf("%+v", c)
	}
	token := func(rules document.Namespace) Token {
		tokenizer, err := New(root, "c", "n", rules)
		if err != nil {
			t.Fatal(err)
		}
		tok, _ := tokenizer.Token([]byte("ann@mail.example"))
		return tok
	}
	explicit := document.Namespace{Normalize: "email", Version: 1, Options: []string{document.PlusTags, document.GmailDots}}
	if token(explicit) != token(document.Namespace{Normalize: "email", Options: []string{document.GmailDots, document.PlusTags}}) {
		t.Error("the same rules, written otherwise, give another token")
	}
	if token(rules) != token(rules.First()) {
		t.Error("a second identifier changes tokens of the first")
	}
	if _, err := NewIdentifier(root, "c", "n", "loyalty", rules); !errors.Is(err, ErrNormalize) {
		t.Errorf("unknown identifier: %v", err)
	}
}

func TestTokenRefuses(t *testing.T) {
	if _, err := New(make([]byte, 31), "c", "n", document.Namespace{}); !errors.Is(err, ErrRoot) {
		t.Errorf("short root: %v", err)
	}
	for _, rules := range []document.Namespace{{Normalize: "soundex"}, {Prehashed: "md5"}, {Version: 2}, {Normalize: "email", Options: []string{"dots"}}} {
		if _, err := New(make([]byte, 32), "c", "n", rules); !errors.Is(err, ErrNormalize) {
			t.Errorf("%+v: %v", rules, err)
		}
	}
	tokenizer, _ := New(make([]byte, 32), "c", "n", document.Namespace{Normalize: "trim"})
	for _, id := range []string{"", "  ", "\xff", string(make([]byte, MaxIdentifier+1))} {
		if _, ok := tokenizer.Token([]byte(id)); ok {
			t.Errorf("%.10q has a token", id)
		}
	}
}

func TestRankDependsOnAll(t *testing.T) {
	a, _ := New(bytes.Repeat([]byte{1}, 32), "c", "n", document.Namespace{})
	b, _ := New(bytes.Repeat([]byte{2}, 32), "c", "n", document.Namespace{})
	base := a.Rank(Token{1}, 1)
	if base != a.Rank(Token{1}, 1) || base == a.Rank(Token{1}, 2) || base == a.Rank(Token{2}, 1) || base == b.Rank(Token{1}, 1) {
		t.Error("rank isn't a keyed hash of unit and row")
	}
}

func BenchmarkToken(b *testing.B) {
	for name, c := range map[string]struct{ id, normalize, prehashed string }{
		"number": {"1234567", "trim", ""},
		"email":  {"Person0012345@mail.example", "email", ""},
		"phone":  {"+49 30 901820", "phone_e164", ""},
		"hex":    {"b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9", "", "sha256_hex"},
	} {
		b.Run(name, func(b *testing.B) {
			t, err := New(make([]byte, 32), "c", "n", document.Namespace{Normalize: c.normalize, Prehashed: c.prehashed})
			if err != nil {
				b.Fatal(err)
			}
			id := []byte(c.id)
			b.ReportAllocs()
			for b.Loop() {
				t.Token(id)
			}
		})
	}
}

// Each byte in each of the eight places is judged as one alone would be.
func TestHexDigits(t *testing.T) {
	n, err := NewNormalizer(document.Namespace{Prehashed: "sha256_hex"})
	if err != nil {
		t.Fatal(err)
	}
	for place := range 8 {
		for c := range 256 {
			id := bytes.Repeat([]byte("aF09"), 16)
			id[place] = byte(c)
			got, ok := n(nil, id)
			_, err := hex.DecodeString(string(id))
			if ok != (err == nil) || ok && string(got) != strings.ToLower(string(id)) {
				t.Fatalf("byte %#x in place %d: %v %q", c, place, ok, got)
			}
		}
	}
}
