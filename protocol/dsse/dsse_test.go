package dsse_test

import (
	"bytes"
	"errors"
	"testing"

	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/key"
)

const kind = "application/vnd.test+json"

func keys(t *testing.T, n int) (priv []key.Private, pub []key.Public) {
	t.Helper()
	for i := range n {
		p, err := key.FromSeed(bytes.Repeat([]byte{byte(i + 1)}, 32))
		if err != nil {
			t.Fatal(err)
		}
		priv, pub = append(priv, p), append(pub, p.Public())
	}
	return priv, pub
}

// The example of the DSSE protocol document.
func TestPAE(t *testing.T) {
	if got := string(dsse.PAE("http://example.com/HelloWorld", []byte("hello world"))); got != "DSSEv1 29 http://example.com/HelloWorld 11 hello world" {
		t.Fatal(got)
	}
}

func TestVerify(t *testing.T) {
	priv, pub := keys(t, 3)
	e := dsse.Sign(kind, []byte("payload"), priv...)
	signers, err := e.Verify(kind, pub[1:])
	if err != nil || len(signers) != 2 || signers[0] != pub[1] || signers[1] != pub[2] {
		t.Fatal(signers, err)
	}
	twice := e
	twice.Signatures = append(twice.Signatures[:1:1], e.Signatures[0])
	if signers, err = twice.Verify(kind, pub); err != nil || len(signers) != 1 {
		t.Fatalf("a repeated signature counts as %d, %v", len(signers), err)
	}
	for name, c := range map[string]struct {
		change  func(*dsse.Envelope)
		allowed []key.Public
		kind    string
		want    error
	}{
		"other type":         {func(*dsse.Envelope) {}, pub, "other", dsse.ErrPayloadType},
		"nobody allowed":     {func(*dsse.Envelope) {}, nil, kind, dsse.ErrNoSignature},
		"payload changed":    {func(e *dsse.Envelope) { e.Payload = []byte("payloae") }, pub, kind, dsse.ErrBadSignature},
		"type changed":       {func(e *dsse.Envelope) { e.PayloadType = "x" }, pub, "x", dsse.ErrBadSignature},
		"signature cut":      {func(e *dsse.Envelope) { e.Signatures[2].Sig = e.Signatures[2].Sig[:32] }, pub, kind, dsse.ErrBadSignature},
		"signature exchange": {func(e *dsse.Envelope) { e.Signatures[0].Sig = e.Signatures[1].Sig }, pub, kind, dsse.ErrBadSignature},
		"no signature":       {func(e *dsse.Envelope) { e.Signatures = nil }, pub, kind, dsse.ErrNoSignature},
		"too many":           {func(e *dsse.Envelope) { e.Signatures = make([]dsse.Signature, 65) }, pub, kind, dsse.ErrMalformed},
	} {
		e := dsse.Sign(kind, []byte("payload"), priv...)
		c.change(&e)
		if _, err := e.Verify(c.kind, c.allowed); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParse(t *testing.T) {
	priv, _ := keys(t, 2)
	e := dsse.Sign(kind, []byte("payload"), priv...)
	b, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := dsse.Parse(b)
	if err != nil || !bytes.Equal(got.Payload, e.Payload) || len(got.Signatures) != 2 {
		t.Fatal(got, err)
	}
	for name, bad := range map[string][]byte{
		"space":         append([]byte(" "), b...),
		"tail":          append(bytes.Clone(b), '\n'),
		"field":         bytes.Replace(b, []byte(`"payload"`), []byte(`"extra":1,"payload"`), 1),
		"no signatures": []byte(`{"payload":"","payloadType":"x","signatures":[]}`),
		"null":          []byte(`{"payload":null,"payloadType":"x","signatures":null}`),
		"huge":          make([]byte, dsse.MaxEnvelope+1),
	} {
		if _, err := dsse.Parse(bad); !errors.Is(err, dsse.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	p, err := key.FromSeed(make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	b, err := dsse.Sign(kind, []byte("{}"), p).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := dsse.Parse(in)
		if err != nil {
			return
		}
		out, err := e.Marshal()
		if err != nil || !bytes.Equal(in, out) {
			t.Fatalf("%q has a second form %q, %v", in, out, err)
		}
	})
}

func TestSSHSignatures(t *testing.T) {
	priv, pub := keys(t, 2)
	ssh := priv[0].AsSSH()
	signed := func(k key.Private, namespace string) dsse.Envelope {
		e := dsse.Sign(kind, []byte("payload"), priv[1])
		e.Signatures = append(e.Signatures, dsse.Signature{KeyID: k.Public().String(), Sig: k.SignSSH(namespace, dsse.PAE(kind, []byte("payload")))})
		return e
	}
	allowed := []key.Public{ssh.Public(), pub[1]}
	signers, err := signed(ssh, dsse.SSHNamespace).Verify(kind, allowed)
	if err != nil || len(signers) != 2 || signers[1] != ssh.Public() {
		t.Fatal(signers, err)
	}
	if signers, err := dsse.Sign(kind, []byte("payload"), ssh).Verify(kind, allowed); err != nil || len(signers) != 1 {
		t.Errorf("a plain signature by an SSH key: %v, %v", signers, err)
	}
	if _, err := signed(ssh, "file").Verify(kind, allowed); !errors.Is(err, dsse.ErrBadSignature) {
		t.Errorf("in another namespace: %v", err)
	}
	if _, err := signed(priv[0], dsse.SSHNamespace).Verify(kind, pub); !errors.Is(err, dsse.ErrBadSignature) {
		t.Errorf("by a key that is not written as one of SSH: %v", err)
	}
	if signers, err := signed(ssh, dsse.SSHNamespace).Verify(kind, pub); err != nil || len(signers) != 1 {
		t.Errorf("under its other form the key is a stranger: %v, %v", signers, err)
	}
}
