package maa_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/evidence/maa"
)

// TestGenuineToken checks a token that Azure Attestation issued (testdata/README.md).
func TestGenuineToken(t *testing.T) {
	token, err := os.ReadFile("testdata/sharedwus.jwt")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile("testdata/sharedwus.json")
	if err != nil {
		t.Fatal(err)
	}
	trust, err := maa.ReadTrust(raw)
	if err != nil {
		t.Fatal(err)
	}
	v, err := maa.New(trust)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(string(token), ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var times struct{ Nbf, Exp int64 }
	if err := json.Unmarshal(payload, &times); err != nil {
		t.Fatal(err)
	}
	e := evidence.Evidence{Kind: evidence.MAA, Report: token}
	r, err := v.Verify(e, time.Unix(times.Nbf, 0))
	if err != nil {
		t.Fatal(err)
	}
	data, err := hex.DecodeString("ed11a9eb97dfc17053a32a6992e71d04f7ec996e45519ab710936afb48f9041d")
	if err != nil {
		t.Fatal(err)
	}
	want := evidence.Want{Measurement: "b779202618becb636768e5d902f28d524222735fafb539ea9ba07c3fc171a1c2", Data: data}
	if err := r.Check(want, false); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(e, time.Unix(times.Exp, 0)); !errors.Is(err, evidence.ErrCollateral) {
		t.Errorf("years later: %v", err)
	}
	e.Report = []byte(strings.Replace(string(token), ".e", ".f", 1))
	if _, err := v.Verify(e, time.Unix(times.Nbf, 0)); err == nil {
		t.Error("a changed token was accepted")
	}
}
