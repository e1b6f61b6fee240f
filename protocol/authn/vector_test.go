package authn_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"concordat.dev/protocol/authn"
	"concordat.dev/protocol/key"
)

type vector struct {
	Seed    []byte            `json:"seed"`
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Body    string            `json:"body"`
	Headers map[string]string `json:"headers"`
	Message string            `json:"message"`
}

// The vectors are read by TypeScript too: what is signed for which request, and the headers.
func TestVectors(t *testing.T) {
	raw, err := os.ReadFile("../testdata/request.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		p, err := key.FromSeed(v.Seed)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(v.Method, v.URL, strings.NewReader(v.Body))
		for name, value := range v.Headers {
			r.Header.Set(name, value)
		}
		if got := base64.StdEncoding.EncodeToString(p.Sign([]byte(v.Message))); got != v.Headers[authn.HeaderSignature] {
			t.Errorf("%s: signature %s", v.URL, got)
		}
		verifier := authn.NewVerifier(authn.Config{Audience: ledger, Now: newClock().now})
		if got, err := verifier.Verify(r); err != nil || got != p.Public() {
			t.Errorf("%s: %v", v.URL, err)
		}
	}
}
