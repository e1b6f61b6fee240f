package api

import (
	"context"
	"encoding/json"
	"time"

	"connectrpc.com/connect"

	"concordat.dev/coordinator/state"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
)

// datasetRecord is one version of a dataset as it is listed.
type datasetRecord struct {
	Dataset    string `json:"dataset"`
	Owner      string `json:"owner"`
	Version    uint32 `json:"version"`
	State      string `json:"state"` // current | older | deleted | missing
	Manifest   int    `json:"manifest_version"`
	Registered string `json:"registered"`
	By         string `json:"by"`
	Digest     string `json:"digest"`
}

// ListDatasets implements ParticipantService.
func (s participantService) ListDatasets(ctx context.Context, req *connect.Request[concordatv1.ListDatasetsRequest]) (*connect.Response[concordatv1.ListDatasetsResponse], error) {
	collaboration := req.Msg.GetCollaboration()
	if _, err := s.gate.admit(ctx, opListDatasets, collaboration); err != nil {
		return nil, err
	}
	records := []datasetRecord{}
	if m, ok := s.State.Newest(collaboration); ok {
		for _, d := range m.Bundle.Manifest.Datasets {
			if only := req.Msg.GetDataset(); only != "" && only != d.ID {
				continue
			}
			records = append(records, datasetRecords(d.ID, d.Owner, s.State.Dataset(collaboration, d.ID))...)
		}
	}
	b, err := json.Marshal(records)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&concordatv1.ListDatasetsResponse{Datasets: b}), nil
}

func datasetRecords(id, owner string, d state.Dataset) []datasetRecord {
	if len(d.Versions) == 0 {
		return []datasetRecord{{Dataset: id, Owner: owner, State: "missing"}}
	}
	var out []datasetRecord
	current, ok := d.Current()
	for _, v := range d.Versions {
		r := datasetRecord{
			Dataset: id, Owner: owner, Version: v.Version, State: "older", Manifest: v.Manifest,
			Registered: v.At.Format(time.RFC3339), By: v.Person, Digest: v.Digest,
		}
		switch {
		case v.Deleted:
			r.State = "deleted"
		case ok && v.Version == current.Version:
			r.State = "current"
		}
		out = append(out, r)
	}
	return out
}

// DeleteDataset implements ParticipantService: the key is destroyed in the state, then the objects are deleted.
func (s participantService) DeleteDataset(ctx context.Context, req *connect.Request[concordatv1.DeleteDatasetRequest]) (*connect.Response[concordatv1.DeleteDatasetResponse], error) {
	if _, err := s.gate.admit(ctx, opDeleteDataset, req.Msg.GetCollaboration()); err != nil {
		return nil, err
	}
	destroyed, _, err := state.Submit(ctx, s.Replica, s.Now(), state.Delete{
		Collaboration: req.Msg.GetCollaboration(), Dataset: req.Msg.GetDataset(), Version: req.Msg.GetVersion(), Statement: req.Msg.GetStatement(),
	})
	if err != nil {
		return nil, err
	}
	if err := s.Store.Delete(ctx, destroyed.Objects...); err != nil {
		return nil, err
	}
	return connect.NewResponse(&concordatv1.DeleteDatasetResponse{}), nil
}
