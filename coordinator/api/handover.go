package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	"concordat.dev/coordinator/dispatch"
	"concordat.dev/coordinator/state"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/evidence/sgx"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/handover"
)

type handoverService struct{ *API }

var _ concordatv1connect.HandoverServiceHandler = handoverService{}

// How long queries under way may take to end before a ledger is handed over, and how long new ones are turned away for it at most.
const (
	drainDefault = 20 * time.Second
	drainMost    = 15 * time.Minute
	prepareSpare = 2 * time.Minute
	drainPoll    = 50 * time.Millisecond
)

// HandoverPath is where the package is fetched from the old mesh and put to the new one.
const HandoverPath = "/handover"

// The phases of a handover.
const (
	phaseDrain = "drain"
	phaseDone  = "done"
)

// moved is why a call is not served here any more, nil where it is.
func (a *API) moved(path string) error {
	h := a.State.Handover()
	if h == nil || !h.Done || path == HandoverPath || strings.HasPrefix(path, "/"+concordatv1connect.HandoverServiceName+"/") {
		return nil
	}
	return fault.New("", fault.Unavailable, state.ErrHandingOver)
}

// tellMoved adds to an error of a ledger on its way to another mesh where that is.
func (a *API) tellMoved(err *connect.Error) *connect.Error {
	if err.Code() != connect.CodeUnavailable {
		return err
	}
	h := a.State.Handover()
	awaits := h == nil && a.State.Awaits() != nil
	if h == nil && !awaits {
		return err
	}
	told := &concordatv1.HandedOver{Ledger: a.State.Basis().Ledger}
	if h != nil && h.Done {
		told.RootCertificate = h.To.RootCertificate
		if s, err := handover.ParseSuccessor(h.Successor); err == nil {
			told.Addresses = s.Addresses
		}
	}
	if detail, detailErr := connect.NewErrorDetail(told); detailErr == nil {
		err.AddDetail(detail)
	}
	return err
}

// HandOver implements HandoverService. What participants signed is the authority; who asks only chooses the moment.
func (s handoverService) HandOver(ctx context.Context, req *connect.Request[concordatv1.HandOverRequest], stream *connect.ServerStream[concordatv1.HandOverEvent]) error {
	const op = "hand over"
	if _, err := s.gate.admitAny(ctx, opHandOver); err != nil {
		return err
	}
	tell := func(phase, detail string) error {
		return stream.Send(&concordatv1.HandOverEvent{Phase: phase, Detail: detail})
	}
	if h := s.State.Handover(); h != nil && h.Done {
		return tell(phaseDone, h.To.RootCertificate)
	}
	drain := time.Duration(req.Msg.GetDrainSeconds()) * time.Second
	if drain == 0 {
		drain = drainDefault
	}
	if drain > drainMost {
		return fault.Newf(op, fault.Invalid, "queries under way may take %s at most to end", drainMost)
	}
	successor, err := s.checkSuccessor(req.Msg.GetSuccessor())
	if err != nil {
		return fault.New(op, fault.Forbidden, err)
	}
	prepared := state.PrepareHandover{Seconds: int64((drain + prepareSpare).Seconds())}
	if _, _, err := state.Submit(ctx, s.Replica, s.Now(), prepared); err != nil {
		return err
	}
	done, err := s.handOver(ctx, successor, drain, tell)
	if err != nil { // work goes on here
		_, _, again := state.Submit(context.WithoutCancel(ctx), s.Replica, s.Now(), state.PrepareHandover{})
		return errors.Join(err, again)
	}
	return tell(phaseDone, done.To.RootCertificate)
}

// checkSuccessor holds what the new mesh tells of itself against what all participants signed.
func (s handoverService) checkSuccessor(raw []byte) ([]byte, error) {
	pins, _, err := s.State.Agreement()
	if err != nil {
		return nil, err
	}
	_, err = recipients(raw, pins, s.Now())
	return raw, err
}

