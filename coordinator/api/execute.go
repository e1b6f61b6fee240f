package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"concordat.dev/coordinator/dispatch"
	"concordat.dev/coordinator/state"
	"concordat.dev/coordinator/store"
	"concordat.dev/observe"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/grant"
)

// executeLimit bounds one execution, other workers' attempts included.
const executeLimit = 15 * time.Minute

// failedMessage is all that is ever told of a failed query.
const failedMessage = "The query failed. Its price stays spent. The operator of the workers finds the incident in their log."

// released is a release with its receipt, or the failure.
type released struct {
	answer  answer.Answer
	receipt []byte
	failure *answer.Failure
}

// sealedRelease is what the object store keeps of a release: all that is needed to tell it again.
type sealedRelease struct {
	Answer      json.RawMessage `json:"answer"`
	ReceiptBody []byte          `json:"receipt_body"` // the worker's endorsement
	Grant       []byte          `json:"grant"`
}

// release gives the stored release of a paid question, or has it executed under the query that paid for it, again if that was begun before.
func (a *API) release(ctx context.Context, reserved state.Reserved, again bool) (released, error) {
	lost := ""
	if stored := reserved.Answer; stored != nil {
		r, err := a.stored(ctx, *stored)
		if err == nil {
			return r, a.settle(ctx, reserved.Query, *stored)
		}
		if !errors.Is(err, store.ErrMissing) && !errors.Is(err, store.ErrDigest) {
			return released{}, fault.New("query", fault.Unavailable, err)
		}
		observe.Log(ctx, a.Logger).Warn().Err(err).Str(fieldQuery, stored.ID).Msg("stored release is gone, computing it again")
		lost = stored.Object
	}
	paid, ok := a.State.Query(reserved.Query.PaidBy)
	if !ok {
		return released{}, fmt.Errorf("query %s was paid by %s, which is not known", reserved.Query.ID, reserved.Query.PaidBy)
	}
	sealed, failure, err := a.run(ctx, paid)
	if err != nil || failure != nil {
		return released{failure: failure}, errors.Join(err, a.fail(ctx, reserved.Query, failure))
	}
	r, recorded, err := a.commit(ctx, reserved.Query, paid, sealed, lost)
	if again && recorded {
		a.sweep(ctx, paid.ID)
	}
	return r, err
}

// sweep deletes releases of a query that were sealed and not recorded, since their coordinator died or was not the first: one is recorded, and
// stays. Whoever is about to record another one is told of that one instead.
func (a *API) sweep(ctx context.Context, query string) {
	q, ok := a.State.Query(query)
	if !ok || q.Object == "" {
		return
	}
	if err := a.Store.Sweep(ctx, store.ReleaseFolder(query), []string{q.Object}); err != nil {
		observe.Log(ctx, a.Logger).Warn().Err(err).Str(fieldQuery, query).Msg("sealed releases that nobody recorded remain")
	}
}

// settle notes that a query was answered by a stored release.
func (a *API) settle(ctx context.Context, asked, stored state.Query) error {
	if asked.Status == state.QueryReleased {
		return nil
	}
	_, _, err := state.Submit(ctx, a.Replica, a.Now(), state.Record{Query: asked.ID, Held: stored.Object})
	return err
}

// fail notes that a query failed, or that nobody knows how it ended.
func (a *API) fail(ctx context.Context, q state.Query, failure *answer.Failure) error {
	incident := ""
	if failure != nil {
		incident = failure.Incident
	}
	_, _, err := state.Submit(ctx, a.Replica, a.Now(), state.Fail{Query: q.ID, Incident: incident})
	return err
}

// run has a worker execute a reserved query. A failure is what the worker, or the lack of an answer, came to.
func (a *API) run(ctx context.Context, q state.Query) (sealedRelease, *answer.Failure, error) {
	request, err := a.executeRequest(q)
	if err != nil {
		return sealedRelease{}, nil, err
	}
	var loaded []string
	for _, d := range q.Datasets {
		loaded = append(loaded, d.Digest)
	}
	if err := a.cosigned(ctx, q, q.Leaf); err != nil {
		return sealedRelease{}, nil, err
	}
	var lag error // why this ledger can't prove to a worker what it demands; no fault of the worker
	done, err := dispatch.Do(ctx, a.Workers, loaded, func(ctx context.Context, c dispatch.Client) (*concordatv1.ExecuteResponse, error) {
		var r *concordatv1.ExecuteResponse
		r, lag, err = a.ask(ctx, c, q, request)
		return r, err
	})
	if lag != nil {
		return sealedRelease{}, nil, lag
	}
	if errors.Is(err, dispatch.ErrNoWorker) || errors.Is(err, dispatch.ErrTooLarge) || fault.KindOf(err) == fault.Conflict { // asking again is free, and may find one
		return sealedRelease{}, nil, a.workerFault(ctx, "execute", err)
	}
	failure := &answer.Failure{Message: failedMessage, Incident: request.GetIncident()}
	if err != nil {
		observe.Log(ctx, a.Logger).Error().Err(err).Str(fieldQuery, q.ID).Str(fieldIncident, failure.Incident).Msg("execution failed")
		return sealedRelease{}, failure, nil
	}
	got, err := answer.Parse(done.GetAnswer())
	if err != nil || got.Verdict != answer.Released || len(done.GetReceiptBody()) == 0 {
		observe.Log(ctx, a.Logger).Error().Err(err).Str(fieldQuery, q.ID).Str(fieldIncident, failure.Incident).Msg("execution gave no release")
		return sealedRelease{}, failure, nil
	}
	return sealedRelease{Answer: done.GetAnswer(), ReceiptBody: done.GetReceiptBody(), Grant: request.GetGrant()}, nil, nil
}

