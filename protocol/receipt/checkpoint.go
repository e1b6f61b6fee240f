package receipt

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"concordat.dev/protocol/grant"
	"concordat.dev/protocol/key"
)

// SaltSize is the length of a leaf's salt in bytes.
const SaltSize = 32

// Leaf is the record that the log holds of a body: SHA-256 of salt and body. Without the salt it tells nothing of the body. The leaf
// hash of the tree is that of RFC 6962 over these 32 bytes (tlog.RecordHash).
func Leaf(salt, body []byte) []byte {
	sum := sha256.New()
	sum.Write(salt)
	sum.Write(body)
	return sum.Sum(nil)
}

// CheckpointText is the body of a ledger's checkpoint (C2SP tlog-checkpoint): origin, size and root, a line each.
func CheckpointText(ledger string, size int64, root tlog.Hash) string {
	return fmt.Sprintf("%s\n%d\n%s\n", grant.Origin(ledger), size, root)
}

// LogVerifier verifies the ledger's own signature under checkpoints.
func LogVerifier(ledger string, log key.Public) (note.Verifier, error) {
	text, err := note.NewEd25519VerifierKey(grant.Origin(ledger), log.Bytes())
	if err != nil {
		return nil, fmt.Errorf("log verifier: %w", err)
	}
	return note.NewVerifier(text)
}

// openCheckpoint returns size and root of a checkpoint that the ledger signed, and how many of the witnesses cosigned it. Signatures
// by others, or in another form than the one that signers write, are refused.
func openCheckpoint(text, ledger string, log key.Public, witnesses []string) (size int64, root tlog.Hash, cosigned int, err error) {
	fail := func(format string, args ...any) (int64, tlog.Hash, int, error) {
		return 0, tlog.Hash{}, 0, fmt.Errorf("checkpoint: "+format, args...)
	}
	logVerifier, err := LogVerifier(ledger, log)
	if err != nil {
		return fail("%w", err)
	}
	known := []note.Verifier{logVerifier}
	for _, w := range witnesses {
		v, err := witnessVerifier(w)
		if err != nil {
			return fail("witness key %.80q: %w", w, err)
		}
		known = append(known, v)
	}
	n, err := note.Open([]byte(text), note.VerifierList(known...))
	if err != nil {
		return fail("%w", err)
	}
	again := n.Text + "\n"
	byLog := false
	for _, s := range n.Sigs {
		raw, err := base64.StdEncoding.Strict().DecodeString(s.Base64)
		if err != nil {
			return fail("signature of %s: %w", s.Name, err)
		}
		again += "— " + s.Name + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
		byLog = byLog || s.Name == logVerifier.Name() && s.Hash == logVerifier.KeyHash()
	}
	if !byLog {
		return fail("not signed by the ledger's log key")
	}
	if again != text {
		return fail("%w: signatures of strangers, or in an unusual form", ErrInvalid)
	}
	lines := strings.Split(strings.TrimSuffix(n.Text, "\n"), "\n")
	if len(lines) != 3 || lines[0] != grant.Origin(ledger) {
		return fail("%w: want origin %s, size and root", ErrInvalid, grant.Origin(ledger))
	}
	if size, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return fail("size: %w", err)
	}
	if root, err = tlog.ParseHash(lines[2]); err != nil {
		return fail("root: %w", err)
	}
	if CheckpointText(ledger, size, root) != n.Text {
		return fail("%w: size or root in an unusual form", ErrInvalid)
	}
	return size, root, len(n.Sigs) - 1, nil
}

// checkInclusion proves that body is the leaf of that index in the tree of that size and root.
func checkInclusion(r Receipt, body []byte, size int64, root tlog.Hash) error {
	if len(r.Salt) != SaltSize {
		return fmt.Errorf("%w: salt of %d bytes, want %d", ErrInvalid, len(r.Salt), SaltSize)
	}
	proof := make(tlog.RecordProof, len(r.Proof))
	for i, h := range r.Proof {
		if len(h) != tlog.HashSize {
			return fmt.Errorf("%w: hash of %d bytes in the proof", ErrInvalid, len(h))
		}
		copy(proof[i][:], h)
	}
	if r.Index < 0 || r.Index >= size {
		return fmt.Errorf("leaf %d is not in a log of size %d", r.Index, size)
	}
	return tlog.CheckRecord(proof, size, root, r.Index, tlog.RecordHash(Leaf(r.Salt, body)))
}

// cosigner verifies C2SP tlog-cosignature v1: an Ed25519 signature over "cosignature/v1", a time and the checkpoint.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

const (
	algorithmCosignature = 0x04
	cosignatureSize      = 8 + ed25519.SignatureSize
)

// witnessVerifier reads a verifier key: algorithm 1 is a plain signature of the note, algorithm 4 a cosignature.
func witnessVerifier(vkey string) (note.Verifier, error) {
	name, rest, _ := strings.Cut(vkey, "+")
	hash, encoded, _ := strings.Cut(rest, "+")
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, err
	}
	if len(raw) == 0 || raw[0] != algorithmCosignature {
		return note.NewVerifier(vkey)
	}
	sum := sha256.Sum256(append([]byte(name+"\n"), raw...))
	id := binary.BigEndian.Uint32(sum[:])
	if len(raw) != 1+ed25519.PublicKeySize || fmt.Sprintf("%08x", id) != hash {
		return nil, errors.New("malformed verifier key")
	}
	return cosigner{name: name, hash: id, key: ed25519.PublicKey(raw[1:])}, nil
}

func (c cosigner) Name() string    { return c.name }
func (c cosigner) KeyHash() uint32 { return c.hash }

func (c cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != cosignatureSize {
		return false
	}
	at := binary.BigEndian.Uint64(sig)
	if at > math.MaxInt64 {
		return false
	}
	var signed bytes.Buffer
	fmt.Fprintf(&signed, "cosignature/v1\ntime %d\n", at)
	signed.Write(msg)
	return ed25519.Verify(c.key, signed.Bytes(), sig[8:])
}
