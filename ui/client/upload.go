package client

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"concordat.dev/protocol/authn"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/endorse"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/upload"
	"connectrpc.com/connect"
	"filippo.io/age"
	"golang.org/x/sync/errgroup"
)

// Upload is a file, or several, on the way to become a version of a dataset.
type Upload struct {
	Client    *Client
	Documents Documents // checked, complete, pinning this mesh
	Dataset   string
	File      string
	More      []string       // further files of the same format, with the same columns
	Format    string         // upload.CSV and so on; what is not said of format, dialect and columns is found in the file
	Dialect   upload.Dialect // how texts are written
	Columns   []string       // in order, of a text without header
	Tolerate  upload.Tolerance
	Steward   key.Private
	Program   string // name and version of the program that encrypts, for the statement
	Home      string // where the state is kept that lets an interrupted upload go on
	PartSize  int64  // bytes of plaintext, at most and by default upload.MaxPart
	// Progress hears how many bytes of the file have been sent or were there already (resumed); from several goroutines, in turn.
	Progress func(done, resumed, total int64)
	// Phase hears what the worker is at.
	Phase func(string)

	spare *sync.Pool // of buffers for ciphertext: fresh memory costs a third of the encryption again
}

// ErrGone says that the upload that was begun cannot go on.
var ErrGone = errors.New("the upload that was begun is gone")

// parallel parts: one is encrypted while another is on its way. Each takes its size in memory.
const parallelParts = 2

// Run uploads the file and returns the ingest report as JSON. A second Run after an interruption goes on where the first ended.
func (u *Upload) Run(ctx context.Context) ([]byte, error) {
	if u.PartSize <= 0 || u.PartSize > upload.MaxPart {
		u.PartSize = upload.MaxPart
	}
	u.spare = &sync.Pool{}
	if err := u.inspect(); err != nil {
		return nil, err
	}
	source, err := u.open()
	if err != nil {
		return nil, err
	}
	defer source.close()
	s, err := u.resume(source)
	if err != nil {
		return nil, err
	}
	target, err := u.send(ctx, source, s)
	if errors.Is(err, ErrGone) {
		s = u.fresh(source)
		target, err = u.send(ctx, source, s)
	}
	if err != nil {
		return nil, err
	}
	statement := upload.Statement{
		Target: target, Format: u.Format, Columns: u.Columns, Client: u.Program, Issued: time.Now().UTC().Format(time.RFC3339),
	}
	if u.Dialect != (upload.Dialect{}) {
		statement.Dialect = &u.Dialect
	}
	if u.Tolerate != (upload.Tolerance{}) {
		statement.Tolerate = &u.Tolerate
	}
	reader, err := s.reader()
	if err != nil {
		return nil, err
	}
	statement.Report = reader.Recipient().String()
	if len(source.files) > 1 {
		statement.Files = source.counts(u.PartSize)
	}
	for n := range s.Parts {
		statement.Parts = append(statement.Parts, s.Parts[n].Part)
	}
	sealed, err := u.complete(ctx, statement)
	if err != nil {
		return nil, err
	}
	report, err := upload.OpenReport(reader, sealed)
	if err != nil {
		return nil, err
	}
	return report, s.remove()
}

// send opens the upload and sends its parts.
func (u *Upload) send(ctx context.Context, source *source, s *uploadState) (upload.Target, error) {
	target, recipient, err := u.offer(ctx, s)
	if err != nil {
		return target, err
	}
	return target, u.parts(ctx, source, s, target, recipient)
}

// offer opens the upload, or the one that was begun, and checks that the recipient was made by a worker of the pinned mesh for it.
func (u *Upload) offer(ctx context.Context, s *uploadState) (upload.Target, *age.HybridRecipient, error) {
	m := u.Documents.Manifest
	opened, err := Unary(ctx, u.Client, &concordatv1.OpenUploadRequest{Collaboration: m.Collaboration, Dataset: u.Dataset, IdempotencyKey: s.Key}, Services.OpenUpload)
	if err != nil {
		return upload.Target{}, nil, err
	}
	if s.ID != "" && s.ID != opened.GetUploadId() {
		return upload.Target{}, nil, ErrGone
	}
	e, err := endorse.Parse(opened.GetRecipient())
	if err != nil {
		return upload.Target{}, nil, fmt.Errorf("open the upload: %w", err)
	}
	target := upload.Target{
		Ledger: m.Mesh.Ledger, Collaboration: m.Collaboration, Manifest: u.Documents.Digest,
		Dataset: u.Dataset, Version: opened.GetVersion(), Upload: opened.GetUploadId(),
	}
	root, err := u.Client.Root()
	if err != nil {
		return target, nil, err
	}
	recipient, err := upload.VerifyOffer(e, canon.Digest(m.Mesh.RootCertificate), root, target)
	if err != nil {
		return target, nil, fmt.Errorf("open the upload: %w", err)
	}
	s.ID = target.Upload
	return target, recipient, s.save()
}

