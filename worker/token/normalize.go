package token

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"

	"concordat.dev/protocol/document"
)

// ErrNormalize says that a namespace names a normalisation that this build doesn't know.
var ErrNormalize = errors.New("unknown normalisation")

// Normalizer appends the normal form of an identifier to dst; ok is false when the identifier is malformed. The rules are
// published as protocol/testdata/normalize.json, so that owners who hash before they upload do exactly the same.
type Normalizer func(dst, identifier []byte) (normal []byte, ok bool)

// NewNormalizer gives the rule of a namespace's first identifier. Values that come hashed are checked as hex and never normalised otherwise.
func NewNormalizer(rules document.Namespace) (Normalizer, error) {
	if v := cmp.Or(rules.Version, document.RulesVersion); v != document.RulesVersion {
		return nil, fmt.Errorf("%w: version %d (this build knows 1)", ErrNormalize, v)
	}
	switch rules.Prehashed {
	case "":
		return plain(rules)
	case document.SHA256Hex:
		return sha256Hex, nil
	case document.SHA256HexOrPlain:
		n, err := plain(rules)
		return hashed(n), err
	}
	return nil, fmt.Errorf("%w: prehashed: %s (this build knows sha256_hex, sha256_hex_or_plain)", ErrNormalize, rules.Prehashed)
}

// plain gives the rule for values that come as they are.
func plain(rules document.Namespace) (Normalizer, error) {
	for _, o := range rules.Options {
		if !slices.Contains(document.EmailOptions(), o) {
			return nil, fmt.Errorf("%w: option %s (this build knows %v)", ErrNormalize, o, document.EmailOptions())
		}
	}
	switch rules.Normalize {
	case "", "none":
		return none, nil
	case "trim":
		return func(dst, id []byte) ([]byte, bool) { return none(dst, trim(id)) }, nil
	case "lower":
		return lower, nil
	case document.NormalizeEmail:
		return providers(rules.Options).email, nil
	case document.NormalizePhone:
		return region(cmp.Or(rules.Region, "ZZ")).phone, nil
	}
	return nil, fmt.Errorf("%w: normalize: %s (this build knows none, trim, lower, email, phone_e164)", ErrNormalize, rules.Normalize)
}

func none(dst, id []byte) ([]byte, bool) {
	return append(dst, id...), utf8.Valid(id)
}

// trim removes Unicode white space and byte order marks at both ends.
func trim(id []byte) []byte {
	if n := len(id); n > 0 && printable(id[0]) && printable(id[n-1]) {
		return id
	}
	return bytes.TrimFunc(id, func(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' })
}

func printable(b byte) bool { return b > ' ' && b < 0x7f }

// lower trims and maps each code point to its simple lower case (no context, no language).
func lower(dst, id []byte) ([]byte, bool) {
	id = trim(id)
	for i := 0; i < len(id); {
		b := id[i]
		if b < utf8.RuneSelf {
			if 'A' <= b && b <= 'Z' {
				b += 'a' - 'A'
			}
			dst = append(dst, b)
			i++
			continue
		}
		r, n := utf8.DecodeRune(id[i:])
		if r == utf8.RuneError && n == 1 {
			return dst, false
		}
		dst = utf8.AppendRune(dst, unicode.ToLower(r))
		i += n
	}
	return dst, true
}

func sha256Hex(dst, id []byte) ([]byte, bool) {
	id = trim(id)
	if len(id) != 64 {
		return dst, false
	}
	ok := true
	for i := 0; i < 64; i += 8 {
		low, good := lowerHex(binary.LittleEndian.Uint64(id[i:]))
		dst, ok = binary.LittleEndian.AppendUint64(dst, low), ok && good
	}
	return dst, ok
}

// hashed makes one form of values that come plain and those that come hashed: the hash. 64 hex digits are neither an address nor a number.
func hashed(normalize Normalizer) Normalizer {
	return func(dst, id []byte) ([]byte, bool) {
		start := len(dst)
		out, ok := sha256Hex(dst, id)
		if ok {
			return out, true
		}
		out, ok = normalize(out[:start], id)
		if !ok {
			return out, false
		}
		sum := sha256.Sum256(out[start:])
		return hex.AppendEncode(out[:start], sum[:]), true
	}
}

// lowerHex brings eight hex digits to lower case at once; ok is false when one is none. Adding 0x80 - c to each byte sets its high bit where
// the byte is c or more, and bytes below 0x80 never carry into the next.
func lowerHex(x uint64) (low uint64, ok bool) {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	letter := x | 0x20*ones
	digits := (x + (0x80-'0')*ones) &^ (x + (0x80-'9'-1)*ones)
	letters := (letter + (0x80-'a')*ones) &^ (letter + (0x80-'f'-1)*ones) & highs
	return x | letters>>2, x&highs == 0 && (digits|letters)&highs == highs
}
