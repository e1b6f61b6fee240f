package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"concordat.dev/coordinator/state"
	"concordat.dev/coordinator/store"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/endorse"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/grant"
	"concordat.dev/protocol/receipt"
)

type auditorService struct{ *API }

var _ concordatv1connect.AuditorServiceHandler = auditorService{}

// Checkpoint implements AuditorService: the log as it is now, and that it begins with the old one.
func (s auditorService) Checkpoint(ctx context.Context, req *connect.Request[concordatv1.CheckpointRequest]) (*connect.Response[concordatv1.CheckpointResponse], error) {
	const op = "checkpoint"
	if _, err := s.gate.admitAny(ctx, opCheckpoint); err != nil {
		return nil, err
	}
	keys, err := s.ledger()
	if err != nil {
		return nil, err
	}
	tree := s.State.Tree()
	old := req.Msg.GetOldSize()
	if old > uint64(tree.Size()) { //nolint:gosec // never negative
		return nil, fault.Newf(op, fault.Conflict, "the log has %d entries, not %d: keep what you have and ask why", tree.Size(), old)
	}
	note, err := keys.log.Checkpoint(tree, tree.Size())
	if err != nil {
		return nil, err
	}
	if cosigned, size, ok := s.State.Head(); ok && size == tree.Size() { // the same text, with what witnesses say to it
		note = []byte(cosigned)
	}
	proof, err := tree.Consistency(tree.Size(), int64(old)) //nolint:gosec // at most the size
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&concordatv1.CheckpointResponse{Note: note, Consistency: proof}), nil
}

// entryRecord is one leaf as it is listed. Salt and body are there for who may see what the leaf commits to.
type entryRecord struct {
	Index int64  `json:"index"`
	At    string `json:"at"`
	Kind  string `json:"kind"`
	Leaf  []byte `json:"leaf"`
	Salt  []byte `json:"salt,omitempty"`
	Body  []byte `json:"body,omitempty"`
}

// Entries implements AuditorService. Bodies of releases come with their receipts.
func (s auditorService) Entries(ctx context.Context, req *connect.Request[concordatv1.EntriesRequest]) (*connect.Response[concordatv1.EntriesResponse], error) {
	if _, err := s.gate.admit(ctx, opEntries, req.Msg.GetCollaboration()); err != nil {
		return nil, err
	}
	limit := int(req.Msg.GetLimit())
	if limit == 0 {
		limit = defaultLimit
	}
	records := []entryRecord{}
	start := int64(min(req.Msg.GetStart(), 1<<62)) //nolint:gosec // bounded
	for _, e := range s.State.Entries(req.Msg.GetCollaboration(), start, min(limit, maxLimit)) {
		r := entryRecord{Index: e.Index, At: e.At.Format(time.RFC3339), Kind: e.Kind, Leaf: e.Leaf}
		if len(e.Body) > 0 {
			r.Salt, r.Body = e.Salt, e.Body
		}
		records = append(records, r)
	}
	b, err := json.Marshal(records)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&concordatv1.EntriesResponse{Entries: b}), nil
}

// Receipt implements AuditorService.
func (s auditorService) Receipt(ctx context.Context, req *connect.Request[concordatv1.ReceiptRequest]) (*connect.Response[concordatv1.ReceiptResponse], error) {
	const op = "receipt"
	who, err := s.gate.admit(ctx, opReceipt, req.Msg.GetCollaboration())
	if err != nil {
		return nil, err
	}
	asked, ok := s.State.Query(req.Msg.GetId())
	if !ok || asked.Collaboration != req.Msg.GetCollaboration() || !s.mayReceive(who, asked) {
		return nil, fault.Newf(op, fault.NotFound, "no receipt %q that you may read", req.Msg.GetId())
	}
	q, ok := s.State.Query(asked.PaidBy)
	if !ok || q.Status != state.QueryReleased {
		return nil, fault.Newf(op, fault.Conflict, "query %s is %s: it has no receipt", asked.ID, asked.Status)
	}
	r, err := s.stored(ctx, q)
	if errors.Is(err, store.ErrMissing) || errors.Is(err, store.ErrDigest) || q.Object == "" {
		return nil, fault.Newf(op, fault.Conflict, "the release of %s is no longer stored: ask the same question again", asked.ID)
	}
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&concordatv1.ReceiptResponse{Receipt: r.receipt}), nil
}

// mayReceive says whether an actor may have a release: who asked for it and people of participants, as the manifest names its receivers,
// and auditors, who check receipts.
func (a *API) mayReceive(who actor, q state.Query) bool {
	m, ok := a.State.Newest(q.Collaboration)
	if !ok {
		return false
	}
	named, runner := m.Bundle.Manifest.Receiver(who.participant)
	return named || runner && q.Person == who.person || who.is(auditor)
}

// receipt bundles the proof of a recorded release.
func (a *API) receipt(q state.Query, r sealedRelease, result answer.Result) ([]byte, error) {
	out, err := a.bundle(q, r, result)
	if err != nil {
		return nil, fmt.Errorf("receipt of %s: %w", q.ID, err)
	}
	return out.Marshal()
}

func (a *API) bundle(q state.Query, r sealedRelease, result answer.Result) (receipt.Receipt, error) {
	var out receipt.Receipt
	m, ok := a.State.Manifest(q.Collaboration, q.Version)
	entry, logged := a.State.Entry(q.Receipt)
	if !ok || !logged {
		return out, errors.New("its manifest or its leaf is not known")
	}
	var err error
	if out.Body, err = endorse.Parse(r.ReceiptBody); err != nil {
		return out, err
	}
	if out.Grant, err = grant.Parse(r.Grant); err != nil {
		return out, err
	}
	if out.Result, err = result.Marshal(); err != nil {
		return out, err
	}
	text, err := a.history(q.Collaboration).Open(q.SQL, q.ID)
	if err != nil {
		return out, err
	}
	out.SQL = string(text)
	signed, err := amended(m)
	if err != nil {
		return out, err
	}
	out.Manifest, out.Policies, out.Approvals = signed.Manifest, signed.Policies, signed.Approvals
	for base := m.Base; base != nil; base = base.Base {
		before, err := amended(*base)
		if err != nil {
			return out, err
		}
		out.Amends = append(out.Amends, before)
	}
	checkpoint, size, err := a.head(q)
	if err != nil {
		return out, err
	}
	out.Index, out.Salt, out.Checkpoint, out.Root = q.Receipt, entry.Salt, checkpoint, a.rootOf(m)
	out.Proof, err = a.State.Tree().Inclusion(size, q.Receipt)
	return out, err
}

// amended is a version of a manifest as receipts carry it.
func amended(m state.Manifest) (receipt.Amended, error) {
	var approvals []dsse.Envelope
	for _, raw := range m.Approvals {
		e, err := dsse.Parse(raw)
		if err != nil {
			return receipt.Amended{}, err
		}
		approvals = append(approvals, e)
	}
	out := receipt.Amended{Manifest: m.Documents.Manifest, Approvals: receipt.Approvals(m.Bundle.Manifest, approvals)}
	for _, p := range m.Documents.Policies {
		out.Policies = append(out.Policies, p)
	}
	return out, nil
}
