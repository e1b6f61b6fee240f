package server

import (
	"crypto/sha256"
	"sync"

	"google.golang.org/protobuf/proto"

	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/worker/admit"
)

// maxAdmitted is how many documents are remembered, each a manifest with its policies.
const maxAdmitted = 64

// admitted remembers documents that were verified, by the digest of all their bytes, approvals included: every call carries them, and verifying
// takes as long as judging a query by them. What was admitted is not changed by anybody.
type admitted struct {
	mu   sync.Mutex
	list map[[sha256.Size]byte]*admit.Documents
}

func (a *admitted) documents(mesh admit.Mesh, d *concordatv1.Documents) (*admit.Documents, error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(d)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(raw)
	a.mu.Lock()
	known := a.list[digest]
	a.mu.Unlock()
	if known != nil {
		return known, nil
	}
	out, err := mesh.Documents(d)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.list == nil || len(a.list) == maxAdmitted {
		a.list = map[[sha256.Size]byte]*admit.Documents{}
	}
	a.list[digest] = out
	return out, nil
}
