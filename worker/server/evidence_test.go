package server

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/marble/marbletest"
)

// Receipts carry MarbleRun's quote as it came, and the collateral that lies there when the query runs.
func TestEvidenceInReceipts(t *testing.T) {
	s := &Server{identity: marbletest.New(t).Identity(t, marble.Worker)}
	w, err := s.worker()
	if err != nil || w.Measure != strings.Repeat("e0", 32) || !bytes.Equal(w.MarbleRun, s.identity.Manifest) || len(w.Evidence) > 0 {
		t.Fatalf("in simulation: %+v, %v", w, err)
	}
	s.identity.Quote = []byte("quote")
	if w, err = s.worker(); err != nil || len(w.Evidence) != 1 || w.Evidence[0].Kind != evidence.SGX || string(w.Evidence[0].Report) != "quote" || w.Evidence[0].Collateral != nil {
		t.Fatalf("without collateral: %+v, %v", w, err)
	}
	s.cfg.Collateral = filepath.Join(t.TempDir(), "collateral.json")
	if _, err := s.worker(); err == nil {
		t.Error("the collateral that the configuration names is missing, and nobody says so")
	}
	if err := os.WriteFile(s.cfg.Collateral, []byte("{\"b\": 1, \"a\": 2}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if w, err = s.worker(); err != nil || string(w.Evidence[0].Collateral) != `{"a":2,"b":1}` {
		t.Fatalf("with collateral: %+v, %v", w, err)
	}
	s.identity.Manifest = []byte("{}")
	if _, err := s.worker(); err == nil {
		t.Error("took a MarbleRun manifest that is not ours")
	}
}
