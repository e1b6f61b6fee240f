package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"filippo.io/age"

	"concordat.dev/observe"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/upload"
	"concordat.dev/worker/admit"
	"concordat.dev/worker/churn"
	"concordat.dev/worker/ingest"
	"concordat.dev/worker/storage"
	"concordat.dev/worker/token"
)

// maxText bounds the text of one upload after decompression: 1 TiB, as many parts as a statement may name.
const maxText = 1 << 40

func target(documents *admit.Documents, dataset string, version uint32, id string) upload.Target {
	m := documents.Bundle.Manifest
	return upload.Target{Ledger: m.Mesh.Ledger, Collaboration: m.Collaboration, Manifest: documents.Digest, Dataset: dataset, Version: version, Upload: id}
}

// OpenUpload makes a fresh recipient for one dataset version; its private half leaves the enclave wrapped only.
func (s service) OpenUpload(_ context.Context, req *connect.Request[concordatv1.WorkerOpenUploadRequest]) (*connect.Response[concordatv1.WorkerOpenUploadResponse], error) {
	const op = "open upload"
	m := req.Msg
	documents, err := s.documents(op, m.GetDocuments())
	if err != nil {
		return nil, err
	}
	owner, err := documents.Owner(m.GetDataset())
	if err != nil {
		return nil, connectError(fault.New(op, fault.NotFound, err))
	}
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, connectError(fault.New(op, fault.Internal, err))
	}
	keys, err := s.keys(documents, m.GetDocuments())
	if err != nil {
		return nil, connectError(fault.New(op, fault.Forbidden, err))
	}
	wrap, err := keys.wrapper.Wrap(storage.UploadIdentity, binding(documents.Bundle.Manifest, owner, m.GetDataset(), m.GetVersion()), []byte(identity.String()))
	if err != nil {
		return nil, connectError(fault.New(op, fault.Internal, err))
	}
	offer, err := upload.SignOffer(target(documents, m.GetDataset(), m.GetVersion(), m.GetUploadId()), identity.Recipient(), s.identity.Certificate)
	if err != nil {
		return nil, connectError(fault.New(op, fault.Invalid, err))
	}
	recipient, err := offer.Marshal()
	if err != nil {
		return nil, connectError(fault.New(op, fault.Internal, err))
	}
	return connect.NewResponse(&concordatv1.WorkerOpenUploadResponse{Recipient: recipient, IdentityWrap: wrap}), nil
}

// plain is how many bytes an upload holds.
func plain(s upload.Statement) (bytes int64) {
	for _, p := range s.Parts {
		bytes += max(p.Plain, p.Size)
	}
	return bytes
}

// Ingest verifies, decrypts, parses, validates, tokenises and seals an upload. Whatever is wrong with the file or its rows is answered by the report, which
// its owner alone can open; what is wrong with the upload, by a fault, which coordinators read. Either leaves nothing behind.
func (s service) Ingest(ctx context.Context, req *connect.Request[concordatv1.IngestRequest]) (*connect.Response[concordatv1.IngestResponse], error) {
	const op = "ingest"
	m := req.Msg
	documents, err := s.documents(op, m.GetDocuments())
	if err != nil {
		return nil, err
	}
	statement, digest, err := s.statement(documents, m)
	if err != nil {
		return nil, connectError(fault.New(op, fault.Invalid, err))
	}
	done, err := s.turn(ctx, op, m.GetDataset(), plain(statement))
	if err != nil {
		return nil, err
	}
	defer done()
	sealed, report, err := s.seal(ctx, documents, m, statement)
	switch {
	case errors.Is(err, ingest.ErrRejected), errors.Is(err, ingest.ErrFormat):
		return answerIngest(nil, statement, report)
	case errors.Is(err, churn.ErrFew): // how few is the owner's to know
		report.Refuse(ingest.RowError{Kind: "change", Cause: err.Error()})
		return answerIngest(nil, statement, report)
	case errors.Is(err, ingest.ErrPart), errors.Is(err, storage.ErrWrap), errors.Is(err, errPrevious):
		return nil, connectError(fault.New(op, fault.Invalid, err))
	case err != nil:
		if ctx.Err() == nil {
			observe.Log(ctx, s.log).Error().Err(err).Str(fieldUpload, m.GetUploadId()).Str(fieldDataset, m.GetDataset()).Msg("ingest failed")
		}
		if errors.Is(err, storage.ErrAway) {
			return nil, connectError(fault.New(op, fault.Conflict, storage.ErrAway))
		}
		return nil, connectError(fault.New(op, fault.Internal, err))
	}
	rules, err := rulesOf(documents.Bundle, m.GetDataset())
	if err != nil {
		return nil, connectError(fault.New(op, fault.Internal, err))
	}
	registration, err := upload.SignRegistration(upload.Registration{
		Target: target(documents, m.GetDataset(), m.GetVersion(), m.GetUploadId()), Statement: digest, Sealed: sealed.Digest, Tokens: rules,
	}, s.identity.Certificate)
	if err != nil {
		return nil, connectError(fault.New(op, fault.Internal, err))
	}
	signed, err := registration.Marshal()
	if err != nil {
		return nil, connectError(fault.New(op, fault.Internal, err))
	}
	return answerIngest(&concordatv1.SealedDataset{
		Dataset: m.GetDataset(), Version: m.GetVersion(), Digest: sealed.Digest.String(), Objects: sealed.Objects, Wrap: sealed.Wrap, Registration: signed,
	}, statement, report)
}

