// Package handover is what two meshes must agree on when one takes a ledger over from the other: what the new one tells of itself, how the
// old one checks it against the pins that all participants signed, and the package of secrets and state that it seals to it.
//
// Invariant: Recipients come only from marbles of the right type under the pinned root, of a MarbleRun whose manifest is the pinned one and
// is one of Concordat, and, in mode sgx, whose quote hardware made. What Open returned was signed by a marble of the mesh that hands over.
//
// Sees: metadata, and the secrets that are handed over
package handover

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"filippo.io/age"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/endorse"
	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/receipt"
)

// The payload types of what marbles sign.
const (
	HeirPayloadType   = "application/vnd.concordat.heir+json"
	WorkerPayloadType = "application/vnd.concordat.worker-estate+json"
	LedgerPayloadType = "application/vnd.concordat.ledger-estate+json"
)

// The reasons to refuse.
var (
	ErrSuccessor = errors.New("not the mesh that the manifests pin as successor")
	ErrEstate    = errors.New("not what the mesh before handed over to this one")
)

// MaxSuccessor is the size in bytes of what ParseSuccessor reads.
const MaxSuccessor = 4 << 20

// Heir is the recipient that marbles of one type of a mesh open together.
type Heir struct {
	Type      string `json:"type"` // "concordat.dev/heir/v1"
	Marble    string `json:"marble"`
	Recipient string `json:"recipient"` // age1pq1…
}

const heirType = "concordat.dev/heir/v1"

// SignHeir signs for a recipient with the certificate of a marble of that type.
func SignHeir(marbleType string, recipient *age.HybridRecipient, cert tls.Certificate) (endorse.Endorsement, error) {
	return sign(HeirPayloadType, Heir{Type: heirType, Marble: marbleType, Recipient: recipient.String()}, cert)
}

// Successor is a mesh that waits for a handover, as it tells of itself.
type Successor struct {
	Root        []byte              `json:"root"`      // MarbleRun's root certificate, DER
	MarbleRun   []byte              `json:"marblerun"` // its manifest
	Evidence    []evidence.Evidence `json:"evidence,omitempty"`
	Coordinator endorse.Endorsement `json:"coordinator"` // over Heir
	Worker      endorse.Endorsement `json:"worker"`
	Addresses   []string            `json:"addresses,omitempty"` // HOST:PORT for people, who check the pinned root there
}

// Recipients open what is handed over.
type Recipients struct {
	Root        *x509.Certificate
	Coordinator *age.HybridRecipient
	Worker      *age.HybridRecipient
}

// Marshal writes a successor as canonical JSON.
func (s Successor) Marshal() ([]byte, error) { return canon.Marshal(s) }

// ParseSuccessor reads what Marshal wrote. It checks nothing.
func ParseSuccessor(b []byte) (Successor, error) {
	var s Successor
	if len(b) > MaxSuccessor {
		return s, fmt.Errorf("%w: %d bytes, at most %d", ErrSuccessor, len(b), MaxSuccessor)
	}
	if err := canon.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("%w: %w", ErrSuccessor, err)
	}
	return s, nil
}

// Check holds a successor against the pins of a signed manifest. In mode sgx hardware has to vouch for its MarbleRun as of a time; in
// simulation certificates are all there is.
func (s Successor) Check(pins document.Mesh, verifiers []evidence.Verifier, at time.Time) (Recipients, error) {
	r, err := s.check(pins, verifiers, at)
	if err != nil {
		return Recipients{}, fmt.Errorf("%w: %w", ErrSuccessor, err)
	}
	return r, nil
}

func (s Successor) check(pins document.Mesh, verifiers []evidence.Verifier, at time.Time) (r Recipients, err error) {
	for _, f := range []struct{ name, pinned, is string }{
		{"root_certificate", pins.RootCertificate, canon.Sum(s.Root).String()},
		{"marblerun_manifest", pins.MarbleRunManifest, canon.Sum(s.MarbleRun).String()},
	} {
		if f.pinned != f.is {
			return r, fmt.Errorf("the manifest pins mesh.%s %s, the new mesh has %s", f.name, f.pinned, f.is)
		}
	}
	if r.Root, err = x509.ParseCertificate(s.Root); err != nil {
		return r, err
	}
	if _, err := marble.ReadManifest(s.MarbleRun); err != nil {
		return r, err
	}
	if pins.Mode != "simulation" {
		if _, _, err := receipt.Attested(pins, s.Root, s.Evidence, verifiers, at); err != nil {
			return r, err
		}
	}
	if r.Coordinator, err = heir(s.Coordinator, r.Root, marble.Coordinator); err != nil {
		return r, err
	}
	r.Worker, err = heir(s.Worker, r.Root, marble.Worker)
	return r, err
}

func heir(e endorse.Endorsement, root *x509.Certificate, marbleType string) (*age.HybridRecipient, error) {
	payload, err := e.Verify(HeirPayloadType, endorse.RootDigest(root), root, marbleType)
	if err != nil {
		return nil, fmt.Errorf("recipient of its %ss: %w", marbleType, err)
	}
	var h Heir
	if err := canon.Unmarshal(payload, &h); err != nil {
		return nil, fmt.Errorf("recipient of its %ss: %w", marbleType, err)
	}
	if h.Type != heirType || h.Marble != marbleType {
		return nil, fmt.Errorf("recipient of its %ss: it is for %.40q", marbleType, h.Marble)
	}
	return age.ParseHybridRecipient(h.Recipient)
}

func sign(payloadType string, value any, cert tls.Certificate) (endorse.Endorsement, error) {
	payload, err := canon.Marshal(value)
	if err != nil {
		return endorse.Endorsement{}, err
	}
	return endorse.Sign(payloadType, payload, cert)
}
