// Package checkpoint is the head of a ledger's transparency log as it travels: its text, the ledger's signature, cosignatures of
// witnesses, and the proofs that hang on it (C2SP tlog-checkpoint and signed-note, RFC 6962).
//
// Invariant: an opened checkpoint was signed by the log key of the expected ledger and by no strangers, and has one form of bytes.
//
// Sees: metadata
package checkpoint

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"concordat.dev/protocol/grant"
	"concordat.dev/protocol/key"
)

// SaltSize is the length of a leaf's salt in bytes.
const SaltSize = 32

// The reasons to refuse.
var (
	ErrInvalid    = errors.New("invalid checkpoint")
	ErrRolledBack = errors.New("the log is shorter than it was")
	ErrForked     = errors.New("the log is not the one that was seen before")
	ErrNotLogged  = errors.New("not an entry of the log")
)

// Leaf is the record that the log holds of a body: SHA-256 of salt and body. Without the salt it tells nothing of the body. The leaf
// hash of the tree is that of RFC 6962 over these 32 bytes (tlog.RecordHash).
func Leaf(salt, body []byte) []byte {
	sum := sha256.New()
	sum.Write(salt)
	sum.Write(body)
	return sum.Sum(nil)
}

// Text is what is signed of a ledger's log (C2SP tlog-checkpoint): origin, size and root, a line each.
func Text(ledger string, size int64, root tlog.Hash) string {
	return fmt.Sprintf("%s\n%d\n%s\n", origin(ledger), size, root)
}

// LogVerifier verifies the ledger's own signature under checkpoints.
func LogVerifier(ledger string, log key.Public) (note.Verifier, error) {
	text, err := LogKey(ledger, log)
	if err != nil {
		return nil, err
	}
	return note.NewVerifier(text)
}

// LogKey is the verifier key of a ledger's log, NAME+HASH+KEY, as standard tools take it.
func LogKey(ledger string, log key.Public) (string, error) {
	text, err := note.NewEd25519VerifierKey(origin(ledger), log.Bytes())
	if err != nil {
		return "", fmt.Errorf("log verifier: %w", err)
	}
	return text, nil
}

// origin is the name of a ledger's log.
func origin(ledger string) string { return grant.Origin(ledger) }

// Checkpoint is a checkpoint whose signatures were verified.
type Checkpoint struct {
	Size     int64
	Root     tlog.Hash
	Cosigned []Cosignature // by the expected witnesses, each once
}

// Cosignature says which witness vouched for a checkpoint, and when.
type Cosignature struct {
	Witness string // verifier key
	At      time.Time
}

// Open verifies a checkpoint that the ledger signed. Witnesses are verifier keys; signatures by others, or in another form than the one
// that signers write, are refused.
func Open(text, ledger string, log key.Public, witnesses []string) (Checkpoint, error) {
	c, err := open(text, ledger, log, witnesses)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	return c, nil
}

func open(text, ledger string, log key.Public, witnesses []string) (Checkpoint, error) {
	known, err := verifiers(witnesses)
	if err != nil {
		return Checkpoint{}, err
	}
	logVerifier, err := LogVerifier(ledger, log)
	if err != nil {
		return Checkpoint{}, err
	}
	n, err := note.Open([]byte(text), note.VerifierList(append(slices.Clone(known), logVerifier)...))
	if err != nil {
		return Checkpoint{}, err
	}
	c, byLog, again := Checkpoint{}, false, n.Text+"\n"
	for _, s := range n.Sigs {
		raw, err := base64.StdEncoding.Strict().DecodeString(s.Base64)
		if err != nil {
			return Checkpoint{}, fmt.Errorf("%w: signature of %.80q: %w", ErrInvalid, s.Name, err)
		}
		again += "— " + s.Name + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
		if s.Name == logVerifier.Name() && s.Hash == logVerifier.KeyHash() {
			byLog = true
			continue
		}
		signed, err := cosignature(s, witnesses, known)
		if err != nil {
			return Checkpoint{}, err
		}
		c.Cosigned = append(c.Cosigned, signed)
	}
	if !byLog {
		return Checkpoint{}, fmt.Errorf("%w: not signed by the ledger's log key", ErrInvalid)
	}
	if again != text {
		return Checkpoint{}, fmt.Errorf("%w: signatures of strangers, or in an unusual form", ErrInvalid)
	}
	c.Size, c.Root, err = parse(n.Text, ledger)
	return c, err
}

func parse(text, ledger string) (size int64, root tlog.Hash, err error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) != 3 || lines[0] != origin(ledger) {
		return 0, root, fmt.Errorf("%w: want origin %s, size and root", ErrInvalid, origin(ledger))
	}
	if size, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return 0, root, fmt.Errorf("%w: size: %w", ErrInvalid, err)
	}
	if root, err = tlog.ParseHash(lines[2]); err != nil {
		return 0, root, fmt.Errorf("%w: root: %w", ErrInvalid, err)
	}
	if size < 0 || Text(ledger, size, root) != text {
		return 0, root, fmt.Errorf("%w: size or root in an unusual form", ErrInvalid)
	}
	return size, root, nil
}

// Time is the median of the witnesses' times, the earlier one of two: a minority of wrong clocks does not move it out of the range of
// the others. It is false without cosignatures.
func (c Checkpoint) Time() (time.Time, bool) {
	if len(c.Cosigned) == 0 {
		return time.Time{}, false
	}
	times := make([]time.Time, len(c.Cosigned))
	for i, s := range c.Cosigned {
		times[i] = s.At
	}
	slices.SortFunc(times, time.Time.Compare)
	return times[(len(times)-1)/2], true
}

// Includes proves that record (Leaf) is the entry of that index in the checkpoint's tree (RFC 6962 section 2.1.1).
func (c Checkpoint) Includes(index int64, record []byte, proof [][]byte) error {
	if index < 0 || index >= c.Size {
		return fmt.Errorf("%w: entry %d of %d", ErrNotLogged, index, c.Size)
	}
	hashes, err := parseHashes(proof)
	if err == nil {
		err = tlog.CheckRecord(hashes, c.Size, c.Root, index, tlog.RecordHash(record))
	}
	if err != nil {
		return fmt.Errorf("%w: entry %d: %w", ErrNotLogged, index, err)
	}
	return nil
}

// Extends proves that the checkpoint's tree begins with that of old (RFC 6962 section 2.1.2). Everything extends size 0.
func (c Checkpoint) Extends(old Checkpoint, proof [][]byte) error {
	switch {
	case c.Size < old.Size:
		return fmt.Errorf("%w: %d entries, %d were seen", ErrRolledBack, c.Size, old.Size)
	case old.Size == 0:
		return nil
	case c.Size == old.Size:
		if c.Root != old.Root {
			return fmt.Errorf("%w: two roots of size %d, %s and %s", ErrForked, c.Size, old.Root, c.Root)
		}
		return nil
	}
	hashes, err := parseHashes(proof)
	if err == nil {
		err = tlog.CheckTree(hashes, c.Size, c.Root, old.Size, old.Root)
	}
	if err != nil {
		return fmt.Errorf("%w: from size %d to %d: %w", ErrForked, old.Size, c.Size, err)
	}
	return nil
}

func parseHashes(raw [][]byte) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(raw))
	for i, h := range raw {
		if len(h) != tlog.HashSize {
			return nil, fmt.Errorf("a hash of %d bytes in the proof", len(h))
		}
		copy(out[i][:], h)
	}
	return out, nil
}
