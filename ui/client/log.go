package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/endorse"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/grant"
	"concordat.dev/protocol/key"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Why a log is not to be trusted.
var (
	ErrRolledBack = errors.New("the log is shorter than it was")
	ErrForked     = errors.New("the log is not the one that was seen before")
)

// Checkpoint is the state of a ledger's log, signed by the ledger.
type Checkpoint struct {
	Size int64
	Root tlog.Hash
	Note string
}

// LogKey is the key that signs the log of the mesh's ledger, by the word of a coordinator below the pinned root.
func (c *Client) LogKey(ctx context.Context) (ledger string, log key.Public, err error) {
	fail := func(err error) (string, key.Public, error) {
		return "", key.Public{}, fmt.Errorf("key of the log: %w", err)
	}
	status, err := c.Status(ctx)
	if err != nil {
		return fail(err)
	}
	root, err := c.Root()
	if err != nil {
		return fail(err)
	}
	e, err := endorse.Parse(status.GetLogKey())
	if err != nil {
		return fail(err)
	}
	keys, err := grant.VerifyKeys(e, canon.Sum(root.Raw), root, status.GetLedger())
	if err != nil {
		return fail(err)
	}
	return keys.Ledger, keys.Log, nil
}

// OpenCheckpoint checks that the ledger signed a checkpoint (C2SP tlog-checkpoint) and reads it. Other signatures are ignored.
func OpenCheckpoint(text, ledger string, log key.Public) (Checkpoint, error) {
	fail := func(err error) (Checkpoint, error) { return Checkpoint{}, fmt.Errorf("checkpoint: %w", err) }
	verifier, err := checkpoint.LogVerifier(ledger, log)
	if err != nil {
		return fail(err)
	}
	n, err := note.Open([]byte(text), note.VerifierList(verifier))
	if err != nil {
		return fail(err)
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) < 3 {
		return fail(errors.New("want origin, size and root"))
	}
	cp := Checkpoint{Note: text}
	if cp.Size, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return fail(err)
	}
	if cp.Root, err = tlog.ParseHash(lines[2]); err != nil {
		return fail(err)
	}
	if checkpoint.Text(ledger, cp.Size, cp.Root) != n.Text {
		return fail(errors.New("size or root in an unusual form, or of another ledger"))
	}
	return cp, nil
}

// Checkpoint fetches the log's state and checks that it grew out of old (the zero Checkpoint: nothing was seen before).
func (c *Client) Checkpoint(ctx context.Context, ledger string, log key.Public, old Checkpoint) (Checkpoint, error) {
	response, err := Unary(ctx, c, &concordatv1.CheckpointRequest{OldSize: uint64(old.Size)}, Services.Checkpoint)
	if err != nil {
		return Checkpoint{}, err
	}
	now, err := OpenCheckpoint(string(response.GetNote()), ledger, log)
	if err != nil {
		return now, err
	}
	return now, Grew(old, now, response.GetConsistency())
}

// Grew checks with a consistency proof (RFC 6962 section 2.1.2) that the log of now begins with that of old.
func Grew(old, now Checkpoint, consistency [][]byte) error {
	switch {
	case now.Size < old.Size:
		return fmt.Errorf("%w: %d entries, %d were seen", ErrRolledBack, now.Size, old.Size)
	case old.Size == 0:
		return nil
	case now.Size == old.Size:
		if now.Root != old.Root {
			return fmt.Errorf("%w: two roots of size %d, %s and %s", ErrForked, now.Size, old.Root, now.Root)
		}
		return nil
	}
	proof := make(tlog.TreeProof, len(consistency))
	for i, h := range consistency {
		if len(h) != tlog.HashSize {
			return fmt.Errorf("%w: a hash of %d bytes in the proof", ErrForked, len(h))
		}
		copy(proof[i][:], h)
	}
	if err := tlog.CheckTree(proof, now.Size, now.Root, old.Size, old.Root); err != nil {
		return fmt.Errorf("%w: from size %d to %d: %w", ErrForked, old.Size, now.Size, err)
	}
	return nil
}

func checkpointFile(home, ledger string) string {
	return filepath.Join(home, "checkpoints", filepath.Base(ledger)+".txt")
}

// SeenCheckpoint is the newest checkpoint that was verified from here, the zero one where there is none.
func SeenCheckpoint(home, ledger string, log key.Public) (Checkpoint, error) {
	raw, err := os.ReadFile(checkpointFile(home, ledger))
	if errors.Is(err, fs.ErrNotExist) {
		return Checkpoint{}, nil
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("read the last checkpoint: %w", err)
	}
	return OpenCheckpoint(string(raw), ledger, log)
}

// Keep remembers a verified checkpoint.
func (cp Checkpoint) Keep(home, ledger string) error {
	return writeFile(checkpointFile(home, ledger), []byte(cp.Note))
}