// rulesOf is the digest of what a dataset's tokens are made by, none for public data.
func rulesOf(b *document.Bundle, dataset string) (canon.Digest, error) {
	policy, ok := b.Policies[dataset]
	if !ok || policy.Unit.None {
		return "", nil
	}
	return token.RulesDigest(policy.Unit, b.Manifest.Namespaces[policy.Unit.Namespace])
}

// answerIngest seals the report, which holds values, to the client that sent the file.
func answerIngest(sealed *concordatv1.SealedDataset, statement upload.Statement, report ingest.Report) (*connect.Response[concordatv1.IngestResponse], error) {
	b, err := json.Marshal(report)
	if err != nil {
		return nil, connectError(fault.New("ingest", fault.Internal, err))
	}
	if b, err = upload.SealReport(statement.Report, report.Accepted, b); err != nil {
		return nil, connectError(fault.New("ingest", fault.Internal, err))
	}
	return connect.NewResponse(&concordatv1.IngestResponse{Sealed: sealed, Report: b, Accepted: sealed != nil}), nil
}

// statement verifies what the steward signed: for this upload, these parts and no other.
func (s *Server) statement(documents *admit.Documents, m *concordatv1.IngestRequest) (upload.Statement, canon.Digest, error) {
	envelope, err := dsse.Parse(m.GetStatement())
	if err != nil {
		return upload.Statement{}, "", err
	}
	stewards, err := documents.Stewards(m.GetDataset())
	if err != nil {
		return upload.Statement{}, "", err
	}
	out, err := upload.Verify(envelope, stewards)
	if err != nil {
		return upload.Statement{}, "", err
	}
	if out.Target != target(documents, m.GetDataset(), m.GetVersion(), m.GetUploadId()) {
		return upload.Statement{}, "", errors.New("the steward signed for another upload")
	}
	digest, err := canon.SumValue(envelope)
	return out, digest, err
}

func (s *Server) seal(ctx context.Context, documents *admit.Documents, m *concordatv1.IngestRequest, statement upload.Statement) (storage.Sealed, ingest.Report, error) {
	manifest := documents.Bundle.Manifest
	owner, err := documents.Owner(m.GetDataset())
	if err != nil {
		return storage.Sealed{}, ingest.Report{}, err
	}
	bound := binding(manifest, owner, m.GetDataset(), m.GetVersion())
	keys, err := s.keys(documents, m.GetDocuments())
	if err != nil {
		return storage.Sealed{}, ingest.Report{}, err
	}
	secret, err := keys.wrapper.Unwrap(storage.UploadIdentity, bound, m.GetIdentityWrap())
	if err != nil {
		return storage.Sealed{}, ingest.Report{}, err
	}
	identity, err := age.ParseHybridIdentity(string(secret))
	if err != nil {
		return storage.Sealed{}, ingest.Report{}, err
	}
	policy := documents.Bundle.Policies[m.GetDataset()]
	options := ingest.Options{Policy: *policy, MaxBytes: maxText, ShowValues: true} // the report is sealed to the owner
	if t := statement.Tolerate; t != nil {
		options.Tolerance, options.ToleratedShare = t.Rows, t.Share
	}
	if !policy.Unit.None {
		rules := manifest.Namespaces[policy.Unit.Namespace]
		if options.Tokenizer, options.Second, err = token.ForUnit(keys.tokens(), manifest.Collaboration, policy.Unit, rules); err != nil {
			return storage.Sealed{}, ingest.Report{}, err
		}
	}
	if before := m.GetPrevious(); before != nil && changesFew(policy) {
		earlier := binding(manifest, owner, m.GetDataset(), before.GetVersion())
		if before.GetOwner() != "" { // the owner's keys may have changed since
			earlier.Owner = before.GetOwner()
		}
		if err := s.registered(documents, keys.before, before); err != nil {
			return storage.Sealed{}, ingest.Report{}, fmt.Errorf("%w: %w", errPrevious, err)
		}
		if options.Beside, err = s.compare(ctx, policy, before, keys.wrapper, earlier); err != nil {
			return storage.Sealed{}, ingest.Report{}, err
		}
	}
	parts := ingest.Parts{Store: s.store, Keys: m.GetParts(), Statement: statement, Identity: identity}
	return ingest.Seal(ctx, options, parts, s.store, keys.wrapper, bound)
}
