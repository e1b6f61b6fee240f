// Package login is the token by which a program that cannot sign each request, such as a client of Flight SQL, asks queries for a person: the
// person's key signed for which ledger and until when. Whoever holds it can ask what the person could ask until then, and nothing else: it is
// kept like a password.
//
// Invariant: a token that Verify accepted was signed by the key that it names, for this ledger and for queries, and has not expired. It can be read
// in one way only.
//
// Sees: metadata
package login

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/key"
)

const (
	// PayloadType is the DSSE payload type of logins.
	PayloadType = "application/vnd.concordat.login+json"
	// Type is the only value of a login's type.
	Type = "concordat.dev/login/v1"
	// Audience is what tokens are for: queries, what they would cost, and the schema.
	Audience = "query"
	// MaxLife is the longest that a token can count.
	MaxLife = 24 * time.Hour
	// MaxSize bounds a token in bytes.
	MaxSize = 4096

	prefix    = "concordat1."
	tolerance = time.Minute // between the clocks of person and coordinator
	nonceSize = 16
)

// The reasons for which a token is not accepted.
var (
	ErrMalformed = errors.New("not a login token: make one with `concordat token`")
	ErrLedger    = errors.New("the login token is for another ledger")
	ErrExpired   = errors.New("the login token has expired: make another with `concordat token`")
	ErrPasskey   = errors.New("a passkey signs statements in browsers, and no login tokens: use a key of `concordat key new`")
	ErrLife      = fmt.Errorf("a login token counts for at most %s", MaxLife)
)

// Login is what is signed, as canonical JSON. Times are RFC 3339 in UTC with whole seconds.
type Login struct {
	Type     string `json:"type"`
	Audience string `json:"audience"`
	Ledger   string `json:"ledger"`
	Issued   string `json:"issued"`
	Expires  string `json:"expires"`
	Nonce    string `json:"nonce"`
}

// Issue makes the token of a person's key that counts from now for a time.
func Issue(k key.Private, ledger string, now time.Time, life time.Duration) (string, error) {
	if life <= 0 || life > MaxLife {
		return "", ErrLife
	}
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce)
	now = now.UTC().Truncate(time.Second)
	payload, err := canon.Marshal(Login{
		Type: Type, Audience: Audience, Ledger: ledger, Issued: now.Format(time.RFC3339), Expires: now.Add(life).Format(time.RFC3339), Nonce: hex.EncodeToString(nonce),
	})
	if err != nil {
		return "", fmt.Errorf("make a login token: %w", err)
	}
	raw, err := dsse.Sign(PayloadType, payload, k).Marshal()
	if err != nil {
		return "", fmt.Errorf("make a login token: %w", err)
	}
	return prefix + base64.RawURLEncoding.EncodeToString(raw), nil
}

// ID names a token in logs, to which it gives no access: the first 16 hex digits of its SHA-256.
func ID(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:8])
}

// Verify returns the key that signed a token, and when it expires.
func Verify(token, ledger string, now time.Time) (key.Public, time.Time, error) {
	e, l, err := parse(token)
	if err != nil {
		return key.Public{}, time.Time{}, err
	}
	if l.Ledger != ledger {
		return key.Public{}, time.Time{}, ErrLedger
	}
	issued, expires, err := l.times()
	switch {
	case err != nil:
		return key.Public{}, time.Time{}, err
	case now.Before(issued.Add(-tolerance)) || !now.Before(expires):
		return key.Public{}, time.Time{}, ErrExpired
	}
	k, err := key.ParsePublic(e.Signatures[0].KeyID)
	if err != nil {
		return key.Public{}, time.Time{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if _, passkey := k.Passkey(); passkey { // a hosted page could have it sign what the person does not see
		return key.Public{}, time.Time{}, ErrPasskey
	}
	if _, err := e.Verify(PayloadType, []key.Public{k}); err != nil {
		return key.Public{}, time.Time{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return k, expires, nil
}

func parse(token string) (dsse.Envelope, Login, error) {
	encoded, ok := strings.CutPrefix(token, prefix)
	if !ok || len(token) > MaxSize {
		return dsse.Envelope{}, Login{}, ErrMalformed
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return dsse.Envelope{}, Login{}, ErrMalformed
	}
	e, err := dsse.Parse(raw)
	if err != nil || len(e.Signatures) != 1 {
		return dsse.Envelope{}, Login{}, ErrMalformed
	}
	var l Login
	if err := canon.Unmarshal(e.Payload, &l); err != nil || l.Type != Type || l.Audience != Audience {
		return dsse.Envelope{}, Login{}, ErrMalformed
	}
	return e, l, nil
}

func (l Login) times() (issued, expires time.Time, err error) {
	issued, err = time.Parse(time.RFC3339, l.Issued)
	if err != nil {
		return issued, expires, ErrMalformed
	}
	if expires, err = time.Parse(time.RFC3339, l.Expires); err != nil {
		return issued, expires, ErrMalformed
	}
	if life := expires.Sub(issued); life <= 0 || life > MaxLife {
		return issued, expires, ErrLife
	}
	return issued, expires, nil
}
