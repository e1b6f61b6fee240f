package endorse_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"slices"
	"testing"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/endorse"
	"concordat.dev/protocol/endorse/endorsetest"
)

const kind = "application/vnd.test+json"

func sign(t *testing.T, cert tls.Certificate) endorse.Endorsement {
	t.Helper()
	e, err := endorse.Sign(kind, []byte("payload"), cert)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestSignAndVerify(t *testing.T) {
	m := endorsetest.New(t)
	b, err := sign(t, m.Marble(t, endorse.Worker)).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	e, err := endorse.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := e.Verify(kind, m.Pin(), m.Root, endorse.Worker)
	if err != nil || string(payload) != "payload" {
		t.Fatal(string(payload), err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	m, other := endorsetest.New(t), endorsetest.New(t)
	worker := m.Marble(t, endorse.Worker)
	second := m.Marble(t, endorse.Worker)
	belowLeaf := tls.Certificate{Certificate: [][]byte{second.Certificate[0], worker.Certificate[0], worker.Certificate[1]}, PrivateKey: second.PrivateKey}
	asCA := tls.Certificate{Certificate: [][]byte{m.Intermediate.Raw}, PrivateKey: worker.PrivateKey}
	for name, c := range map[string]struct {
		cert   tls.Certificate
		change func(*endorse.Endorsement)
		root   canon.Digest
		mesh   *endorsetest.Mesh
		kind   string
		want   error
	}{
		"payload type":        {cert: worker, kind: "other", want: endorse.ErrPayloadType},
		"payload":             {cert: worker, change: func(e *endorse.Endorsement) { e.Payload = []byte("payloae") }, want: endorse.ErrSignature},
		"signature":           {cert: worker, change: func(e *endorse.Endorsement) { e.Signature[len(e.Signature)-1] ^= 1 }, want: endorse.ErrSignature},
		"signature missing":   {cert: worker, change: func(e *endorse.Endorsement) { e.Signature = nil }, want: endorse.ErrSignature},
		"another's leaf":      {cert: worker, change: func(e *endorse.Endorsement) { e.Chain = second.Certificate }, want: endorse.ErrSignature},
		"coordinator":         {cert: m.Marble(t, endorse.Coordinator), want: endorse.ErrType},
		"no type":             {cert: m.Marble(t), want: endorse.ErrType},
		"empty type":          {cert: m.Marble(t, ""), want: endorse.ErrType},
		"longer type":         {cert: m.Marble(t, "worker "), want: endorse.ErrType},
		"another mesh":        {cert: other.Marble(t, endorse.Worker), want: endorse.ErrChain},
		"intermediate left":   {cert: worker, change: func(e *endorse.Endorsement) { e.Chain = e.Chain[:1] }, want: endorse.ErrChain},
		"other intermediate":  {cert: worker, change: func(e *endorse.Endorsement) { e.Chain = [][]byte{e.Chain[0], other.Intermediate.Raw} }, want: endorse.ErrChain},
		"chain empty":         {cert: worker, change: func(e *endorse.Endorsement) { e.Chain = nil }, want: endorse.ErrChain},
		"garbage in chain":    {cert: worker, change: func(e *endorse.Endorsement) { e.Chain = [][]byte{e.Chain[0], []byte("x")} }, want: endorse.ErrChain},
		"order of chain":      {cert: worker, change: func(e *endorse.Endorsement) { e.Chain = [][]byte{e.Chain[1], e.Chain[0]} }, want: endorse.ErrChain},
		"leaf below a leaf":   {cert: belowLeaf, want: endorse.ErrChain},
		"CA as a leaf":        {cert: asCA, want: endorse.ErrChain},
		"root not the pin":    {cert: worker, root: other.Pin(), want: endorse.ErrRoot},
		"no pin":              {cert: worker, root: "sha256:", want: endorse.ErrRoot},
		"other root and cert": {cert: worker, root: other.Pin(), mesh: other, want: endorse.ErrChain},
	} {
		t.Run(name, func(t *testing.T) {
			e := sign(t, c.cert)
			e.Chain, e.Signature = slices.Clone(e.Chain), bytes.Clone(e.Signature)
			if c.change != nil {
				c.change(&e)
			}
			mesh, root, want := m, m.Pin(), kind
			if c.mesh != nil {
				mesh = c.mesh
			}
			if c.root != "" {
				root = c.root
			}
			if c.kind != "" {
				want = c.kind
			}
			if _, err := e.Verify(want, root, mesh.Root, endorse.Worker); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// Every bit of the text is bound: no flipped one is accepted.
func TestNoBitIsLoose(t *testing.T) {
	m := endorsetest.New(t)
	good, err := sign(t, m.Marble(t, endorse.Worker)).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		for bit := range 8 {
			b := bytes.Clone(good)
			b[i] ^= 1 << bit
			e, err := endorse.Parse(b)
			if err != nil {
				continue
			}
			if _, err := e.Verify(kind, m.Pin(), m.Root, endorse.Worker); err == nil {
				t.Fatalf("bit %d of byte %d (%q) is not bound", bit, i, good[i])
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"chain":["AA=="],"payload":"AA==","payloadType":"x","signature":"AA=="}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := endorse.Parse(in)
		if err != nil {
			return
		}
		if out, err := e.Marshal(); err != nil || !bytes.Equal(in, out) {
			t.Fatalf("%q has a second form %q, %v", in, out, err)
		}
	})
}
