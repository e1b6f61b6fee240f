// Package log is the transparency log: an append-only Merkle tree (RFC 6962 hashing by golang.org/x/mod/sumdb/tlog) whose leaves hide
// what they commit to, and signed checkpoints of it (C2SP tlog-checkpoint, signed notes).
//
// Invariant: a leaf is SHA-256(salt ‖ body) with 32 random bytes of salt, so that the log can be public while bodies travel in receipts.
// A tree only grows: the root of a size never changes.
//
// Sees: metadata
package log

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/tlog"
)

// ErrRange says that a proof was asked for what the tree does not hold.
var ErrRange = errors.New("outside the log")

// Tree is the log's hashes in the order of tlog.StoredHashIndex. The zero Tree is empty.
type Tree struct {
	size   int64
	hashes []tlog.Hash
}

// Append adds a leaf (checkpoint.Leaf) and returns its index.
func (t *Tree) Append(leaf []byte) int64 {
	more, err := tlog.StoredHashes(t.size, leaf, t.reader())
	if err != nil {
		panic("log: append to a tree in memory: " + err.Error())
	}
	t.hashes = append(t.hashes, more...)
	t.size++
	return t.size - 1
}

// View is the tree as it is now, safe to read while the original grows.
func (t *Tree) View() *Tree {
	return &Tree{size: t.size, hashes: t.hashes[:len(t.hashes):len(t.hashes)]}
}

// Size is the number of leaves.
func (t *Tree) Size() int64 { return t.size }

// Root is the root hash of the first size leaves.
func (t *Tree) Root(size int64) (tlog.Hash, error) {
	if size < 0 || size > t.size {
		return tlog.Hash{}, fmt.Errorf("log: root of size %d: %w, which has %d entries", size, ErrRange, t.size)
	}
	return tlog.TreeHash(size, t.reader())
}

// Inclusion proves that the leaf of this index is in the first size leaves. The hashes are in the order of RFC 6962 section 2.1.1.
func (t *Tree) Inclusion(size, index int64) ([][]byte, error) {
	if index < 0 || index >= size || size > t.size {
		return nil, fmt.Errorf("log: entry %d in size %d: %w, which has %d entries", index, size, ErrRange, t.size)
	}
	proof, err := tlog.ProveRecord(size, index, t.reader())
	return raw(proof), err
}

// Consistency proves that the first size leaves begin with the first old ones (RFC 6962 section 2.1.2). It is empty for old 0.
func (t *Tree) Consistency(size, old int64) ([][]byte, error) {
	if old < 0 || old > size || size > t.size {
		return nil, fmt.Errorf("log: from size %d to %d: %w, which has %d entries", old, size, ErrRange, t.size)
	}
	if old == 0 || old == size {
		return nil, nil
	}
	proof, err := tlog.ProveTree(size, old, t.reader())
	return raw(proof), err
}

// Tile is the hashes of a C2SP tlog-tiles tile of height 8.
func (t *Tree) Tile(level int, n int64, width int) ([]byte, error) {
	return tlog.ReadTileData(tlog.Tile{H: 8, L: level, N: n, W: width}, t.reader())
}

func (t *Tree) reader() tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			if x < 0 || x >= int64(len(t.hashes)) {
				return nil, ErrRange
			}
			out[i] = t.hashes[x]
		}
		return out, nil
	})
}

// MarshalJSON writes all hashes as one base64 string.
func (t Tree) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, len(t.hashes)*tlog.HashSize)
	for _, h := range t.hashes {
		b = append(b, h[:]...)
	}
	return json.Marshal(struct {
		Size   int64  `json:"size"`
		Hashes []byte `json:"hashes"`
	}{t.size, b})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (t *Tree) UnmarshalJSON(b []byte) error {
	var in struct {
		Size   int64  `json:"size"`
		Hashes []byte `json:"hashes"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	if in.Size < 0 || int64(len(in.Hashes)) != tlog.StoredHashCount(in.Size)*tlog.HashSize {
		return fmt.Errorf("log: %d bytes of hashes for %d entries", len(in.Hashes), in.Size)
	}
	*t = Tree{size: in.Size, hashes: make([]tlog.Hash, len(in.Hashes)/tlog.HashSize)}
	for i := range t.hashes {
		copy(t.hashes[i][:], in.Hashes[i*tlog.HashSize:])
	}
	return nil
}

// WriteHashes writes all hashes, 32 bytes each.
func (t *Tree) WriteHashes(w io.Writer) error {
	for i := range t.hashes {
		if _, err := w.Write(t.hashes[i][:]); err != nil {
			return fmt.Errorf("log: write: %w", err)
		}
	}
	return nil
}

// ReadHashes reads what WriteHashes wrote of a tree of that size.
func ReadHashes(r io.Reader, size int64) (*Tree, error) {
	t := &Tree{size: size, hashes: make([]tlog.Hash, tlog.StoredHashCount(size))}
	for i := range t.hashes {
		if _, err := io.ReadFull(r, t.hashes[i][:]); err != nil {
			return nil, fmt.Errorf("log: read hash %d of %d: %w", i, len(t.hashes), err)
		}
	}
	return t, nil
}

func raw[H ~[32]byte](hashes []H) [][]byte {
	out := make([][]byte, len(hashes))
	for i, h := range hashes {
		out[i] = append([]byte(nil), h[:]...)
	}
	return out
}
