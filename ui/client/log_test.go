package client_test

import (
	"strings"
	"testing"

	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/key"
	"concordat.dev/ui/client"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

var ledger = strings.Repeat("ab", 16)

type signer struct {
	note.Verifier
	key key.Private
}

func (s signer) Sign(msg []byte) ([]byte, error) { return s.key.Sign(msg), nil }

// signed is a checkpoint of three entries, with a signature by somebody whom nobody knows.
func signed(t *testing.T, k key.Private) string {
	t.Helper()
	var signers []note.Signer
	for name, by := range map[string]key.Private{ledger: k, strings.Repeat("cd", 16): newKey(t)} {
		verifier, err := checkpoint.LogVerifier(name, by.Public())
		if err != nil {
			t.Fatal(err)
		}
		signers = append(signers, signer{verifier, by})
	}
	text, err := note.Sign(&note.Note{Text: checkpoint.Text(ledger, 3, tlog.RecordHash([]byte("x")))}, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestSeenCheckpoint(t *testing.T) {
	k, home := newKey(t), t.TempDir()
	if seen, err := client.SeenCheckpoint(home, ledger, k.Public()); err != nil || seen.Size != 0 {
		t.Error(seen, err)
	}
	cp, err := client.OpenCheckpoint(signed(t, k), ledger, k.Public())
	if err != nil || cp.Size != 3 {
		t.Fatal(cp, err)
	}
	if err := cp.Keep(home, ledger); err != nil {
		t.Fatal(err)
	}
	if seen, err := client.SeenCheckpoint(home, ledger, k.Public()); err != nil || seen.Size != 3 || seen.Root != cp.Root || seen.Note != cp.Note {
		t.Error(seen, err)
	}
	if _, err := client.SeenCheckpoint(home, ledger, newKey(t).Public()); err == nil {
		t.Error("a checkpoint by another key is taken for seen")
	}
}
