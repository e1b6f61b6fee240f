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
	"math"
	"strconv"

	"github.com/gowebpki/jcs"
)

// MaxSafeInteger is the largest integer that canonical JSON carries exactly (RFC 8785 section 3.2.2.3, IEEE 754 doubles).
const MaxSafeInteger = 1<<53 - 1

// ErrNotCanonical says that bytes are not the one canonical form of what they hold.
var ErrNotCanonical = errors.New("not canonical JSON (RFC 8785)")

// Marshal writes v as canonical JSON. Integers beyond MaxSafeInteger are refused: write them as strings.
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

func checkNumbers(raw []byte) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("canon: %w", err)
		}
		n, ok := t.(json.Number)
		if !ok {
			continue
		}
		if i, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
			if i > MaxSafeInteger || i < -MaxSafeInteger {
				return fmt.Errorf("canon: integer %d is beyond 2^53-1 and would lose digits; write it as a string", i)
			}
			continue
		}
		f, err := n.Float64()
		if err != nil || math.IsInf(f, 0) {
			return fmt.Errorf("canon: number %.40q does not fit a double", n.String())
		}
		if f == math.Trunc(f) && math.Abs(f) > MaxSafeInteger && isInteger(n.String()) {
			return fmt.Errorf("canon: integer %.40s is beyond 2^53-1 and would lose digits; write it as a string", n.String())
		}
	}
}

func isInteger(s string) bool {
	for _, c := range s {
		if c == '.' || c == 'e' || c == 'E' {
			return false
		}
	}
	return true
}
