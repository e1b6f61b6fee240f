package raft

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"concordat.dev/coordinator/seal"
	"concordat.dev/protocol/key"
)

const nodeKeyContext = "node.key"

// loadNodeKey reads the node's own key, or makes it at the first start. It is sealed under a key that only coordinators have.
func loadNodeKey(path string, k seal.Key) (key.Private, error) {
	sealed, err := os.ReadFile(path) //nolint:gosec // the node's own file
	if errors.Is(err, fs.ErrNotExist) {
		return makeNodeKey(path, k)
	}
	if err != nil {
		return key.Private{}, fmt.Errorf("read node key: %w", err)
	}
	seed, err := k.Open(sealed, nodeKeyContext)
	if err != nil {
		return key.Private{}, fmt.Errorf("read node key %s, made in another mesh? %w", path, err)
	}
	return key.FromSeed(seed)
}

func makeNodeKey(path string, k seal.Key) (key.Private, error) {
	seed := make([]byte, 32)
	_, _ = rand.Read(seed)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the node's own file
	if err != nil {
		return key.Private{}, fmt.Errorf("make node key: %w", err)
	}
	_, err = f.Write(k.Seal(seed, nodeKeyContext))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return key.Private{}, errors.Join(fmt.Errorf("make node key: %w", err), os.Remove(path))
	}
	return key.FromSeed(seed)
}
