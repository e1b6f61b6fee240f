package api

import (
	"context"
	"encoding/json"
	"time"

	"connectrpc.com/connect"

	"concordat.dev/coordinator/state"
	"concordat.dev/protocol/dsse"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/upload"
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

	// What was uploaded, for the owner.
	Format string `json:"format,omitempty"`
	Bytes  int64  `json:"bytes,omitempty"`
	Parts  int    `json:"parts,omitempty"`
	Client string `json:"client,omitempty"`
	// The ingest report, sealed to the client that uploaded, as long as it is kept.
	Report json.RawMessage `json:"report,omitempty"`
}

// ListDatasets implements ParticipantService.
func (s participantService) ListDatasets(ctx context.Context, req *connect.Request[concordatv1.ListDatasetsRequest]) (*connect.Response[concordatv1.ListDatasetsResponse], error) {
	collaboration := req.Msg.GetCollaboration()
	who, err := s.gate.admit(ctx, opListDatasets, collaboration)
	if err != nil {
		return nil, err
	}
	records := []datasetRecord{}
	if m, ok := s.State.Newest(collaboration); ok {
		for _, d := range m.Bundle.Manifest.Datasets {
			if only := req.Msg.GetDataset(); only != "" && only != d.ID {
				continue
			}
			own := who.participant == d.Owner && (who.is(steward) || who.is(organisation))
			found := datasetRecords(d.ID, d.Owner, own, s.State.Dataset(collaboration, d.ID))
			if own {
				reports := s.State.Reports(collaboration, d.ID)
				for i := range found {
					if r := reports[found[i].Version]; json.Valid(r) {
						found[i].Report = r
					}
				}
			}
			records = append(records, found...)
		}
	}
	b, err := json.Marshal(records)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&concordatv1.ListDatasetsResponse{Datasets: b}), nil
}

func datasetRecords(id, owner string, own bool, d state.Dataset) []datasetRecord {
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
		if own {
			r.uploaded(v.Statement)
		}
		out = append(out, r)
	}
	return out
}

// uploaded tells what the steward signed for. Its signature was checked when it came.
func (r *datasetRecord) uploaded(signed []byte) {
	e, err := dsse.Parse(signed)
	if err != nil {
		return
	}
	var s upload.Statement
	if json.Unmarshal(e.Payload, &s) != nil {
		return
	}
	r.Format, r.Parts, r.Client = s.Format, len(s.Parts), s.Client
	for _, p := range s.Parts {
		r.Bytes += p.Plain
	}
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
