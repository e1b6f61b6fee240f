// Package follow remembers the newest checkpoint of each ledger that this worker saw, in memory and sealed on disk, so that a ledger
// that was rolled back, or shows another history, gets no release from it.
//
// Invariant: what Extend returned nil for is on disk, and every later checkpoint extends it. Who replaces the sealed file by an older
// copy, or takes it away, makes the worker forget: then the witnesses' memory is all there is.
//
// Sees: metadata
package follow

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"concordat.dev/protocol/checkpoint"
)

// ErrMoved says that the consistency proof does not begin where this worker is.
var ErrMoved = errors.New("the proof begins at another size than this worker saw")

// ErrSealed says that a file is not what a worker of this mesh wrote.
var ErrSealed = errors.New("the sealed checkpoint doesn't open")

// KeySize is the length in bytes of the key that seals.
const KeySize = 32

// Follower remembers.
type Follower struct {
	dir  string
	aead cipher.AEAD

	mu   sync.Mutex
	seen map[string]checkpoint.Checkpoint // by ledger; read from disk at the first question
}

// stored is the sealed file's content.
type stored struct {
	Size int64     `json:"size"`
	Root tlog.Hash `json:"root"`
}

// New makes a follower whose files lie in a folder that belongs to this process alone. Without one it remembers until it ends.
func New(dir string, key []byte) (*Follower, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("follow: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("follow: %w", err)
	}
	if dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("follow: %w", err)
		}
	}
	return &Follower{dir: dir, aead: aead, seen: map[string]checkpoint.Checkpoint{}}, nil
}

// Seen is the size of the newest checkpoint of a ledger, 0 if none was seen.
func (f *Follower) Seen(ledger string) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.newest(ledger)
	return c.Size, err
}

// Extend takes a verified checkpoint as the newest, after checking the proof that it extends the one of size from.
func (f *Follower) Extend(ledger string, next checkpoint.Checkpoint, from int64, consistency [][]byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, err := f.newest(ledger)
	if err != nil {
		return err
	}
	if before.Size != from && before.Size != 0 {
		return fmt.Errorf("follow: %w: %d, not %d", ErrMoved, before.Size, from)
	}
	if err := next.Extends(before, consistency); err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	if next.Size == before.Size {
		return nil
	}
	next.Cosigned = nil
	if err := f.store(ledger, next); err != nil {
		return fmt.Errorf("follow: store what was seen: %w", err)
	}
	f.seen[ledger] = next
	return nil
}

func (f *Follower) newest(ledger string) (checkpoint.Checkpoint, error) {
	if c, ok := f.seen[ledger]; ok || f.dir == "" {
		return c, nil
	}
	sealed, err := os.ReadFile(f.file(ledger))
	if errors.Is(err, fs.ErrNotExist) {
		return checkpoint.Checkpoint{}, nil
	}
	if err != nil {
		return checkpoint.Checkpoint{}, fmt.Errorf("follow: %w", err)
	}
	n := f.aead.NonceSize()
	if len(sealed) < n {
		return checkpoint.Checkpoint{}, fmt.Errorf("follow: %s: %w", f.file(ledger), ErrSealed)
	}
	plain, err := f.aead.Open(nil, sealed[:n], sealed[n:], []byte(ledger))
	if err != nil {
		return checkpoint.Checkpoint{}, fmt.Errorf("follow: %s: %w: find out who changed it", f.file(ledger), ErrSealed)
	}
	var s stored
	if err := json.Unmarshal(plain, &s); err != nil {
		return checkpoint.Checkpoint{}, fmt.Errorf("follow: %s: %w: %w", f.file(ledger), ErrSealed, err)
	}
	c := checkpoint.Checkpoint{Size: s.Size, Root: s.Root}
	f.seen[ledger] = c
	return c, nil
}

func (f *Follower) file(ledger string) string {
	return filepath.Join(f.dir, hex.EncodeToString([]byte(ledger))+".checkpoint")
}

// store writes so that after a crash there is the old file or the new one, and the new one once it returned.
func (f *Follower) store(ledger string, c checkpoint.Checkpoint) error {
	if f.dir == "" {
		return nil
	}
	plain, err := json.Marshal(stored{Size: c.Size, Root: c.Root})
	if err != nil {
		return err
	}
	nonce := make([]byte, f.aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	sealed := f.aead.Seal(nonce, nonce, plain, []byte(ledger))
	temporary, err := os.CreateTemp(f.dir, ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // gone when it was renamed
	_, err = temporary.Write(sealed)
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), f.file(ledger)); err != nil {
		return err
	}
	dir, err := os.Open(f.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Newest is the newest checkpoint of a ledger that was seen, zero if none was.
func (f *Follower) Newest(ledger string) (checkpoint.Checkpoint, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.newest(ledger)
}

// Begin takes over what a worker of the mesh before saw of a ledger, where this one saw less.
func (f *Follower) Begin(ledger string, seen checkpoint.Checkpoint) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, err := f.newest(ledger)
	if err != nil || before.Size >= seen.Size {
		return err
	}
	if err := f.store(ledger, seen); err != nil {
		return fmt.Errorf("follow: store what was seen: %w", err)
	}
	f.seen[ledger] = seen
	return nil
}
