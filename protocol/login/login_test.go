package login_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/login"
)

const ledger = "00112233445566778899aabbccddeeff"

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestVerify(t *testing.T) {
	k, err := key.Generate()
	if err != nil {
		t.Fatal(err)
	}
	token, err := login.Issue(k, ledger, noon, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Duration]error{
		0: nil, time.Hour - time.Second: nil, -time.Minute: nil, time.Hour: login.ErrExpired, -61 * time.Second: login.ErrExpired,
	} {
		got, _, err := login.Verify(token, ledger, noon.Add(at))
		if !errors.Is(err, want) || want == nil && got != k.Public() {
			t.Errorf("at %v: %v %v", at, got, err)
		}
	}
	if _, _, err := login.Verify(token, strings.Repeat("f", 32), noon); !errors.Is(err, login.ErrLedger) {
		t.Errorf("another ledger: %v", err)
	}
	for i := range token {
		changed := []byte(token)
		if changed[i]++; changed[i] == token[i] {
			continue
		}
		if _, _, err := login.Verify(string(changed), ledger, noon); err == nil {
			t.Fatalf("accepted with byte %d changed", i)
		}
	}
}

func TestWhatIsNoLogin(t *testing.T) {
	k, err := key.Generate()
	if err != nil {
		t.Fatal(err)
	}
	good := login.Login{
		Type: login.Type, Audience: login.Audience, Ledger: ledger, Issued: noon.Format(time.RFC3339), Expires: noon.Add(time.Hour).Format(time.RFC3339), Nonce: "00",
	}
	sign := func(payloadType string, change func(*login.Login)) string {
		l := good
		change(&l)
		payload, err := canon.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := dsse.Sign(payloadType, payload, k).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return "concordat1." + base64.RawURLEncoding.EncodeToString(raw)
	}
	if _, _, err := login.Verify(sign(login.PayloadType, func(*login.Login) {}), ledger, noon); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"empty":            "",
		"no prefix":        "Bearer x",
		"too long":         "concordat1." + strings.Repeat("A", login.MaxSize),
		"another payload":  sign("application/vnd.concordat.statement+json", func(*login.Login) {}),
		"another type":     sign(login.PayloadType, func(l *login.Login) { l.Type = "other" }),
		"another audience": sign(login.PayloadType, func(l *login.Login) { l.Audience = "upload" }),
		"two days":         sign(login.PayloadType, func(l *login.Login) { l.Expires = noon.Add(48 * time.Hour).Format(time.RFC3339) }),
		"backwards":        sign(login.PayloadType, func(l *login.Login) { l.Expires = noon.Add(-time.Second).Format(time.RFC3339) }),
		"no time":          sign(login.PayloadType, func(l *login.Login) { l.Issued = "now" }),
	} {
		if _, _, err := login.Verify(token, ledger, noon); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := login.Issue(k, ledger, noon, 25*time.Hour); !errors.Is(err, login.ErrLife) {
		t.Errorf("a token for 25 hours: %v", err)
	}
}
