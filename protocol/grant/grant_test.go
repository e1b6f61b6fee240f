package grant_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/endorse"
	"concordat.dev/protocol/endorse/endorsetest"
	"concordat.dev/protocol/grant"
	"concordat.dev/protocol/key"
)

const ledger = "00112233445566778899aabbccddeeff"

func valid() grant.Grant {
	d := canon.Sum([]byte("x"))
	return grant.Grant{
		Query: "q1", Ledger: ledger, Collaboration: "nafld-outcomes", Version: 1, Manifest: d, Person: "dana@clinic.example", Participant: "clinic",
		SQL: d, Plan: d, Question: d, Datasets: []grant.Dataset{{ID: "clinic.patients", Version: 1, Sealed: d}, {ID: "lab.tests", Version: 2, Sealed: d}},
		Price: []grant.Price{{Owner: "clinic", Namespace: "patient", Rho: 5_000_000, SpentBefore: 1}, {Owner: "lab", Namespace: "patient", Queries: 1}},
		Index: 7, Reserved: "2026-11-23T15:00:00Z",
	}
}

type world struct {
	mesh          *endorsetest.Mesh
	log, grantKey key.Private
	keys          endorse.Endorsement
}

func newWorld(t *testing.T) world {
	t.Helper()
	w := world{mesh: endorsetest.New(t)}
	var err1, err2, err3 error
	w.log, err1 = key.Generate()
	w.grantKey, err2 = key.Generate()
	w.keys, err3 = grant.EndorseKeys(grant.Keys{Ledger: ledger, Log: w.log.Public(), Grant: w.grantKey.Public()}, w.mesh.Marble(t, endorse.Coordinator))
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestSignAndVerify(t *testing.T) {
	w := newWorld(t)
	s, err := grant.Sign(valid(), w.grantKey, w.keys)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if s, err = grant.Parse(b); err != nil {
		t.Fatal(err)
	}
	g, keys, err := s.Verify(w.mesh.Pin(), w.mesh.Root, ledger)
	if err != nil || g.Query != "q1" || keys.Log != w.log.Public() {
		t.Fatal(g, keys, err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	workerKeys, err := grant.EndorseKeys(grant.Keys{Ledger: ledger, Log: w.log.Public(), Grant: w.grantKey.Public()}, w.mesh.Marble(t, endorse.Worker))
	if err != nil {
		t.Fatal(err)
	}
	otherLedger, err := grant.EndorseKeys(grant.Keys{Ledger: strings.Repeat("f", 32), Log: w.log.Public(), Grant: w.grantKey.Public()}, w.mesh.Marble(t, endorse.Coordinator))
	if err != nil {
		t.Fatal(err)
	}
	second := valid()
	second.Ledger = strings.Repeat("f", 32)
	payload := func(g grant.Grant) []byte {
		g.Type = "concordat.dev/grant/v1"
		b, err := canon.Marshal(g)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, c := range map[string]struct {
		grant dsse.Envelope
		keys  endorse.Endorsement
		want  error
	}{
		"another mesh's keys":   {dsse.Sign(grant.PayloadType, payload(valid()), other.grantKey), other.keys, endorse.ErrChain},
		"keys by a worker":      {dsse.Sign(grant.PayloadType, payload(valid()), w.grantKey), workerKeys, endorse.ErrType},
		"keys of other ledger":  {dsse.Sign(grant.PayloadType, payload(valid()), w.grantKey), otherLedger, grant.ErrLedger},
		"grant of other ledger": {dsse.Sign(grant.PayloadType, payload(second), w.grantKey), w.keys, grant.ErrLedger},
		"signed by the log key": {dsse.Sign(grant.PayloadType, payload(valid()), w.log), w.keys, dsse.ErrNoSignature},
		"a second signature":    {dsse.Sign(grant.PayloadType, payload(valid()), w.grantKey, w.log), w.keys, grant.ErrInvalid},
		"other payload type":    {dsse.Sign("x", payload(valid()), w.grantKey), w.keys, dsse.ErrPayloadType},
		"not canonical":         {dsse.Sign(grant.PayloadType, append(payload(valid()), ' '), w.grantKey), w.keys, grant.ErrInvalid},
	} {
		if _, _, err := (grant.Signed{Grant: c.grant, Keys: c.keys}).Verify(w.mesh.Pin(), w.mesh.Root, ledger); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidateRefuses(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*grant.Grant){
		"query":           func(g *grant.Grant) { g.Query = "" },
		"ledger":          func(g *grant.Grant) { g.Ledger = "" },
		"long person":     func(g *grant.Grant) { g.Person = strings.Repeat("x", 257) },
		"manifest":        func(g *grant.Grant) { g.Manifest = "" },
		"plan":            func(g *grant.Grant) { g.Plan = "sha256:00" },
		"version":         func(g *grant.Grant) { g.Version = 0 },
		"index":           func(g *grant.Grant) { g.Index = 0 },
		"no dataset":      func(g *grant.Grant) { g.Datasets = nil },
		"dataset twice":   func(g *grant.Grant) { g.Datasets[1] = g.Datasets[0] },
		"dataset version": func(g *grant.Grant) { g.Datasets[0].Version = 0 },
		"dataset digest":  func(g *grant.Grant) { g.Datasets[0].Sealed = "" },
		"price below 0":   func(g *grant.Grant) { g.Price[0].Rho = -1 },
		"price twice":     func(g *grant.Grant) { g.Price[1] = g.Price[0] },
		"price of nobody": func(g *grant.Grant) { g.Price[0].Owner = "" },
		"time":            func(g *grant.Grant) { g.Reserved = "2026-11-23T15:00:00+01:00" },
	} {
		g := valid()
		change(&g)
		if _, err := grant.Sign(g, w.grantKey, w.keys); !errors.Is(err, grant.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOrder(t *testing.T) {
	w := newWorld(t)
	sorted, reversed := valid(), valid()
	slices.Reverse(reversed.Datasets)
	slices.Reverse(reversed.Price)
	a, err1 := grant.Sign(sorted, w.grantKey, w.keys)
	b, err2 := grant.Sign(reversed, w.grantKey, w.keys)
	if err1 != nil || err2 != nil || !bytes.Equal(a.Grant.Payload, b.Grant.Payload) {
		t.Fatalf("%s %v\n%s %v", a.Grant.Payload, err1, b.Grant.Payload, err2)
	}
	payload := bytes.Replace(a.Grant.Payload, []byte("clinic.patients"), []byte("z.patients"), 1) // as nobody sorts it
	s := grant.Signed{Grant: dsse.Sign(grant.PayloadType, payload, w.grantKey), Keys: w.keys}
	if _, _, err := s.Verify(w.mesh.Pin(), w.mesh.Root, ledger); !errors.Is(err, grant.ErrInvalid) {
		t.Errorf("out of order: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"grant":{"payload":"","payloadType":"","signatures":[]},"keys":{"chain":[],"payload":"","payloadType":"","signature":""}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := grant.Parse(in)
		if err != nil {
			return
		}
		if out, err := s.Marshal(); err != nil || !bytes.Equal(in, out) {
			t.Fatalf("%q has a second form %q, %v", in, out, err)
		}
	})
}
