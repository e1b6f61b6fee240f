package server

import (
	"context"
	"errors"
	"fmt"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/worker/churn"
	"concordat.dev/worker/ingest"
	"concordat.dev/worker/storage"
)

// errPrevious says that the version before can't be read by the policy in force.
var errPrevious = errors.New("the version before can't be compared with the new one, as the threshold mechanism demands: delete it first")

// changesFew says whether a policy forbids a version that changes a few units only.
func changesFew(p *document.Policy) bool {
	return !p.Unit.None && p.Release != nil && p.Release.Mechanism == document.Threshold
}

// compare reads the version before, to hold the new one against it.
func (s *Server) compare(ctx context.Context, p *document.Policy, previous *concordatv1.SealedDataset, wrapper *storage.Wrapper, bound storage.Binding) (*churn.Comparison, error) {
	schema, err := ingest.Schema(*p)
	if err != nil {
		return nil, err
	}
	rows, err := storage.NewReader(ctx, s.store, wrapper, bound, storage.Sealed{
		Digest: canon.Digest(previous.GetDigest()), Objects: previous.GetObjects(), Wrap: previous.GetWrap(),
	}, schema, 1)
	if err != nil {
		return nil, fmt.Errorf("the version before: %w", err)
	}
	defer rows.Release()
	compare := churn.New(p.Unit.Column, int(p.Release.MinUnits))
	for rows.Next() {
		if err := compare.Before(rows.RecordBatch()); err != nil {
			return nil, err
		}
	}
	if err := rows.Err(); errors.Is(err, storage.ErrColumns) {
		return nil, fmt.Errorf("%w: %w", errPrevious, err)
	} else if err != nil {
		return nil, fmt.Errorf("the version before: %w", err)
	}
	return compare, nil
}
