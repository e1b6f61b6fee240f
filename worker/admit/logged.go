package admit

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/event"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
)

// ErrLog says that the witnessed log does not show the reservation that a grant speaks of.
var ErrLog = errors.New("reservation not in a witnessed log")

// Quorum is how many witnesses have to cosign before anything is released; 0 is none.
func (d *Documents) Quorum() int {
	if w := d.Bundle.Manifest.Witnesses; w != nil {
		return w.Quorum
	}
	return 0
}

// Logged verifies that the quorum of the manifest's witnesses cosigned a checkpoint of its ledger, at a time when the manifest had not
// expired, and that the log holds the reservation that was granted. Whether the log only grew since it was seen last is package follow's.
func (m Mesh) Logged(l *concordatv1.Logged, documents *Documents, g Granted) (checkpoint.Checkpoint, error) {
	manifest := documents.Bundle.Manifest
	fail := func(format string, args ...any) (checkpoint.Checkpoint, error) {
		return checkpoint.Checkpoint{}, fmt.Errorf("%w: "+format, append([]any{ErrLog}, args...)...)
	}
	head, err := checkpoint.Open(string(l.GetCheckpoint()), manifest.Mesh.Ledger, g.Log, manifest.Witnesses.Keys)
	if err != nil {
		return fail("%w", err)
	}
	if n := len(head.Cosigned); n < manifest.Witnesses.Quorum {
		return fail("%d of %d cosignatures", n, manifest.Witnesses.Quorum)
	}
	if at, _ := head.Time(); at.Format(time.DateOnly) > manifest.Expires {
		return fail("the witnesses' time is %s, the manifest expired on %s", at.Format(time.RFC3339), manifest.Expires)
	}
	if len(l.GetSalt()) != checkpoint.SaltSize || l.GetIndex() > math.MaxInt64 {
		return fail("salt of %d bytes, index %d", len(l.GetSalt()), l.GetIndex())
	}
	if err := head.Includes(int64(l.GetIndex()), checkpoint.Leaf(l.GetSalt(), l.GetBody()), l.GetInclusion()); err != nil {
		return fail("%w", err)
	}
	e, r, err := event.ReservationOf(l.GetBody())
	if err != nil {
		return fail("%w", err)
	}
	if e.Ledger != g.Ledger || e.Collaboration != g.Collaboration || r.Query != g.Query || r.Version != g.Version || r.Manifest != g.Manifest ||
		r.Plan != g.Plan || r.Question != g.Question || !slices.Equal(r.Datasets, g.Datasets) || !slices.Equal(r.Price, g.Price) {
		return fail("the log holds another reservation than was granted")
	}
	return head, nil
}
