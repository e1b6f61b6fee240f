// Package bundle takes a receipt apart into files that openssl, ssh-keygen and sha256sum read, with a page (VERIFY.md) of the commands that
// check its main signatures and digests. It is for whoever does not want to trust our verifier; the verifier checks more.
//
// Invariant: nothing from a receipt gets into the commands but numbers and hex digits, so that a forged receipt cannot run anything on
// its reader's machine.
//
// Sees: plaintext rows of releases (aggregates with noise), never rows of datasets
package bundle

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	_ "embed"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"text/template"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/endorse"
	"concordat.dev/protocol/grant"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/receipt"
	"concordat.dev/protocol/webauthn"
)

//go:embed verify.md
var page string

// ErrReceipt says that a receipt cannot be taken apart.
var ErrReceipt = errors.New("the receipt cannot be taken apart")

// signature is one signature by a participant's key, for the page.
type signature struct {
	N       string // file names are N with an ending
	SSH     bool   // the signature is one of ssh-keygen
	SSHKey  bool   // the manifest has the key in the form of SSH
	Passkey bool   // the key is a passkey, the signature what a browser made
}

// approval is one envelope.
type approval struct {
	N          int
	Signatures []signature
}

// contents is what the page needs to know.
type contents struct {
	Manifest   string // digest
	Simulation bool
	Policies   []int
	Approvals  []approval
	Passkeys   bool
	HasSQL     bool
	HasPlan    bool
	Proof      []string
	Index      int64
	Size       int64
	Witnesses  []witness
	Quorum     int
}

type witness struct {
	N    int
	Time uint64
}

// Files are the parts by name, VERIFY.md among them. It verifies nothing: VERIFY.md does.
func Files(r receipt.Receipt) (map[string][]byte, error) {
	b := builder{files: map[string][]byte{}, c: contents{Manifest: canon.Sum(r.Manifest).String(), HasSQL: r.SQL != "", Index: r.Index}}
	for _, step := range []func(receipt.Receipt) error{b.documents, b.approvals, b.body, b.grant, b.checkpoint} {
		if err := step(r); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrReceipt, err)
		}
	}
	whole, err := r.Marshal()
	if err != nil {
		return nil, err
	}
	b.files["receipt.json"] = whole
	t, err := template.New("").Parse(page)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := t.Execute(&text, b.c); err != nil {
		return nil, err
	}
	b.files["VERIFY.md"] = text.Bytes()
	return b.files, nil
}

type builder struct {
	files    map[string][]byte
	manifest *document.Manifest
	c        contents
}

func (b *builder) documents(r receipt.Receipt) error {
	var err error
	if b.manifest, err = document.ParseManifestJSON(r.Manifest); err != nil {
		return err
	}
	if b.manifest.Mesh == nil {
		return errors.New("its manifest pins no mesh")
	}
	b.c.Simulation = b.manifest.Mesh.Mode != "sgx"
	b.files["manifest.json"], b.files["result.json"] = r.Manifest, r.Result
	if r.SQL != "" {
		b.files["query.sql"] = []byte(r.SQL)
	}
	for i, p := range r.Policies {
		b.files[fmt.Sprintf("policy-%d.json", i+1)] = p
		b.c.Policies = append(b.c.Policies, i+1)
	}
	b.certificates("root", r.Root)
	return nil
}

func (b *builder) approvals(r receipt.Receipt) error {
	for i, e := range r.Approvals {
		a := approval{N: i + 1}
		b.files[fmt.Sprintf("approval-%d.json", a.N)] = e.Payload
		for j, s := range e.Signatures {
			sig, err := b.signature(fmt.Sprintf("approval-%d-%d", a.N, j+1), s)
			if err != nil {
				return fmt.Errorf("approval %d: %w", a.N, err)
			}
			a.Signatures = append(a.Signatures, sig)
		}
		b.c.Approvals = append(b.c.Approvals, a)
	}
	return nil
}

// signature writes a signature and the key that made it.
func (b *builder) signature(name string, s dsse.Signature) (signature, error) {
	k, err := key.ParsePublic(s.KeyID)
	if err != nil {
		return signature{}, err
	}
	if rp, passkey := k.Passkey(); passkey {
		b.c.Passkeys, b.files[name+".host"] = true, []byte(rp)
		return signature{N: name, Passkey: true}, b.passkey(name, k, s.Sig)
	}
	out := signature{N: name, SSHKey: k.SSH(), SSH: k.SSH() && len(s.Sig) != ed25519.SignatureSize}
	if out.SSH {
		b.files[name+".sshsig"] = key.ArmorSSH(s.Sig)
		b.files[name+".signer"] = []byte("signer " + k.String() + "\n")
		return out, nil
	}
	b.files[name+".sig"] = s.Sig
	return out, b.publicKey(name, k.Bytes())
}

// passkey takes an assertion apart into what its key signed.
func (b *builder) passkey(name string, k key.Public, sig []byte) error {
	a, err := webauthn.Parse(sig)
	if err != nil {
		return err
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), k.Bytes())
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	b.files[name+".pub.pem"] = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	b.files[name+".authenticator"], b.files[name+".client.json"], b.files[name+".sig"] = a.AuthenticatorData, a.ClientDataJSON, a.Signature
	return err
}

