package clienttest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"

	"concordat.dev/protocol/authn"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/endorse"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/upload"
	"connectrpc.com/connect"
	"filippo.io/age"
)

// Uploads is the upload side of the fake: a worker's recipient, parts in memory, and a report on what came out.
type Uploads struct {
	t        testing.TB
	identity *age.HybridIdentity
	target   upload.Target
	state    string
	parts    map[uint32][]byte
	key      string

	// Puts counts the parts that were taken, sent again included.
	Puts int
	// Refuse makes every PUT after so many fail, as a coordinator that went away does; negative: never.
	Refuse int
	// Plain is the file as the worker saw it, and Signed what the steward signed for.
	Plain  []byte
	Signed upload.Statement
	// Report is sent in place of the own one.
	Report string
	// Offered changes the offer before it is endorsed: for tests of what clients must refuse.
	Offered func(*upload.Target)
}

// OpenUpload implements ParticipantService.
func (c *Coordinator) OpenUpload(_ context.Context, r *connect.Request[concordatv1.OpenUploadRequest]) (*connect.Response[concordatv1.OpenUploadResponse], error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.Upload
	if u.state == "" || u.key != r.Msg.GetIdempotencyKey() {
		identity, err := age.GenerateHybridIdentity()
		if err != nil {
			return nil, err
		}
		u.identity, u.state, u.key, u.parts = identity, "open", r.Msg.GetIdempotencyKey(), map[uint32][]byte{}
		u.target = upload.Target{
			Ledger: c.Ledger, Collaboration: r.Msg.GetCollaboration(), Manifest: canon.Sum(c.manifest.GetDocuments().GetManifest()),
			Dataset: r.Msg.GetDataset(), Version: 1, Upload: "upload-" + u.key,
		}
	}
	offered := u.target
	if u.Offered != nil {
		u.Offered(&offered)
	}
	e, err := upload.SignOffer(offered, u.identity.Recipient(), c.Mesh.Marble(u.t, endorse.Worker))
	if err != nil {
		return nil, err
	}
	raw, err := e.Marshal()
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&concordatv1.OpenUploadResponse{UploadId: u.target.Upload, Recipient: raw, Version: u.target.Version}), nil
}

// UploadStatus implements ParticipantService.
func (c *Coordinator) UploadStatus(context.Context, *connect.Request[concordatv1.UploadStatusRequest]) (*connect.Response[concordatv1.UploadStatusResponse], error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &concordatv1.UploadStatusResponse{State: c.Upload.state}
	for n, b := range c.Upload.parts {
		s.Parts = append(s.Parts, &concordatv1.UploadedPart{Number: n, Digest: canon.Sum(b).String(), Size: uint64(len(b))})
	}
	return connect.NewResponse(s), nil
}

func (c *Coordinator) putPart(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	number, bad := strconv.ParseUint(r.PathValue("number"), 10, 32)
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.Upload
	switch {
	case err != nil || bad != nil || r.PathValue("id") != u.target.Upload:
		http.Error(w, "no such upload", http.StatusNotFound)
	case r.Header.Get(authn.HeaderDigest) != canon.Sum(body).String():
		http.Error(w, "the body is not the one that was signed", http.StatusBadRequest)
	case u.Refuse == 0:
		http.Error(w, "interrupted", http.StatusInternalServerError)
	default:
		u.Refuse--
		u.Puts++
		u.parts[uint32(number)] = body
		w.WriteHeader(http.StatusNoContent)
	}
}

// CompleteUpload implements ParticipantService: it decrypts the parts as a worker does.
func (c *Coordinator) CompleteUpload(_ context.Context, r *connect.Request[concordatv1.CompleteUploadRequest], stream *connect.ServerStream[concordatv1.CompleteUploadEvent]) error {
	if err := stream.Send(&concordatv1.CompleteUploadEvent{Event: &concordatv1.CompleteUploadEvent_Phase{Phase: "ingest"}}); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.Upload.open(r.Msg.GetStatement(), c.stewards()); err != nil {
		return connect.NewError(connect.CodeInvalidArgument, err)
	}
	report := c.Upload.Report
	if report == "" {
		report = fmt.Sprintf(`{"dataset":%q,"accepted":true,"read":1,"rows":1,"units":1}`, c.Upload.target.Dataset)
	}
	sealed, err := upload.SealReport(c.Upload.Signed.Report, true, []byte(report))
	if err != nil {
		return connect.NewError(connect.CodeInternal, err)
	}
	c.Upload.state = "registered"
	return stream.Send(&concordatv1.CompleteUploadEvent{Event: &concordatv1.CompleteUploadEvent_Report{Report: sealed}})
}

// open verifies and decrypts everything.
func (u *Uploads) open(signed []byte, stewards []key.Public) error {
	envelope, err := dsse.Parse(signed)
	if err != nil {
		return err
	}
	if u.Signed, err = upload.Verify(envelope, stewards); err != nil {
		return err
	}
	u.Plain = nil
	for i, p := range u.Signed.Parts {
		number := uint32(i + 1)
		plain, err := upload.DecryptPart(u.identity, u.target.Header(number), p, bytes.NewReader(u.parts[number]))
		if err != nil {
			return err
		}
		b, err := io.ReadAll(plain)
		if err != nil {
			return err
		}
		u.Plain = append(u.Plain, b...)
	}
	return nil
}

// stewards are all keys of people of the manifest.
func (c *Coordinator) stewards() []key.Public {
	var keys []key.Public
	m, err := document.ParseManifestJSON(c.manifest.GetDocuments().GetManifest())
	if err != nil {
		return nil
	}
	for _, p := range m.People {
		for _, text := range p.Keys {
			if k, err := key.ParsePublic(text); err == nil {
				keys = append(keys, k)
			}
		}
	}
	return keys
}

// ListDatasets implements ParticipantService.
func (c *Coordinator) ListDatasets(context.Context, *connect.Request[concordatv1.ListDatasetsRequest]) (*connect.Response[concordatv1.ListDatasetsResponse], error) {
	list := c.Lists["datasets"]
	if !json.Valid([]byte(list)) {
		return nil, connect.NewError(connect.CodeInternal, errors.New("the test gave no list"))
	}
	return connect.NewResponse(&concordatv1.ListDatasetsResponse{Datasets: []byte(list)}), nil
}
