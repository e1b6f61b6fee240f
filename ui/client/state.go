package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"concordat.dev/protocol/upload"
	"filippo.io/age"
	"github.com/zeebo/xxh3"
)

// uploadState is what an interrupted upload needs to go on: which files they were, under which name it was opened, and what was sent. It
// holds digests and the key that opens the ingest report, no rows.
type uploadState struct {
	file string
	mu   sync.Mutex

	Files    []sourceFile `json:"files"`
	Manifest string       `json:"manifest"`
	PartSize int64        `json:"part_size"`
	Key      string       `json:"key"` // idempotency key of the upload
	ID       string       `json:"id"`
	Parts    []sentPart   `json:"parts"`
	Reader   string       `json:"reader"` // the age identity that the ingest report is sealed to
}

// reader is the identity that the ingest report is sealed to, made for this upload and kept until the report is there.
func (s *uploadState) reader() (*age.HybridIdentity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Reader != "" {
		id, err := age.ParseHybridIdentity(s.Reader)
		if err != nil {
			return nil, fmt.Errorf("take the upload up again: %s: %w; remove the file to start anew", s.file, err)
		}
		return id, nil
	}
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, fmt.Errorf("make a recipient for the ingest report: %w", err)
	}
	s.Reader = id.String()
	return id, s.write()
}

// sentPart is a part as it was sent. Rows is the XXH3-128 of its rows in hex, which tells whether the file still is the one that was begun. It never leaves
// this machine and stands against no attacker, who would have to be the file's owner: SHA-256 would cost as much as encrypting does.
type sentPart struct {
	Rows string `json:"rows"`
	upload.Part
}

// rowsDigest begins the digest of a part's rows.
func rowsDigest() *xxh3.Hasher128 { return xxh3.New128() }

func (u *Upload) stateFile() string {
	return filepath.Join(u.Home, "uploads", filepath.Base(u.Documents.Manifest.Collaboration+"."+u.Dataset)+".json")
}

func (u *Upload) fresh(source *source) *uploadState {
	return &uploadState{file: u.stateFile(), Files: source.files, Manifest: u.Documents.Digest.String(), PartSize: u.PartSize, Key: NewIdempotencyKey()}
}

// resume takes up the state of an earlier run, if that was for the same files under the same manifest.
func (u *Upload) resume(source *source) (*uploadState, error) {
	fresh := u.fresh(source)
	raw, err := os.ReadFile(fresh.file)
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, nil
	}
	if err != nil {
		return nil, fmt.Errorf("take the upload up again: %w", err)
	}
	kept := &uploadState{file: fresh.file}
	if err := json.Unmarshal(raw, kept); err != nil {
		return nil, fmt.Errorf("take the upload up again: %s: %w; remove the file to start anew", fresh.file, err)
	}
	same := slices.EqualFunc(kept.Files, fresh.Files, func(a, b sourceFile) bool {
		return a.Path == b.Path && a.Size == b.Size && a.Modified.Equal(b.Modified)
	}) && kept.Manifest == fresh.Manifest && kept.PartSize == fresh.PartSize
	if !same {
		return fresh, nil
	}
	return kept, nil
}

func (s *uploadState) save() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write()
}

func (s *uploadState) write() error {
	raw, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("keep the upload's state: %w", err)
	}
	return writeFile(s.file, raw)
}

// size makes room for n parts.
func (s *uploadState) size(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.Parts) < n {
		s.Parts = append(s.Parts, sentPart{})
	}
}

func (s *uploadState) part(n int) sentPart {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Parts[n]
}

func (s *uploadState) sent(n int, rows string, p upload.Part) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Parts[n] = sentPart{rows, p}
	return s.write()
}

// whole says that every part was sent.
func (s *uploadState) whole() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.Parts {
		if !p.Digest.Valid() {
			return false
		}
	}
	return len(s.Parts) > 0
}

func (s *uploadState) remove() error {
	if err := os.Remove(s.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the upload's state: %w", err)
	}
	return nil
}

// meter adds up what was sent.
type meter struct {
	mu                   sync.Mutex
	done, resumed, total int64
	report               func(done, resumed, total int64)
}

func (m *meter) add(n int64, resumed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += n
	if resumed {
		m.resumed += n
	}
	if m.report != nil {
		m.report(m.done, m.resumed, m.total)
	}
}
