package key

import (
	"encoding/base64"
	"fmt"
	"strings"

	"concordat.dev/protocol/webauthn"
)

// A passkey is a P-256 key that lives in an authenticator and signs in browsers, on pages of one relying party: "webauthn:", the relying party's
// id (a host name), ":", and the standard base64 of the 65 bytes of its uncompressed point. It signs DSSE envelopes; requests it signs none.
const passkeyPrefix = "webauthn:" //nolint:gosec // G101: how the text of a public key begins

func parsePasskey(s, rest string) (Public, error) {
	rp, encoded, ok := strings.Cut(rest, ":")
	if !ok {
		return Public{}, fmt.Errorf("%w: %.80q: want %sHOST:BASE64", ErrMalformed, s, passkeyPrefix)
	}
	if err := webauthn.CheckRP(rp); err != nil {
		return Public{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	b, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || base64.StdEncoding.EncodeToString(b) != encoded {
		return Public{}, fmt.Errorf("%w: %.80q: not standard base64 with padding", ErrMalformed, s)
	}
	if err := webauthn.CheckPublic(b); err != nil {
		return Public{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return Public{raw: [32]byte(b[1:33]), y: [32]byte(b[33:]), rp: rp}, nil
}

// Passkey is the relying party of a passkey; ok is false for other keys.
func (p Public) Passkey() (rp string, ok bool) { return p.rp, p.rp != "" }

// point is the uncompressed point of a passkey (SEC 1, section 2.3.3).
func (p Public) point() []byte { return append(append([]byte{4}, p.raw[:]...), p.y[:]...) }