// parts sends all parts that the object store does not have yet as they were begun.
func (u *Upload) parts(ctx context.Context, source *source, s *uploadState, target upload.Target, recipient *age.HybridRecipient) error {
	status, err := Unary(ctx, u.Client, &concordatv1.UploadStatusRequest{UploadId: target.Upload}, Services.UploadStatus)
	if err != nil {
		return err
	}
	if state := status.GetState(); state != "open" {
		if s.whole() {
			return nil // it was completed, and the answer got lost: completing again gives its report, and no second version
		}
		return fmt.Errorf("%w: it is %s", ErrGone, state)
	}
	there := map[sent]bool{}
	for _, p := range status.GetParts() {
		there[sent{p.GetNumber(), p.GetDigest()}] = true
	}
	sections := source.sections(u.PartSize)
	if len(sections) > upload.MaxParts {
		return fmt.Errorf("the data has %d parts of %d bytes, at most %d fit into one upload", len(sections), u.PartSize, upload.MaxParts)
	}
	s.size(len(sections))
	meter := &meter{total: source.size, report: u.Progress}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelParts)
	for n, section := range sections {
		group.Go(func() error {
			return u.part(ctx, section, n, s, target, recipient, there, meter)
		})
	}
	return group.Wait()
}

// sent is a part as the object store has it; a number may be there with several digests.
type sent struct {
	number uint32
	digest string
}

// part sends part n (from 0), unless the very same one is there.
func (u *Upload) part(ctx context.Context, section *io.SectionReader, n int, s *uploadState, target upload.Target, recipient *age.HybridRecipient, there map[sent]bool, m *meter) error {
	known := s.part(n)
	if there[sent{uint32(n + 1), known.Digest.String()}] {
		rows := rowsDigest()
		if _, err := io.Copy(rows, section); err != nil {
			return fmt.Errorf("read part %d: %w", n+1, err)
		}
		if known.Rows == hex.EncodeToString(rows.Sum(nil)) {
			m.add(section.Size(), true)
			return nil
		}
		if _, err := section.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("read part %d: %w", n+1, err)
		}
	}
	ciphertext, ok := u.spare.Get().(*bytes.Buffer)
	if !ok {
		ciphertext = &bytes.Buffer{}
	}
	ciphertext.Reset()
	ciphertext.Grow(int(section.Size()) + int(section.Size())/2048 + 8192)
	rows := rowsDigest()
	part, err := upload.EncryptPart(ciphertext, recipient, target.Header(uint32(n+1)), io.TeeReader(section, rows))
	if err != nil {
		return err
	}
	if err := u.put(ctx, target.Upload, n+1, part, ciphertext.Bytes()); err != nil {
		return fmt.Errorf("send part %d: %w", n+1, err)
	}
	u.spare.Put(ciphertext) // after an error the connection may still hold it
	if err := s.sent(n, hex.EncodeToString(rows.Sum(nil)), part); err != nil {
		return err
	}
	m.add(section.Size(), false)
	return nil
}

// put is one idempotent PUT of ciphertext.
func (u *Upload) put(ctx context.Context, id string, number int, part upload.Part, body []byte) error {
	return u.Client.Do(ctx, func(ctx context.Context, s Services) error {
		url := fmt.Sprintf("%s/upload/%s/parts/%d", s.Base, id, number)
		request, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/octet-stream")
		request.Header.Set(authn.HeaderDigest, part.Digest.String()) // so that the body is signed without being read again
		response, err := s.HTTP.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		said, err := io.ReadAll(io.LimitReader(response.Body, 4096))
		switch {
		case response.StatusCode/100 == 2:
			return nil
		case response.StatusCode == http.StatusServiceUnavailable || response.StatusCode == http.StatusTooManyRequests:
			return fmt.Errorf("%w: %s", errBusy, bytes.TrimSpace(said))
		case err != nil:
			return err
		}
		return fmt.Errorf("%s: %s", response.Status, bytes.TrimSpace(said))
	})
}

// complete signs for all parts and waits for the worker's report.
func (u *Upload) complete(ctx context.Context, statement upload.Statement) ([]byte, error) {
	envelope, err := upload.Sign(statement, u.Steward)
	if err != nil {
		return nil, err
	}
	signed, err := envelope.Marshal()
	if err != nil {
		return nil, err
	}
	var report []byte
	err = u.Client.Do(ctx, func(ctx context.Context, s Services) error {
		stream, err := s.CompleteUpload(ctx, connect.NewRequest(&concordatv1.CompleteUploadRequest{UploadId: statement.Upload, Statement: signed}))
		if err != nil {
			return err
		}
		defer func() { _ = stream.Close() }()
		for stream.Receive() {
			if p := stream.Msg().GetPhase(); p != "" && u.Phase != nil {
				u.Phase(p)
			}
			if r := stream.Msg().GetReport(); len(r) > 0 {
				report = r
			}
		}
		if report != nil {
			return nil
		}
		return broken(stream.Err())
	})
	return report, err
}
