package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"connectrpc.com/connect"

	"concordat.dev/coordinator/dispatch"
	"concordat.dev/coordinator/signin"
	"concordat.dev/coordinator/state"
	"concordat.dev/coordinator/store"
	"concordat.dev/protocol/authn"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/upload"
)

// The phases of completing an upload. A worker does the middle two in one call.
const (
	phaseVerify   = "verify"
	phaseIngest   = "ingest"
	phaseSeal     = "seal"
	phaseRegister = "register"
)

// OpenUpload implements ParticipantService: a worker makes an identity for the next version of the dataset.
func (s participantService) OpenUpload(ctx context.Context, req *connect.Request[concordatv1.OpenUploadRequest]) (*connect.Response[concordatv1.OpenUploadResponse], error) {
	const op = "open upload"
	collaboration, id := req.Msg.GetCollaboration(), req.Msg.GetDataset()
	req.Msg.IdempotencyKey = idempotent(req.Msg.GetIdempotencyKey(), req.Header())
	who, err := s.gate.admit(ctx, opOpenUpload, collaboration)
	if err != nil {
		return nil, err
	}
	if len(req.Msg.GetIdempotencyKey()) > maxKey {
		return nil, fault.Newf(op, fault.Invalid, "idempotency key of %d bytes, at most %d", len(req.Msg.GetIdempotencyKey()), maxKey)
	}
	for range attempts {
		m, ok := s.State.Newest(collaboration)
		if !ok || m.Status != state.Active {
			return nil, fault.Newf(op, fault.Conflict, "the manifest of %s is %s: nothing can be uploaded", collaboration, m.Status)
		}
		d, ok := m.Bundle.Manifest.Dataset(id)
		if !ok {
			return nil, fault.Newf(op, fault.NotFound, "the manifest of %s has no dataset %q", collaboration, id)
		}
		if d.Owner != who.participant {
			return nil, fault.Newf(op, fault.Forbidden, "dataset %s belongs to %s: its stewards upload it", id, d.Owner)
		}
		u, open := s.State.OpenedUpload(collaboration, who.person, id, req.Msg.GetIdempotencyKey())
		if !open {
			u, err = s.offer(ctx, m, who, req.Msg)
		}
		if errors.Is(err, state.ErrChanged) {
			if err = s.Replica.Sync(ctx); err == nil {
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		if !open {
			s.counts.uploads.WithLabelValues("opened").Inc()
		}
		return connect.NewResponse(&concordatv1.OpenUploadResponse{UploadId: u.ID, Recipient: u.Recipient, Version: u.Version}), nil
	}
	return nil, fault.Newf(op, fault.Unavailable, "dataset %s changes all the time: try again", id)
}

func (s participantService) offer(ctx context.Context, m state.Manifest, who actor, req *concordatv1.OpenUploadRequest) (state.Upload, error) {
	u := state.Upload{
		ID: newID(), Collaboration: req.GetCollaboration(), Dataset: req.GetDataset(), Participant: who.participant, Person: who.person,
		Version: s.State.Dataset(req.GetCollaboration(), req.GetDataset()).Next, Manifest: m.Digest, Key: req.GetIdempotencyKey(),
	}
	request := &concordatv1.WorkerOpenUploadRequest{Documents: s.documents(m), Dataset: u.Dataset, Version: u.Version, UploadId: u.ID}
	offered, err := dispatch.Do(ctx, s.Workers, nil, func(ctx context.Context, c dispatch.Client) (*concordatv1.WorkerOpenUploadResponse, error) {
		r, err := c.OpenUpload(ctx, connect.NewRequest(request))
		if err != nil {
			return nil, err
		}
		return r.Msg, nil
	})
	if err != nil {
		return state.Upload{}, s.workerFault(ctx, "open upload", err)
	}
	u.Recipient, u.IdentityWrap = offered.GetRecipient(), offered.GetIdentityWrap()
	u, _, err = state.Submit(ctx, s.Replica, s.Now(), state.OpenUpload{Upload: u})
	return u, err
}

// own finds an upload that the caller may work on.
func (a *API) own(ctx context.Context, op operation, id string) (state.Upload, actor, error) {
	if err := a.Replica.Sync(ctx); err != nil {
		return state.Upload{}, actor{}, fault.New(string(op), fault.Unavailable, err)
	}
	u, ok := a.State.Upload(id)
	admit := a.gate.admitAny
	if ok {
		admit = func(ctx context.Context, op operation) (actor, error) { return a.gate.admit(ctx, op, u.Collaboration) }
	}
	who, err := admit(ctx, op)
	if err != nil {
		return state.Upload{}, actor{}, err
	}
	if !ok || u.Participant != who.participant {
		return state.Upload{}, actor{}, fault.Newf(string(op), fault.NotFound, "upload %q is not known: open a new one", id)
	}
	return u, who, nil
}

// putPart takes one encrypted part. Sent again it is no other part.
func (a *API) putPart(w http.ResponseWriter, r *http.Request) {
	if err := a.takePart(r); err != nil { //nolint:contextcheck // the request carries it
		a.refusePart(w, withoutStore(r.Context(), a.Logger, string(opUploadPart), err))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// sender is who sends a part, and the digest that it names: by its signature, or for a page by its session. The store holds the bytes against the
// digest, and the steward signs for all digests in the end.
func (a *API) sender(r *http.Request) (context.Context, canon.Digest, error) {
	v, err := a.verifier()
	if err != nil {
		return nil, "", err
	}
	if _, page := signin.From(r.Context()); page && r.Header.Get(authn.HeaderKey) == "" {
		digest, err := canon.ParseDigest(r.Header.Get(authn.HeaderDigest))
		if err != nil {
			return nil, "", fault.Newf("upload part", fault.Invalid, "%s: %w", authn.HeaderDigest, err)
		}
		return r.Context(), digest, nil
	}
	k, digest, err := v.VerifyNamed(r, store.MaxPart)
	if err != nil {
		return nil, "", authn.Fault(err)
	}
	return authn.WithKey(r.Context(), k), digest, nil
}

func (a *API) takePart(r *http.Request) error {
	const op = "upload part"
	ctx, digest, err := a.sender(r)
	if err != nil {
		return err
	}
	u, _, err := a.own(ctx, opUploadPart, r.PathValue("id"))
	if err != nil {
		return err
	}
	number, err := strconv.ParseUint(r.PathValue("number"), 10, 32)
	if err != nil || number < 1 || number > store.MaxParts {
		return fault.Newf(op, fault.Invalid, "part number %q: want 1 to %d", r.PathValue("number"), store.MaxParts)
	}
	if u.State != state.UploadOpen {
		return fault.Newf(op, fault.Conflict, "upload %s is %s: open a new one", u.ID, u.State)
	}
	err = a.Store.PutPart(ctx, u.ID, uint32(number), digest, r.Body)
	switch {
	case errors.Is(err, store.ErrDigest):
		return fault.New(op, fault.Invalid, err)
	case errors.Is(err, store.ErrTooLarge):
		return fault.New(op, fault.TooLarge, err)
	case err != nil:
		return fault.New(op, fault.Unavailable, err)
	}
	return nil
}

// refusePart answers in plain HTTP: a part is no Connect call.
func (a *API) refusePart(w http.ResponseWriter, err error) {
	status := map[fault.Kind]int{
		fault.Invalid: http.StatusBadRequest, fault.Unauthenticated: http.StatusUnauthorized, fault.Forbidden: http.StatusForbidden,
		fault.NotFound: http.StatusNotFound, fault.Conflict: http.StatusConflict, fault.TooLarge: http.StatusRequestEntityTooLarge,
		fault.Unavailable: http.StatusServiceUnavailable,
	}[fault.KindOf(err)]
	if status == 0 {
		status = http.StatusInternalServerError
		a.Logger.Error().Err(err).Msg("upload of a part failed")
	}
	http.Error(w, fault.Connect(err).Message(), status)
}

// UploadStatus implements ParticipantService: which parts are there, so that an upload can go on.
func (s participantService) UploadStatus(ctx context.Context, req *connect.Request[concordatv1.UploadStatusRequest]) (*connect.Response[concordatv1.UploadStatusResponse], error) {
	u, _, err := s.own(ctx, opUploadStatus, req.Msg.GetUploadId())
	if err != nil {
		return nil, err
	}
	parts, err := s.Store.Parts(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	out := &concordatv1.UploadStatusResponse{State: string(u.State)}
	for _, p := range parts {
		out.Parts = append(out.Parts, &concordatv1.UploadedPart{Number: p.Number, Digest: p.Digest.String(), Size: uint64(p.Size)}) //nolint:gosec // never negative
	}
	return connect.NewResponse(out), nil
}

// CompleteUpload implements ParticipantService: a worker verifies and seals the parts, and the new version is registered.
func (s participantService) CompleteUpload(ctx context.Context, req *connect.Request[concordatv1.CompleteUploadRequest], stream *connect.ServerStream[concordatv1.CompleteUploadEvent]) error {
	u, who, err := s.own(ctx, opCompleteUpload, req.Msg.GetUploadId())
	if err != nil {
		return err
	}
	tell := func(phase string) error {
		return stream.Send(&concordatv1.CompleteUploadEvent{Event: &concordatv1.CompleteUploadEvent_Phase{Phase: phase}})
	}
	if u.State == state.UploadOpen {
		if err := tell(phaseVerify); err != nil {
			return err
		}
		parts, err := s.checkParts(ctx, u, who, req.Msg.GetStatement())
		if err != nil {
			return err
		}
		if err := tell(phaseIngest); err != nil {
			return err
		}
		if u, err = s.ingest(ctx, u, req.Msg.GetStatement(), parts, tell); err != nil {
			return err
		}
		s.counts.uploads.WithLabelValues("completed").Inc()
	}
	s.clean(ctx, u) // also when it was closed before: whoever closed it may have died over this
	return stream.Send(&concordatv1.CompleteUploadEvent{Event: &concordatv1.CompleteUploadEvent_Report{Report: u.Report}, Registered: u.State == state.UploadRegistered})
}

// checkParts checks the steward's statement, and that each part it signs for is there. Workers check both again.
func (s participantService) checkParts(ctx context.Context, u state.Upload, who actor, raw []byte) ([]string, error) {
	const op = "complete upload"
	envelope, err := dsse.Parse(raw)
	if err != nil {
		return nil, fault.New(op, fault.Invalid, err)
	}
	said, err := upload.Verify(envelope, s.signers(who, u.Collaboration))
	if err != nil {
		return nil, fault.New(op, fault.Invalid, err)
	}
	want := upload.Target{
		Ledger: s.State.Basis().Ledger, Collaboration: u.Collaboration, Manifest: u.Manifest, Dataset: u.Dataset, Version: u.Version, Upload: u.ID,
	}
	if said.Target != want {
		return nil, fault.Newf(op, fault.Invalid, "the statement is for upload %s of %s version %d, not for this one", said.Upload, said.Dataset, said.Version)
	}
	have, err := s.Store.Parts(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	type content struct {
		number uint32
		digest canon.Digest
	}
	numbers, sizes := map[uint32]bool{}, map[content]int64{}
	for _, p := range have {
		numbers[p.Number], sizes[content{p.Number, p.Digest}] = true, p.Size
	}
	var keys []string
	for i, p := range said.Parts {
		number := uint32(i + 1) //nolint:gosec // at most MaxParts
		size, ok := sizes[content{number, p.Digest}]
		switch {
		case !numbers[number]:
			return nil, fault.Newf(op, fault.Conflict, "part %d of %d is missing: send it, then complete again", number, len(said.Parts))
		case !ok || size != p.Size:
			return nil, fault.Newf(op, fault.Conflict, "part %d is not %s of %d bytes, as the statement says: send the right one", number, p.Digest, p.Size)
		}
		keys = append(keys, store.PartKey(u.ID, number, p.Digest))
	}
	return keys, nil
}

func (s participantService) ingest(ctx context.Context, u state.Upload, statement []byte, parts []string, tell func(string) error) (state.Upload, error) {
	m, ok := s.State.Newest(u.Collaboration)
	if !ok || m.Status != state.Active || m.Digest != u.Manifest {
		return state.Upload{}, fault.Newf("complete upload", fault.Conflict, "the manifest of %s changed since the upload was opened: open a new one", u.Collaboration)
	}
	request := &concordatv1.IngestRequest{
		Documents: s.documents(m), Dataset: u.Dataset, Version: u.Version, UploadId: u.ID, IdentityWrap: u.IdentityWrap, Statement: statement, Parts: parts,
	}
	if p := m.Bundle.Policies[u.Dataset]; p != nil && p.Release != nil && p.Release.Mechanism == document.Threshold {
		if before, ok := s.State.Dataset(u.Collaboration, u.Dataset).Current(); ok {
			request.Previous = &concordatv1.SealedDataset{
				Dataset: before.Dataset, Version: before.Version, Digest: before.Digest, Objects: before.Objects, Wrap: before.Wrap,
				Registration: before.Registration, Owner: s.owner(u.Collaboration, before),
			}
		}
	}
	done, err := dispatch.Do(ctx, s.Workers, nil, func(ctx context.Context, c dispatch.Client) (*concordatv1.IngestResponse, error) {
		r, err := c.Ingest(ctx, connect.NewRequest(request))
		if err != nil {
			return nil, err
		}
		return r.Msg, nil
	})
	if err != nil {
		return state.Upload{}, s.workerFault(ctx, "complete upload", err)
	}
	end := state.CloseUpload{Upload: u.ID, Report: done.GetReport()}
	if sealed := done.GetSealed(); done.GetAccepted() && sealed != nil {
		if err := tell(phaseSeal); err != nil {
			return state.Upload{}, err
		}
		if sealed.GetDataset() != u.Dataset || sealed.GetVersion() != u.Version {
			return state.Upload{}, fmt.Errorf("a worker sealed %s version %d for %s version %d", sealed.GetDataset(), sealed.GetVersion(), u.Dataset, u.Version)
		}
		end.Sealed = &state.DatasetVersion{
			Digest: sealed.GetDigest(), Objects: sealed.GetObjects(), Wrap: sealed.GetWrap(), Registration: sealed.GetRegistration(), Statement: statement,
		}
	}
	if err := tell(phaseRegister); err != nil {
		return state.Upload{}, err
	}
	closed, _, err := state.Submit(ctx, s.Replica, s.Now(), end)
	return closed, err
}

// cleanLimit bounds the clean-up after an upload, which goes on without the person.
const cleanLimit = time.Minute

// clean deletes the parts of a closed upload, ciphertext to a key that is gone, and the sealed files of its version that are not registered: those of
// workers that died over it, or of a second completion that came too late. What is registered is asked of the state, not of this attempt.
func (s participantService) clean(ctx context.Context, closed state.Upload) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanLimit)
	defer cancel()
	if err := s.Store.DropUpload(ctx, closed.ID); err != nil {
		s.Logger.Warn().Err(err).Str(fieldDataset, closed.Dataset).Msg("parts of a closed upload remain")
	}
	var keep []string
	for _, v := range s.State.Dataset(closed.Collaboration, closed.Dataset).Versions {
		if v.Version == closed.Version {
			keep = v.Objects
		}
	}
	if closed.State == state.UploadRegistered && len(keep) == 0 {
		return // deleted meanwhile, by whoever destroyed its keys
	}
	if err := s.Store.Sweep(ctx, upload.Folder(closed.Collaboration, closed.Dataset, closed.Version), keep); err != nil {
		s.Logger.Warn().Err(err).Str(fieldDataset, closed.Dataset).Msg("sealed files that nobody registered remain")
	}
}