// executeRequest is determined by the reservation alone: documents, text, versions and grant are those of the query that paid.
func (a *API) executeRequest(q state.Query) (*concordatv1.ExecuteRequest, error) {
	m, ok := a.State.Manifest(q.Collaboration, q.Version)
	if !ok || m.Digest != q.Manifest {
		return nil, fmt.Errorf("query %s: its manifest version %d is gone", q.ID, q.Version)
	}
	text, err := a.history(q.Collaboration).Open(q.SQL, q.ID)
	if err != nil {
		return nil, fmt.Errorf("query %s: %w", q.ID, err)
	}
	request := &concordatv1.ExecuteRequest{Documents: a.documents(m), Sql: string(text), Rho: q.Rho, Incident: newID()}
	for _, ref := range q.Datasets {
		for _, v := range a.State.Dataset(q.Collaboration, ref.Dataset).Versions {
			if v.Version != ref.Version {
				continue
			}
			if v.Deleted {
				return nil, fault.Newf("execute", fault.Conflict, "dataset %s version %d was deleted", ref.Dataset, ref.Version)
			}
			request.Datasets = append(request.Datasets, &concordatv1.SealedDataset{
				Dataset: v.Dataset, Version: v.Version, Digest: v.Digest, Objects: v.Objects, Wrap: v.Wrap, Registration: v.Registration,
				Owner: a.owner(q.Collaboration, v),
			})
		}
	}
	signed, err := a.grant(q, text)
	if err != nil {
		return nil, fmt.Errorf("query %s: %w", q.ID, err)
	}
	if request.Grant, err = signed.Marshal(); err != nil {
		return nil, err
	}
	return request, nil
}

// owner is the key of a dataset's owner to which a worker bound the file when it sealed it: keys change, what was sealed does not.
func (a *API) owner(collaboration string, v state.DatasetVersion) string {
	m, ok := a.State.Manifest(collaboration, v.Manifest)
	if !ok {
		return ""
	}
	d, _ := m.Bundle.Manifest.Dataset(v.Dataset)
	p, ok := m.Bundle.Manifest.Participant(d.Owner)
	if !ok || len(p.Keys) == 0 {
		return ""
	}
	return p.Keys[0]
}

// grant signs what the ledger holds of a reservation.
func (a *API) grant(q state.Query, text []byte) (grant.Signed, error) {
	keys, err := a.ledger()
	if err != nil {
		return grant.Signed{}, err
	}
	g := grant.Grant{
		Query: q.ID, Ledger: keys.ledger, Collaboration: q.Collaboration, Version: q.Version, Manifest: q.Manifest,
		Person: q.Person, Participant: q.Participant, SQL: canon.Sum(text), Plan: canon.Digest(q.Plan), Question: canon.Digest(q.Question),
		Index: q.Index, Reserved: q.At.UTC().Format(time.RFC3339), Datasets: q.Granted(), Price: q.Paid(),
	}
	return grant.Sign(g, keys.grant, keys.endorsement)
}

// commit seals a release in the object store and puts its receipt into the log. Only then it may leave. Recorded is true if one was, this or another's.
func (a *API) commit(ctx context.Context, asked, paid state.Query, r sealedRelease, lost string) (out released, recorded bool, err error) {
	plain, err := json.Marshal(r)
	if err != nil {
		return released{}, false, err
	}
	name, digest, err := a.Store.PutRelease(ctx, a.releases(paid.Collaboration), paid.ID, newID(), plain)
	if err != nil {
		return released{}, false, fault.New("query", fault.Unavailable, err)
	}
	now, _, err := state.Submit(ctx, a.Replica, a.Now(), state.Record{
		Query: asked.ID, Body: r.ReceiptBody, Object: name, Digest: digest, Lost: lost,
	})
	if err != nil {
		return released{}, false, err
	}
	if now.Query.Object != name { // somebody else's execution of the same question was first: the same release, its receipt
		out, err = a.stored(ctx, now.Query)
	} else {
		out, err = a.tell(ctx, now.Query, r)
	}
	return out, true, err
}

// stored opens the release of a query that was recorded.
func (a *API) stored(ctx context.Context, q state.Query) (released, error) {
	plain, err := a.Store.Release(ctx, a.releases(q.Collaboration), q.Object, q.Digest)
	if err != nil {
		return released{}, err
	}
	var r sealedRelease
	if err := json.Unmarshal(plain, &r); err != nil {
		return released{}, err
	}
	return a.tell(ctx, q, r)
}

// tell makes answer and receipt of a recorded release, once the witnesses that its manifest demands have seen that it was recorded.
func (a *API) tell(ctx context.Context, q state.Query, r sealedRelease) (released, error) {
	if err := a.cosigned(ctx, q, q.Receipt); err != nil {
		return released{}, err
	}
	got, err := answer.Parse(r.Answer)
	if err != nil {
		return released{}, err
	}
	proof, err := a.receipt(q, r, got.Result())
	got.Receipt = &answer.ReceiptRef{ID: q.ID, LogIndex: q.Receipt}
	return released{answer: got, receipt: proof}, err
}
