// Package canon gives every signed or hashed object of Concordat one form of bytes: canonical JSON as RFC 8785 defines it, and
// the SHA-256 digest of such bytes.
//
// Invariant: Unmarshal accepts exactly the bytes that Marshal would write for the value it decoded, so one meaning has one form.
//
// Sees: metadata
package canon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/gowebpki/jcs"
)

// MaxSafeInteger is the integer up to which canonical JSON carries all integers exactly (RFC 8785 section 3.2.2.3, IEEE 754 doubles).
const MaxSafeInteger = 1<<53 - 1

// ErrNotCanonical says that bytes are not the one canonical form of what they hold.
var ErrNotCanonical = errors.New("not canonical JSON (RFC 8785)")

// Marshal writes v as canonical JSON. Integers whose digits a double does not keep (some beyond
// MaxSafeInteger) are refused: write them as strings.
func Marshal(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("canon: marshal: %w", err)
	}
	return Transform(raw)
}

// Transform brings JSON into canonical form. Repeated keys, invalid UTF-8 and numbers that a double cannot carry are refused.
func Transform(raw []byte) ([]byte, error) {
	if err := checkNumbers(raw); err != nil {
		return nil, err
	}
	out, err := jcs.Transform(raw)
	if err != nil {
		return nil, fmt.Errorf("canon: %w", err)
	}
	return out, nil
}

// Unmarshal decodes canonical JSON into v. Unknown, repeated or misspelt fields, trailing bytes, and anything that Marshal would
// write differently are refused with ErrNotCanonical.
func Unmarshal(b []byte, v any) error {
	if err := decodeStrict(b, v); err != nil {
		return err
	}
	again, err := Marshal(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(b, again) {
		return fmt.Errorf("canon: %w: differs from the form of its own value at byte %d", ErrNotCanonical, firstDifference(b, again))
	}
	return nil
}

func decodeStrict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("canon: decode: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("canon: %w: bytes after the value", ErrNotCanonical)
	}
	return nil
}

func firstDifference(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// checkNumbers looks at each number outside of strings; that raw is JSON at all is for the transformation to see.
func checkNumbers(raw []byte) error {
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '"':
			for i++; i < len(raw) && raw[i] != '"'; i++ {
				if raw[i] == '\\' {
					i++
				}
			}
		case c == '-' || c >= '0' && c <= '9':
			start := i
			for i+1 < len(raw) && strings.IndexByte("0123456789+-.eE", raw[i+1]) >= 0 {
				i++
			}
			if err := checkNumber(string(raw[start : i+1])); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkNumber(s string) error {
	if len(s) <= 15 && isInteger(s) {
		return nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return fmt.Errorf("canon: number %.40q does not fit a double", s)
	}
	if isInteger(s) && strconv.FormatFloat(f, 'f', -1, 64) != s {
		return fmt.Errorf("canon: integer %.40s would lose digits as a double; write it as a string", s)
	}
	return nil
}

func isInteger(s string) bool {
	return !strings.ContainsAny(s, ".eE")
}
