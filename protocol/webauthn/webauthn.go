// Package webauthn verifies, offline, signatures that a passkey made in a browser (W3C Web Authentication Level 3, ES256): the challenge of the
// assertion is the digest of what is signed. No server has to have drawn it, and nothing but the key is needed to check it.
//
// Invariant: what Verify accepts is an assertion by this key, made with a person present and verified, on a page of this relying party that no
// other origin framed, over exactly this message.
//
// Sees: metadata
package webauthn

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"concordat.dev/protocol/canon"
)

// Limits, checked before anything else is looked at.
const (
	MaxAssertion     = 8 << 10
	maxClientData    = 2 << 10
	maxAuthenticator = 1 << 10
	maxRP            = 253
	// PublicSize is the length of a public key: an uncompressed point of P-256 (SEC 1, section 2.3.3).
	PublicSize = 65
)

// ErrInvalid says that an assertion does not count, or that text is no relying party or no key.
var ErrInvalid = errors.New("invalid passkey signature")

// Assertion is what a browser gives for navigator.credentials.get, as it stands in the sig of a DSSE signature: canonical JSON, each member
// in standard base64.
type Assertion struct {
	AuthenticatorData []byte `json:"authenticatorData"`
	ClientDataJSON    []byte `json:"clientDataJSON"`
	Signature         []byte `json:"signature"` // ES256: ECDSA on P-256 with SHA-256, in ASN.1 DER
}

// Marshal writes the one form of an assertion.
func (a Assertion) Marshal() ([]byte, error) { return canon.Marshal(a) }

// Parse reads what Marshal wrote, and nothing else.
func Parse(b []byte) (Assertion, error) {
	var a Assertion
	if len(b) > MaxAssertion {
		return a, fmt.Errorf("%w: %d bytes, at most %d", ErrInvalid, len(b), MaxAssertion)
	}
	if err := canon.Unmarshal(b, &a); err != nil {
		return a, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(a.ClientDataJSON) > maxClientData || len(a.AuthenticatorData) > maxAuthenticator {
		return a, fmt.Errorf("%w: too long", ErrInvalid)
	}
	return a, nil
}

var rpForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// CheckRP says what is wrong with the id of a relying party: a host name in lower case (international names in their ASCII form), no address.
func CheckRP(rp string) error {
	last := rp[strings.LastIndexByte(rp, '.')+1:]
	if len(rp) > maxRP || !rpForm.MatchString(rp) || strings.Trim(last, "0123456789") == "" {
		return fmt.Errorf("%w: %.80q is no host name in lower case", ErrInvalid, rp)
	}
	return nil
}

// CheckPublic says what is wrong with a public key: PublicSize bytes, beginning with 4, of a point of the curve.
func CheckPublic(public []byte) error {
	if _, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), public); err != nil {
		return fmt.Errorf("%w: not an uncompressed point of P-256: %w", ErrInvalid, err)
	}
	return nil
}

// Verify checks that sig is an assertion by the public key, for this relying party, whose challenge is the SHA-256 digest of message.
func Verify(rp string, public, message, sig []byte) error {
	a, err := Parse(sig)
	if err != nil {
		return err
	}
	k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), public)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := checkAuthenticator(a.AuthenticatorData, rp); err != nil {
		return err
	}
	challenge := sha256.Sum256(message)
	if err := checkClient(a.ClientDataJSON, challenge[:], rp); err != nil {
		return err
	}
	client := sha256.Sum256(a.ClientDataJSON)
	signed := sha256.Sum256(append(bytes.Clone(a.AuthenticatorData), client[:]...))
	if !ecdsa.VerifyASN1(k, signed[:], a.Signature) {
		return fmt.Errorf("%w: the signature does not verify", ErrInvalid)
	}
	return nil
}

// Flags of authenticator data (Level 3, section 6.1).
const (
	flagPresent    = 1 << 0
	flagVerified   = 1 << 2
	flagEligible   = 1 << 3
	flagBackedUp   = 1 << 4
	flagAttested   = 1 << 6
	flagExtensions = 1 << 7
	flagsReserved  = 1<<1 | 1<<5
)

const authenticatorSize = sha256.Size + 1 + 4 // digest of the relying party, flags, counter

func checkAuthenticator(data []byte, rp string) error {
	if len(data) < authenticatorSize {
		return fmt.Errorf("%w: authenticator data of %d bytes", ErrInvalid, len(data))
	}
	digest := sha256.Sum256([]byte(rp))
	flags := data[sha256.Size]
	switch {
	case !bytes.Equal(data[:sha256.Size], digest[:]):
		return fmt.Errorf("%w: it was made for another relying party than %s", ErrInvalid, rp)
	case flags&flagPresent == 0 || flags&flagVerified == 0:
		return fmt.Errorf("%w: nobody was there, or was not verified (by PIN or body)", ErrInvalid)
	case flags&(flagsReserved|flagAttested) != 0 || flags&flagBackedUp != 0 && flags&flagEligible == 0:
		return fmt.Errorf("%w: flags %#02x", ErrInvalid, flags)
	case (len(data) > authenticatorSize) != (flags&flagExtensions != 0):
		return fmt.Errorf("%w: %d bytes of authenticator data with flags %#02x", ErrInvalid, len(data), flags)
	}
	return nil
}

// Counter is the signature counter of an assertion, for whoever wants to keep it. Passkeys that are synchronised leave it 0.
func (a Assertion) Counter() uint32 {
	if len(a.AuthenticatorData) < authenticatorSize {
		return 0
	}
	return binary.BigEndian.Uint32(a.AuthenticatorData[sha256.Size+1:])
}

// checkClient compares the client data as the limited verification algorithm does (Level 3, section 5.8.1.2): its first members stand in one
// order and form, so that no parser has to be trusted.
func checkClient(data, challenge []byte, rp string) error {
	head := `{"type":"webauthn.get","challenge":"` + base64.RawURLEncoding.EncodeToString(challenge) + `","origin":"`
	rest, ok := strings.CutPrefix(string(data), head)
	if !ok || !json.Valid(data) {
		return fmt.Errorf("%w: the client data is not of this message", ErrInvalid)
	}
	origin, rest, ok := strings.Cut(rest, `"`)
	if !ok || !originOf(origin, rp) {
		return fmt.Errorf("%w: made on the page %.80q, which is not of %s", ErrInvalid, origin, rp)
	}
	rest = strings.TrimPrefix(rest, `,"crossOrigin":false`)
	if rest != "}" && !strings.HasPrefix(rest, ",") || strings.Contains(rest, "crossOrigin") || strings.Contains(rest, "topOrigin") {
		return fmt.Errorf("%w: made in a page that another origin framed", ErrInvalid)
	}
	return nil
}

// originOf says whether an origin may use a relying party's passkeys: https at its host or below, or a page of this very machine.
func originOf(origin, rp string) bool {
	rest, secure := strings.CutPrefix(origin, "https://")
	if !secure {
		var plain bool
		if rest, plain = strings.CutPrefix(origin, "http://"); !plain || rp != "localhost" {
			return false
		}
	}
	host, port, has := strings.Cut(rest, ":")
	if has && (port == "" || len(port) > 5 || strings.Trim(port, "0123456789") != "") {
		return false
	}
	return CheckRP(host) == nil && (host == rp || strings.HasSuffix(host, "."+rp))
}
