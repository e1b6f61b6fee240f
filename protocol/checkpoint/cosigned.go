package checkpoint

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"concordat.dev/protocol/witness"
)

// Cosignatures are those of the witnesses (verifier keys) under a checkpoint of this text. Others are not looked at: this is for who
// holds the tree, and so knows the text by itself.
func Cosignatures(signed, text string, witnesses []string) ([]Cosignature, error) {
	known, err := verifiers(witnesses)
	if err != nil {
		return nil, err
	}
	n, err := note.Open([]byte(signed), note.VerifierList(known...))
	if none := (*note.UnverifiedNoteError)(nil); errors.As(err, &none) {
		n, err = none.Note, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cosignatures: %w", err)
	}
	if n.Text != text {
		return nil, fmt.Errorf("cosignatures: %w: of another checkpoint", ErrInvalid)
	}
	var out []Cosignature
	for _, s := range n.Sigs {
		c, err := cosignature(s, witnesses, known)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func verifiers(witnesses []string) ([]note.Verifier, error) {
	var out []note.Verifier
	for _, w := range witnesses {
		v, err := witness.Parse(w)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// hashSize is the length of a key's hash before a signature in a note.
const hashSize = 4

// cosignature names the witness of a verified signature.
func cosignature(s note.Signature, witnesses []string, known []note.Verifier) (Cosignature, error) {
	raw, err := base64.StdEncoding.DecodeString(s.Base64)
	i := slices.IndexFunc(known, func(v note.Verifier) bool { return v.Name() == s.Name && v.KeyHash() == s.Hash })
	if err != nil || i < 0 || len(raw) < hashSize {
		return Cosignature{}, fmt.Errorf("%w: signature of %.80q", ErrInvalid, s.Name)
	}
	at, ok := witness.Time(raw[hashSize:])
	if !ok {
		return Cosignature{}, fmt.Errorf("%w: signature of %.80q has no time", ErrInvalid, s.Name)
	}
	return Cosignature{Witness: witnesses[i], At: at}, nil
}

// Keep leaves of a checkpoint's signatures those by the ledger's own log and by the witnesses, as Open wants them. It verifies nothing.
func Keep(signed, ledger string, witnesses []string) string {
	head, lines, ok := strings.Cut(signed, "\n\n")
	if !ok {
		return signed
	}
	names := []string{origin(ledger)}
	for _, w := range witnesses {
		name, _, _ := strings.Cut(w, "+")
		names = append(names, name)
	}
	out := head + "\n\n"
	for line := range strings.Lines(lines) {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "— "), " ")
		if slices.Contains(names, name) {
			out += line
		}
	}
	return out
}