func recipients(raw []byte, pins document.Mesh, at time.Time) (handover.Recipients, error) {
	successor, err := handover.ParseSuccessor(raw)
	if err != nil {
		return handover.Recipients{}, err
	}
	v, err := sgx.New()
	if err != nil {
		return handover.Recipients{}, err
	}
	return successor.Check(pins, []evidence.Verifier{v}, at)
}

func (s handoverService) handOver(ctx context.Context, successor []byte, drain time.Duration, tell func(phase, detail string) error) (state.Handover, error) {
	if err := s.drain(ctx, drain, tell); err != nil {
		return state.Handover{}, err
	}
	_, agreed, err := s.State.Agreement()
	if err != nil {
		return state.Handover{}, err
	}
	request := &concordatv1.BequeathRequest{Successor: successor, Ledger: s.State.Basis().Ledger}
	for _, c := range agreed {
		request.Bequests = append(request.Bequests, &concordatv1.Bequest{InForce: s.documents(c.InForce), Agreed: s.documents(c.Next)})
	}
	sealed, err := dispatch.Do(ctx, s.Workers, nil, func(ctx context.Context, c dispatch.Client) (*concordatv1.BequeathResponse, error) {
		r, err := c.Bequeath(ctx, connect.NewRequest(request))
		if err != nil {
			return nil, err
		}
		return r.Msg, nil
	})
	if err != nil {
		return state.Handover{}, s.workerFault(ctx, "hand over", err)
	}
	done, _, err := state.Submit(ctx, s.Replica, s.Now(), state.HandOver{Successor: successor, Worker: sealed.GetSealed()})
	return done, err
}

// drain waits until no query is under way, or the time is over: those that are not over by then are asked again at the other mesh.
func (s handoverService) drain(ctx context.Context, limit time.Duration, tell func(phase, detail string) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for last := -1; ; {
		n := s.State.Unsettled(s.Now().Add(-executeLimit))
		if n != last {
			if err := tell(phaseDrain, fmt.Sprint(n)); err != nil {
				return err
			}
		}
		if last = n; n == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil
			}
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// givePackage hands out the package: secrets and state, sealed to the mesh that takes over. It may be asked for as often as need be.
func (a *API) givePackage(w http.ResponseWriter, r *http.Request) {
	sealed, err := a.sealPackage(r.Context())
	if err != nil {
		http.Error(w, err.Error(), httpStatus(err))
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(sealed) // the peer may be gone
}

func (a *API) sealPackage(ctx context.Context) ([]byte, error) {
	const op = "hand over"
	if _, err := a.gate.admitAny(ctx, opHandOver); err != nil {
		return nil, err
	}
	h := a.State.Handover()
	if h == nil || !h.Done {
		return nil, fault.Newf(op, fault.Conflict, "this ledger was not handed over")
	}
	tree := a.State.Tree()
	last, ok := a.State.Entry(tree.Size() - 1)
	if !ok {
		return nil, fault.Newf(op, fault.Internal, "the log is empty")
	}
	to, err := recipients(h.Successor, h.To, last.At)
	if err != nil {
		return nil, fault.New(op, fault.Forbidden, err)
	}
	e := handover.LedgerEstate{
		Origin: handover.Origin{Ledger: a.State.Basis().Ledger, To: canon.Digest(h.To.RootCertificate), Roots: a.roots()}, Texts: map[string]handover.Texts{},
	}
	e.Log, e.Grant = a.seeds(e.Ledger)
	for _, id := range a.State.Collaborations() {
		if m, ok := a.State.Newest(id); ok && m.Bundle.Manifest.Mesh.RootCertificate == h.To.RootCertificate {
			e.Texts[m.Founding.String()] = a.texts(m.Founding)
		}
	}
	write, err := a.State.Snapshot()
	if err != nil {
		return nil, fault.New(op, fault.Internal, err)
	}
	var state bytes.Buffer
	if err := write(&state); err != nil {
		return nil, fault.New(op, fault.Internal, err)
	}
	return handover.SealLedger(e, h.Worker, state.Bytes(), a.Identity.Certificate, to.Coordinator)
}

func httpStatus(err error) int {
	switch fault.KindOf(err) {
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.Conflict, fault.Invalid:
		return http.StatusConflict
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}
