// Package backup is the file that `concordat node backup` writes: one line that says what it is of, then the coordinators' state, sealed under
// their secret.
//
// Invariant: what the first line says is for people and for drafting a recovery; only its checkpoint is signed. What counts is what comes out of
// the sealed part, which a recovery compares with the statement that organisations signed.
//
// Sees: metadata; ciphertext
package backup

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"concordat.dev/protocol/canon"
)

// Type is the only value of a header's type.
const Type = "concordat.dev/backup/v1"

// maxHeader bounds the first line, in bytes.
const maxHeader = 64 << 10

// ErrInvalid says that a file is no backup.
var ErrInvalid = errors.New("not a backup of Concordat")

// Header says what a backup is of.
type Header struct {
	Type       string `json:"type"`
	Ledger     string `json:"ledger"`
	Checkpoint string `json:"checkpoint"` // signed note of the log that is in it
	Size       int64  `json:"size"`       // of that log
	Root       string `json:"root"`       // base64
	Number     int    `json:"number"`     // of the last change of coordinators
	Time       string `json:"time"`       // of the ledger, RFC 3339
}

// Marshal writes the header's line, with its end.
func (h Header) Marshal() ([]byte, error) {
	h.Type = Type
	b, err := canon.Marshal(h)
	return append(b, '\n'), err
}

// Open reads the header of a backup and leaves the sealed part to be read.
func Open(r io.Reader) (Header, io.Reader, error) {
	in := bufio.NewReaderSize(r, maxHeader)
	line, err := in.ReadSlice('\n')
	if err != nil {
		return Header{}, nil, fmt.Errorf("%w: no first line: %w", ErrInvalid, err)
	}
	h, err := Parse(line)
	return h, in, err
}

// Parse reads a header's line.
func Parse(line []byte) (Header, error) {
	var h Header
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil {
		return Header{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if h.Type != Type || h.Ledger == "" || h.Size < 1 {
		return Header{}, fmt.Errorf("%w: type %.60q, want %s with ledger and size", ErrInvalid, h.Type, Type)
	}
	return h, nil
}
