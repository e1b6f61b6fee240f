package handover

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/endorse"
	"concordat.dev/protocol/marble"
)

// Origin is from which mesh to which something is handed over.
type Origin struct {
	Ledger string       `json:"ledger"`
	To     canon.Digest `json:"to"`    // root certificate of the mesh that inherits
	Roots  [][]byte     `json:"roots"` // root certificates (DER) of all meshes so far, oldest first; a marble under the last one signed
}

// Lineage is what a manifest on the mesh that inherits has to pin as mesh.inherits.
func (o Origin) Lineage() []string {
	out := make([]string, len(o.Roots))
	for i, root := range o.Roots {
		out[i] = canon.Sum(root).String()
	}
	return out
}

// Certificates parses the roots.
func (o Origin) Certificates() ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for i, root := range o.Roots {
		c, err := x509.ParseCertificate(root)
		if err != nil {
			return nil, fmt.Errorf("root %d: %w", i+1, err)
		}
		out = append(out, c)
	}
	return out, nil
}

// WorkerEstate is what workers hand over: for each collaboration, by the digest of its first manifest, its keys of all meshes so far, oldest first.
type WorkerEstate struct {
	Origin
	Keys map[string][][]byte `json:"keys"`
	// Size and Root are the newest checkpoint of the ledger that the worker saw, 0 where no manifest demands witnesses.
	Size int64  `json:"size,omitempty"`
	Root []byte `json:"root,omitempty"`
}

// Texts are keys of the coordinators for one collaboration, of all meshes so far, oldest first.
type Texts struct {
	History [][]byte `json:"history"` // queries' texts
	Release [][]byte `json:"release"` // releases in the object store
}

// LedgerEstate is what coordinators hand over, with the state and the workers' package beside it.
type LedgerEstate struct {
	Origin
	Log    []byte           `json:"log"`   // seed of the key that signs checkpoints
	Grant  []byte           `json:"grant"` // seed of the key that signs grants
	Texts  map[string]Texts `json:"texts"` // by the digest of a collaboration's first manifest
	Worker canon.Digest     `json:"worker"`
	State  canon.Digest     `json:"state"`
}

// SealWorker signs an estate as a worker and seals it to the workers of the mesh that inherits.
func SealWorker(e WorkerEstate, cert tls.Certificate, to *age.HybridRecipient) ([]byte, error) {
	signed, err := sign(WorkerPayloadType, e, cert)
	if err != nil {
		return nil, fmt.Errorf("seal the workers' estate: %w", err)
	}
	return seal(to, signed)
}

// OpenWorker opens and verifies what SealWorker made for the mesh with this root.
func OpenWorker(sealed []byte, id *age.HybridIdentity, root canon.Digest, ledger string) (e WorkerEstate, err error) {
	signed, _, err := open(bytes.NewReader(sealed), id)
	if err == nil {
		err = verify(signed, WorkerPayloadType, marble.Worker, &e, func() Origin { return e.Origin }, root)
	}
	if err == nil && e.Ledger != ledger {
		err = fmt.Errorf("it is of ledger %.40q", e.Ledger)
	}
	if err != nil {
		return WorkerEstate{}, fmt.Errorf("%w: workers: %w", ErrEstate, err)
	}
	return e, nil
}

// SealLedger signs an estate as a coordinator and seals it, the workers' package and the state to the coordinators of the mesh that inherits.
func SealLedger(e LedgerEstate, worker, state []byte, cert tls.Certificate, to *age.HybridRecipient) ([]byte, error) {
	e.Worker, e.State = canon.Sum(worker), canon.Sum(state)
	signed, err := sign(LedgerPayloadType, e, cert)
	if err != nil {
		return nil, fmt.Errorf("seal the ledger's estate: %w", err)
	}
	return seal(to, signed, worker, state)
}

// MaxWorker bounds the workers' package, in bytes.
const MaxWorker = 64 << 20

// OpenLedger opens and verifies what SealLedger made for the mesh with this root. Who signed is verified before anything large is read.
func OpenLedger(sealed io.Reader, id *age.HybridIdentity, root canon.Digest) (e LedgerEstate, worker, state []byte, err error) {
	fail := func(err error) (LedgerEstate, []byte, []byte, error) {
		return LedgerEstate{}, nil, nil, fmt.Errorf("%w: coordinators: %w", ErrEstate, err)
	}
	signed, rest, err := open(sealed, id)
	if err != nil {
		return fail(err)
	}
	if err := verify(signed, LedgerPayloadType, marble.Coordinator, &e, func() Origin { return e.Origin }, root); err != nil {
		return fail(err)
	}
	if worker, err = field(rest, MaxWorker); err != nil {
		return fail(err)
	}
	if state, err = field(rest, 1<<40); err != nil {
		return fail(err)
	}
	if _, err := rest.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return fail(errors.New("something follows the state"))
	}
	if canon.Sum(worker) != e.Worker || canon.Sum(state) != e.State {
		return fail(errors.New("workers' package or state are not what was signed"))
	}
	return e, worker, state, nil
}

// verify checks that a marble under the last root of the estate signed it for the mesh with this root. Whether that lineage is the one that
// participants signed, manifests say.
func verify(signed endorse.Endorsement, payloadType, marbleType string, into any, origin func() Origin, root canon.Digest) error {
	if err := canon.Unmarshal(signed.Payload, into); err != nil {
		return err
	}
	o := origin()
	roots, err := o.Certificates()
	if err != nil {
		return err
	}
	if len(roots) == 0 || o.To != root {
		return fmt.Errorf("it is for the mesh %.80q, this one is %s", o.To, root)
	}
	last := roots[len(roots)-1]
	_, err = signed.Verify(payloadType, endorse.RootDigest(last), last, marbleType)
	return err
}

// seal writes the endorsement and further fields, each behind its length in 64 bits, to a recipient.
func seal(to *age.HybridRecipient, signed endorse.Endorsement, fields ...[]byte) ([]byte, error) {
	first, err := signed.Marshal()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	if err != nil {
		return nil, err
	}
	for _, f := range append([][]byte{first}, fields...) {
		if _, err := w.Write(binary.BigEndian.AppendUint64(nil, uint64(len(f)))); err != nil {
			return nil, err
		}
		if _, err := w.Write(f); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func open(sealed io.Reader, id *age.HybridIdentity) (endorse.Endorsement, io.Reader, error) {
	plain, err := age.Decrypt(sealed, id)
	if err != nil {
		return endorse.Endorsement{}, nil, err
	}
	first, err := field(plain, endorse.MaxEndorsement)
	if err != nil {
		return endorse.Endorsement{}, nil, err
	}
	signed, err := endorse.Parse(first)
	return signed, plain, err
}

func field(r io.Reader, limit uint64) ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint64(head[:])
	if n > limit {
		return nil, fmt.Errorf("field of %d bytes, at most %d", n, limit)
	}
	var out bytes.Buffer                                   // grows with what comes, whatever the length says
	if _, err := io.CopyN(&out, r, int64(n)); err != nil { //nolint:gosec // at most limit
		return nil, err
	}
	return out.Bytes(), nil
}
