package client

import (
	"errors"
	"time"

	"concordat.dev/protocol/canon"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"connectrpc.com/connect"
)

// handoverPatience is how long a call is tried again while the ledger is on its way to another mesh.
const handoverPatience = 10 * time.Minute

// movedTo is what a coordinator says of a ledger that is handed over; nil for other errors.
func movedTo(err error) *concordatv1.HandedOver {
	var connected *connect.Error
	if !errors.As(err, &connected) {
		return nil
	}
	for _, d := range connected.Details() {
		if value, err := d.Value(); err == nil {
			if moved, ok := value.(*concordatv1.HandedOver); ok {
				return moved
			}
		}
	}
	return nil
}

// follow goes on with the mesh to which a coordinator of the pinned one says that it handed the ledger over. Its program was attested as any other
// answer of it: it hands over to no mesh but the one that all participants signed for. The new mesh is held against that root, and what it shows
// of manifests is checked as ever.
func (c *Client) follow(from *target, moved *concordatv1.HandedOver) bool {
	if moved == nil || len(moved.GetAddresses()) == 0 || moved.GetRootCertificate() == from.pin.String() {
		return false
	}
	if c.cfg.Ledger != "" && moved.GetLedger() != c.cfg.Ledger {
		return false
	}
	root, err := canon.ParseDigest(moved.GetRootCertificate())
	if err != nil {
		return false
	}
	cfg := c.cfg
	cfg.Addresses, cfg.Root = moved.GetAddresses(), root
	if c.at.CompareAndSwap(from, newTarget(cfg)) {
		c.current.Store(0)
	}
	return true
}

// Pin is the root certificate of the mesh that is called: another one than was given, once its ledger was handed over.
func (c *Client) Pin() canon.Digest { return c.at.Load().pin }
