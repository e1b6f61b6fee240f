package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/grant"
	"concordat.dev/protocol/receipt"
	"concordat.dev/ui/client"
	"concordat.dev/ui/mesh"
)

// givenUp says why a log of a size, as it was seen at a time, is not the mesh's any more: organisations signed a recovery later, or nobody did.
func (a *app) givenUp(ctx context.Context, s session, size int64, seen time.Time) string {
	self, err := s.Self(ctx)
	if err != nil {
		return ""
	}
	for _, r := range self.GetRecoveries() {
		at, err := time.Parse(time.RFC3339, r.GetAt())
		if err == nil && int64(r.GetSize()) < size && seen.Before(at) { //nolint:gosec // a size
			return fmt.Sprintf("\n      the participants signed a recovery (%s, change %d, entry %d of the log): the ledger went on from %d entries, and what came after them was given up",
				r.GetAt(), r.GetNumber(), r.GetIndex(), r.GetSize())
		}
	}
	return "\n      nobody signed a recovery that would explain this: the ledger was set back or forked. Keep what you have and tell the other participants"
}

// reserved is the time of the ledger at which a receipt's query was paid.
func reserved(r receipt.Receipt) time.Time {
	var g grant.Grant
	if err := json.Unmarshal(r.Grant.Grant.Payload, &g); err != nil {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, g.Reserved)
	if err != nil {
		return time.Time{}
	}
	return at
}

// checkLog says whether the log of the mesh, as it is now, holds what a receipt was logged in.
func (a *app) checkLog(ctx context.Context, r receipt.Receipt) (receipt.Check, error) {
	check := receipt.Check{Name: "log now", Status: receipt.Failed}
	s, err := a.signedIn(ctx)
	if err != nil {
		return check, err
	}
	ledger, log, err := s.LogKey(ctx)
	if err != nil {
		return check, err
	}
	then, err := client.OpenCheckpoint(r.Checkpoint, ledger, log)
	if err != nil {
		check.Detail = "the receipt is not of this mesh's ledger: " + err.Error()
		return check, nil
	}
	now, err := s.Checkpoint(ctx, ledger, log, then)
	conflict := connect.CodeOf(err) == connect.CodeAborted || connect.CodeOf(err) == connect.CodeFailedPrecondition
	switch {
	case err == nil:
		check.Status, check.Detail = receipt.Proved, fmt.Sprintf("entry %d is in the mesh's log, which has %d entries now", r.Index, now.Size)
		return check, nil
	case conflict || errors.Is(err, checkpoint.ErrRolledBack) || errors.Is(err, checkpoint.ErrForked):
		check.Detail = fmt.Sprintf("entry %d is not in the log, rolled back: %v%s", r.Index, err, a.givenUp(ctx, s, then.Size, reserved(r)))
		return check, nil
	default:
		return check, err
	}
}

// servingPhase is that of a coordinator that takes part in the ledger (NodeService.Self).
const servingPhase = "serving"

// statusRecoveries tells from where organisations had the ledger go on, and which coordinators take no part.
func (a *app) statusRecoveries(r mesh.Report) {
	told := false
	for _, c := range r.Coordinators {
		if c.Self == nil {
			continue
		}
		if phase := c.Self.GetPhase(); phase != servingPhase {
			fmt.Fprintf(a.Out, "%-15s %s %s\n", c.Name, phase, c.Self.GetDetail())
		}
		if recoveries := c.Self.GetRecoveries(); len(recoveries) > 0 && !told {
			told = true
			for _, r := range recoveries {
				fmt.Fprintf(a.Out, "recovered       %s: the ledger went on from %d entries, signed by all (entry %d); what came after them was given up\n", r.GetAt(), r.GetSize(), r.GetIndex())
			}
		}
	}
}
