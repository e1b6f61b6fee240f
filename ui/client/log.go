package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/endorse"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/grant"
	"concordat.dev/protocol/key"
)

// Checkpoint is the state of a ledger's log, signed by the ledger.
type Checkpoint struct {
	checkpoint.Checkpoint
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

// OpenCheckpoint checks that the ledger signed a checkpoint and reads it. Cosignatures are not looked at.
func OpenCheckpoint(text, ledger string, log key.Public) (Checkpoint, error) {
	c, err := checkpoint.Open(checkpoint.Keep(text, ledger, nil), ledger, log, nil)
	return Checkpoint{c, text}, err
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
	return now, now.Extends(old.Checkpoint, response.GetConsistency())
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

// SeenAt is when SeenCheckpoint's was verified.
func SeenAt(home, ledger string) time.Time {
	info, err := os.Stat(checkpointFile(home, ledger))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// Keep remembers a verified checkpoint.
func (cp Checkpoint) Keep(home, ledger string) error {
	return writeFile(checkpointFile(home, ledger), []byte(cp.Note))
}
