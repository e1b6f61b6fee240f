package login_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/login"
)

type vector struct {
	Name    string    `json:"name"`
	Seed    []byte    `json:"seed"`
	Payload string    `json:"payload"`
	Token   string    `json:"token"`
	Ledger  string    `json:"ledger"` // of the server
	Now     time.Time `json:"now"`    // at the server
	Error   string    `json:"error"`  // none where the token counts
}

var reasons = map[string]error{"": nil, "ledger": login.ErrLedger, "expired": login.ErrExpired, "life": login.ErrLife, "malformed": login.ErrMalformed}

// The vectors are read by Python too, which makes tokens: the bytes of a token, and why a server does not take it.
func TestVectors(t *testing.T) {
	raw, err := os.ReadFile("../testdata/login.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) < 5 {
		t.Fatalf("%d vectors", len(vectors))
	}
	for _, v := range vectors {
		k, err := key.FromSeed(v.Seed)
		if err != nil {
			t.Fatal(err)
		}
		envelope, err := dsse.Sign(login.PayloadType, []byte(v.Payload), k).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if want := "concordat1." + base64.RawURLEncoding.EncodeToString(envelope); v.Token != want {
			t.Errorf("%s: the token is %s", v.Name, want)
		}
		want, known := reasons[v.Error]
		got, _, err := login.Verify(v.Token, v.Ledger, v.Now)
		if !known || !errors.Is(err, want) || want == nil && got != k.Public() {
			t.Errorf("%s: %v %v, want %q", v.Name, got, err, v.Error)
		}
	}
}

// A passkey signs what a page asks it to: it makes no tokens, whatever its signature is worth.
func TestNoTokensOfPasskeys(t *testing.T) {
	raw, err := os.ReadFile("../testdata/webauthn.json")
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(raw), "webauthn:")
	id, _, _ := strings.Cut(string(raw)[at:], `"`)
	payload := `{"audience":"query","expires":"2026-11-23T13:00:00Z","issued":"2026-11-23T12:00:00Z","ledger":"` + ledger + `","nonce":"00","type":"concordat.dev/login/v1"}`
	envelope, err := dsse.Envelope{PayloadType: login.PayloadType, Payload: []byte(payload), Signatures: []dsse.Signature{{KeyID: id, Sig: []byte("any")}}}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := login.Verify("concordat1."+base64.RawURLEncoding.EncodeToString(envelope), ledger, noon); !errors.Is(err, login.ErrPasskey) {
		t.Errorf("%s: %v", id, err)
	}
}