func (b *builder) publicKey(name string, raw []byte) error {
	der, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(raw))
	b.files[name+".pub.pem"] = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return err
}

func (b *builder) certificates(name string, ders ...[]byte) {
	var out []byte
	for _, der := range ders {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	b.files[name+".pem"] = out
}

// endorsement writes what a marble signed, under its name, and the marble's certificates.
func (b *builder) endorsement(name string, e endorse.Endorsement) error {
	if len(e.Chain) < 2 {
		return fmt.Errorf("%s: chain of %d certificates, want leaf and intermediate", name, len(e.Chain))
	}
	b.files[name+".json"], b.files[name+".sig"] = e.Payload, e.Signature
	b.certificates(name+".cert", e.Chain[0])
	b.certificates(name+".between", e.Chain[1:]...)
	return nil
}

func (b *builder) body(r receipt.Receipt) error {
	var s receipt.Statement
	if err := json.Unmarshal(r.Body.Payload, &s); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	if s.Predicate.Plan != "" {
		b.files["plan.txt"], b.c.HasPlan = []byte(s.Predicate.Plan), true
	}
	if m := s.Predicate.Worker.MarbleRun; len(m) > 0 {
		b.files["marblerun.json"] = m
	}
	for i, e := range s.Predicate.Worker.Evidence {
		b.files[fmt.Sprintf("evidence-%d.bin", i+1)] = e.Report
		if len(e.Collateral) > 0 {
			b.files[fmt.Sprintf("evidence-%d.collateral.json", i+1)] = e.Collateral
		}
	}
	leaf, err := r.Body.Marshal()
	if err != nil {
		return err
	}
	b.files["entry.json"], b.files["salt.bin"] = leaf, r.Salt
	for i, h := range r.Proof {
		name := fmt.Sprintf("proof-%02d.bin", i)
		b.files[name] = h
		b.c.Proof = append(b.c.Proof, name)
	}
	return b.endorsement("body", r.Body)
}

func (b *builder) grant(r receipt.Receipt) error {
	if len(r.Grant.Grant.Signatures) != 1 {
		return errors.New("grant without its one signature")
	}
	var keys grant.Keys
	if err := json.Unmarshal(r.Grant.Keys.Payload, &keys); err != nil {
		return fmt.Errorf("ledger keys: %w", err)
	}
	b.files["grant.json"], b.files["grant.sig"] = r.Grant.Grant.Payload, r.Grant.Grant.Signatures[0].Sig
	return errors.Join(b.endorsement("keys", r.Grant.Keys), b.publicKey("grant", keys.Grant.Bytes()), b.publicKey("log", keys.Log.Bytes()))
}

// checkpoint takes the signed note apart: the ledger's signature and those of witnesses (C2SP tlog-cosignature).
func (b *builder) checkpoint(r receipt.Receipt) error {
	b.files["checkpoint.txt"] = []byte(r.Checkpoint)
	origin := grant.Origin(b.manifest.Mesh.Ledger)
	text, signatures, ok := strings.Cut(r.Checkpoint, "\n\n")
	if _, err := fmt.Sscanf(strings.TrimPrefix(text, origin), "\n%d\n", &b.c.Size); err != nil || !ok {
		return errors.New("the checkpoint is not one of this ledger")
	}
	keys := map[string][]byte{}
	if w := b.manifest.Witnesses; w != nil {
		b.c.Quorum = w.Quorum
		for _, vkey := range w.Keys {
			parts := strings.SplitN(vkey, "+", 3) // name, hash, algorithm and key
			raw, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
			if err != nil || len(raw) != 1+ed25519.PublicKeySize {
				return errors.New("a witness's key has an unknown form")
			}
			keys[parts[0]] = raw[1:]
		}
	}
	for line := range strings.Lines(signatures) {
		words := strings.Fields(line)
		if len(words) != 3 {
			return fmt.Errorf("checkpoint: %.80q is no signature", line)
		}
		raw, err := base64.StdEncoding.DecodeString(words[2])
		switch {
		case err != nil || len(raw) < 4+ed25519.SignatureSize:
			return fmt.Errorf("checkpoint: signature of %.80q is malformed", words[1])
		case words[1] == origin:
			b.files["checkpoint.sig"] = raw[4:]
		case keys[words[1]] != nil && len(raw) == 4+8+ed25519.SignatureSize:
			w := witness{len(b.c.Witnesses) + 1, binary.BigEndian.Uint64(raw[4:])}
			name := fmt.Sprintf("witness-%d", w.N)
			b.files[name+".sig"] = raw[12:]
			if err := b.publicKey(name, keys[words[1]]); err != nil {
				return err
			}
			b.c.Witnesses = append(b.c.Witnesses, w)
		}
	}
	if b.files["checkpoint.sig"] == nil {
		return errors.New("the ledger did not sign the checkpoint")
	}
	return nil
}
