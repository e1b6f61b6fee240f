package log_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"concordat.dev/coordinator/log"
	"concordat.dev/protocol/key"
)

func TestCheckpointIsASignedNote(t *testing.T) {
	const ledger, origin = "00", "concordat.dev/ledger/00"
	k, err := key.FromSeed(bytes.Repeat([]byte{3}, 32))
	must(t, err)
	s, err := log.NewSigner(ledger, k)
	must(t, err)
	tree := grown(9)
	for _, size := range []int64{0, 1, 9} {
		signed, err := s.Checkpoint(tree, size)
		must(t, err)
		vkey, err := note.NewEd25519VerifierKey(origin, k.Public().Bytes())
		must(t, err)
		v, err := note.NewVerifier(vkey)
		must(t, err)
		n, err := note.Open(signed, note.VerifierList(v))
		must(t, err)
		root, err := tree.Root(size)
		must(t, err)
		if want := fmt.Sprintf("%s\n%d\n%s\n", origin, size, base64.StdEncoding.EncodeToString(root[:])); n.Text != want {
			t.Errorf("text %q, want %q", n.Text, want)
		}
		again, err := s.Checkpoint(tree, size)
		must(t, err)
		if !bytes.Equal(signed, again) {
			t.Error("two notes for one size")
		}
	}
	if _, err := s.Checkpoint(tree, 10); err == nil {
		t.Error("signed a size that the log does not have")
	}
}

func TestTilesHoldTheHashesOfTheTree(t *testing.T) {
	tree := grown(300)
	full, err := tree.Tile(0, 0, 256)
	must(t, err)
	part, err := tree.Tile(0, 1, 44)
	must(t, err)
	first, err := tree.Inclusion(2, 0) // its one hash is the second leaf's
	must(t, err)
	if len(full) != 256*32 || len(part) != 44*32 || !bytes.Equal(full[32:64], first[0]) {
		t.Errorf("tiles of %d and %d bytes", len(full), len(part))
	}
	if _, err := tree.Tile(0, 1, 45); err == nil {
		t.Error("a tile beyond the log")
	}
}
