package token

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"

	"concordat.dev/protocol/document"
)

// ErrNormalize says that a namespace names a normalisation that this build doesn't know.
var ErrNormalize = errors.New("unknown normalisation")

// Normalizer appends the normal form of an identifier to dst; ok is false when the identifier is malformed. The rules are
// published as testdata/normalize.json, so that owners who hash before they upload do exactly the same.
type Normalizer func(dst, identifier []byte) (normal []byte, ok bool)

// NewNormalizer gives the rule of a namespace. Values that come hashed are checked as hex and never normalised otherwise.
func NewNormalizer(rules document.Namespace) (Normalizer, error) {
	switch rules.Prehashed {
	case "":
	case "sha256_hex":
		return sha256Hex, nil
	default:
		return nil, fmt.Errorf("%w: prehashed: %s (this build knows sha256_hex)", ErrNormalize, rules.Prehashed)
	}
	switch rules.Normalize {
	case "", "none":
		return none, nil
	case "trim":
		return func(dst, id []byte) ([]byte, bool) { return none(dst, trim(id)) }, nil
	case "lower":
		return lower, nil
	case "email":
		return email, nil
	case "phone_e164":
		return phone, nil
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

// email trims, lower-cases and asks for one @ with something before it and a domain with a dot after it. Rules of single
// providers (dots, plus tags) are none of it: they change, and a wrong one merges two persons.
func email(dst, id []byte) ([]byte, bool) {
	start := len(dst)
	dst, ok := lower(dst, id)
	address := dst[start:]
	at := bytes.IndexByte(address, '@')
	if !ok || len(address) > 254 || at < 1 || bytes.IndexByte(address[at+1:], '@') >= 0 {
		return dst, false
	}
	for _, b := range address {
		if b <= ' ' || b == 0x7f || b == ',' || b == ';' || b == '<' || b == '>' {
			return dst, false
		}
	}
	domain := address[at+1:]
	dot := bytes.LastIndexByte(domain, '.')
	return dst, dot > 0 && dot < len(domain)-1 && domain[0] != '.'
}

// phone gives E.164. Only numbers with their country code are taken ("+49…" or "0049…"): a national number means another
// person in another country.
func phone(dst, id []byte) ([]byte, bool) {
	id = trim(id)
	if len(id) > 64 {
		return dst, false
	}
	text := string(id)
	if len(text) > 2 && text[:2] == "00" {
		text = "+" + text[2:]
	}
	number, err := phonenumbers.Parse(text, "ZZ")
	if err != nil || !phonenumbers.IsValidNumber(number) || number.GetExtension() != "" {
		return dst, false
	}
	return append(dst, phonenumbers.Format(number, phonenumbers.E164)...), true
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

// lowerHex brings eight hex digits to lower case at once; ok is false when one is none. Adding 0x80 - c to each byte sets its high bit where
// the byte is c or more, and bytes below 0x80 never carry into the next.
func lowerHex(x uint64) (low uint64, ok bool) {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	letter := x | 0x20*ones
	digits := (x + (0x80-'0')*ones) &^ (x + (0x80-'9'-1)*ones)
	letters := (letter + (0x80-'a')*ones) &^ (letter + (0x80-'f'-1)*ones) & highs
	return x | letters>>2, x&highs == 0 && (digits|letters)&highs == highs
}
