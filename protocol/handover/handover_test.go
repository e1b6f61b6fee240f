package handover_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/endorse"
	"concordat.dev/protocol/endorse/endorsetest"
	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/handover"
	"concordat.dev/protocol/marble"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func identity() *age.HybridIdentity { return must(age.GenerateHybridIdentity()) }

// heirs is a mesh that waits, with what manifests pin of it.
func heirs(t *testing.T, m *endorsetest.Mesh) (handover.Successor, document.Mesh) {
	raw := must(marble.Manifest(marble.Measurements{Coordinator: strings.Repeat("a", 64), Worker: strings.Repeat("b", 64)}))
	s := handover.Successor{
		Root: m.Root.Raw, MarbleRun: raw,
		Coordinator: must(handover.SignHeir(marble.Coordinator, identity().Recipient(), m.Marble(t, marble.Coordinator))),
		Worker:      must(handover.SignHeir(marble.Worker, identity().Recipient(), m.Marble(t, marble.Worker))),
	}
	return s, document.Mesh{Mode: "simulation", RootCertificate: m.Pin().String(), MarbleRunManifest: canon.Sum(raw).String()}
}

func TestSuccessorIsHeldAgainstItsPins(t *testing.T) {
	m, other := endorsetest.New(t), endorsetest.New(t)
	good, pins := heirs(t, m)
	if _, err := must(handover.ParseSuccessor(must(good.Marshal()))).Check(pins, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	foreign, _ := heirs(t, other)
	for name, bend := range map[string]func(*handover.Successor, *document.Mesh){
		"another root":               func(s *handover.Successor, _ *document.Mesh) { s.Root = other.Root.Raw },
		"another mesh altogether":    func(s *handover.Successor, _ *document.Mesh) { *s = foreign },
		"another MarbleRun manifest": func(s *handover.Successor, _ *document.Mesh) { s.MarbleRun = append(s.MarbleRun, ' ') },
		"a manifest that says more": func(s *handover.Successor, p *document.Mesh) {
			s.MarbleRun = bytes.Replace(s.MarbleRun, []byte(`"Config"`), []byte(`"Users":{},"Config"`), 1)
			p.MarbleRunManifest = canon.Sum(s.MarbleRun).String()
		},
		"a worker of another mesh":      func(s *handover.Successor, _ *document.Mesh) { s.Worker = foreign.Worker },
		"a coordinator of another mesh": func(s *handover.Successor, _ *document.Mesh) { s.Coordinator = foreign.Coordinator },
		"a coordinator as worker":       func(s *handover.Successor, _ *document.Mesh) { s.Worker = s.Coordinator },
		"a worker's word for coordinators": func(s *handover.Successor, _ *document.Mesh) {
			s.Coordinator = must(handover.SignHeir(marble.Coordinator, identity().Recipient(), m.Marble(t, marble.Worker)))
		},
		"an offer of the other type": func(s *handover.Successor, _ *document.Mesh) {
			s.Worker = must(handover.SignHeir(marble.Coordinator, identity().Recipient(), m.Marble(t, marble.Worker)))
		},
		"hardware without evidence": func(_ *handover.Successor, p *document.Mesh) { p.Mode = "sgx" },
		"evidence that nobody can check": func(s *handover.Successor, p *document.Mesh) {
			p.Mode, s.Evidence = "sgx", []evidence.Evidence{{Kind: evidence.SGX, Report: []byte("quote")}}
		},
	} {
		s, p := good, pins
		s.MarbleRun = slices.Clone(s.MarbleRun)
		bend(&s, &p)
		if _, err := s.Check(p, nil, time.Now()); !errors.Is(err, handover.ErrSuccessor) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func origin(from, to *endorsetest.Mesh) handover.Origin {
	return handover.Origin{Ledger: "l", To: to.Pin(), Roots: [][]byte{from.Root.Raw}}
}

func TestEstates(t *testing.T) {
	from, to, other := endorsetest.New(t), endorsetest.New(t), endorsetest.New(t)
	id := identity()
	worker, coordinator := from.Marble(t, marble.Worker), from.Marble(t, marble.Coordinator)
	keys := map[string][][]byte{"sha256:x": {[]byte("key")}}
	sealed := must(handover.SealWorker(handover.WorkerEstate{Origin: origin(from, to), Keys: keys}, worker, id.Recipient()))
	got, err := handover.OpenWorker(sealed, id, to.Pin(), "l")
	if err != nil || string(got.Keys["sha256:x"][0]) != "key" || !slices.Equal(got.Lineage(), []string{from.Pin().String()}) {
		t.Fatal(got, err)
	}
	state := bytes.Repeat([]byte("state"), 1<<18)
	ledger := func(o handover.Origin, cert tls.Certificate) []byte {
		return must(handover.SealLedger(handover.LedgerEstate{Origin: o, Log: []byte("log")}, sealed, state, cert, id.Recipient()))
	}
	whole := ledger(origin(from, to), coordinator)
	e, w, s, err := handover.OpenLedger(bytes.NewReader(whole), id, to.Pin())
	if err != nil || string(e.Log) != "log" || !bytes.Equal(w, sealed) || !bytes.Equal(s, state) {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-1] ^= 1
	for name, open := range map[string]func() error{
		"for another mesh": func() error { _, _, _, err := handover.OpenLedger(bytes.NewReader(whole), id, other.Pin()); return err },
		"another recipient": func() error {
			_, _, _, err := handover.OpenLedger(bytes.NewReader(whole), identity(), to.Pin())
			return err
		},
		"changed": func() error { _, _, _, err := handover.OpenLedger(bytes.NewReader(flipped), id, to.Pin()); return err },
		"cut": func() error {
			_, _, _, err := handover.OpenLedger(bytes.NewReader(whole[:len(whole)/2]), id, to.Pin())
			return err
		},
		"signed by a worker": func() error {
			_, _, _, err := handover.OpenLedger(bytes.NewReader(ledger(origin(from, to), worker)), id, to.Pin())
			return err
		},
		"signed by a foreign": func() error {
			_, _, _, err := handover.OpenLedger(bytes.NewReader(ledger(origin(from, to), other.Marble(t, endorse.Coordinator))), id, to.Pin())
			return err
		},
		"without lineage": func() error {
			_, _, _, err := handover.OpenLedger(bytes.NewReader(ledger(handover.Origin{Ledger: "l", To: to.Pin()}, coordinator)), id, to.Pin())
			return err
		},
		"worker's, of another ledger": func() error { _, err := handover.OpenWorker(sealed, id, to.Pin(), "m"); return err },
		"worker's, by a coordinator": func() error {
			_, err := handover.OpenWorker(must(handover.SealWorker(handover.WorkerEstate{Origin: origin(from, to)}, coordinator, id.Recipient())), id, to.Pin(), "l")
			return err
		},
		"the ledger's as the worker's": func() error { _, err := handover.OpenWorker(whole, id, to.Pin(), "l"); return err },
	} {
		if err := open(); !errors.Is(err, handover.ErrEstate) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
