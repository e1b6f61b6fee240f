package canon

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

const digestPrefix = "sha256:"

// Digest is a SHA-256 in text: "sha256:" and 64 lower-case hex digits. The empty Digest stands for none.
type Digest string

// Sum is the digest of b.
func Sum(b []byte) Digest {
	return Of(sha256.Sum256(b))
}

// Of writes a SHA-256 that was computed elsewhere, for instance over a stream.
func Of(sum [sha256.Size]byte) Digest {
	return Digest(digestPrefix + hex.EncodeToString(sum[:]))
}

// SumValue is the digest of the canonical JSON of v.
func SumValue(v any) (Digest, error) {
	b, err := Marshal(v)
	if err != nil {
		return "", err
	}
	return Sum(b), nil
}

// ParseDigest accepts exactly the form that Sum writes.
func ParseDigest(s string) (Digest, error) {
	rest, ok := strings.CutPrefix(s, digestPrefix)
	if !ok || len(rest) != 2*sha256.Size {
		return "", fmt.Errorf("digest %.80q: want %q and 64 hex digits", s, digestPrefix)
	}
	for _, c := range rest {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", fmt.Errorf("digest %.80q: want lower-case hex digits after %q", s, digestPrefix)
		}
	}
	return Digest(s), nil
}

// Valid says whether d is a digest that ParseDigest accepts. The empty Digest is not.
func (d Digest) Valid() bool {
	_, err := ParseDigest(string(d))
	return err == nil
}

// Raw is the hash itself. It panics on a Digest that is not Valid: check first what comes from outside.
func (d Digest) Raw() [sha256.Size]byte {
	if _, err := ParseDigest(string(d)); err != nil {
		panic("canon: Raw of " + err.Error())
	}
	var sum [sha256.Size]byte
	if _, err := hex.Decode(sum[:], []byte(d[len(digestPrefix):])); err != nil {
		panic("canon: Raw: " + err.Error())
	}
	return sum
}

func (d Digest) String() string { return string(d) }

// UnmarshalText refuses all but the empty Digest and what ParseDigest accepts.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = ""
		return nil
	}
	parsed, err := ParseDigest(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}
