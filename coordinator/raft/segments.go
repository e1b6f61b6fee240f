package raft

import (
	"sync"

	"github.com/hashicorp/raft-wal/types"
)

// segments are the files of the log. The library lets go of a file once all entries in it are dropped, so a file that takes entries all the time
// would keep the ones that were dropped, too. These can be told to begin a new one.
type segments struct {
	types.SegmentFiler
	mu    sync.Mutex
	turns bool // with the next entries
}

// turn has the next entries be the last ones of their file, or not.
func (s *segments) turn(next bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turns = next
}

func (s *segments) turned() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.turns
	s.turns = false
	return was
}

// from says whether a file is on the disk whose entries began at or before an index.
func (s *segments) from(index uint64) (bool, error) {
	files, err := s.List()
	for _, base := range files {
		if base <= index {
			return true, err
		}
	}
	return false, err
}

// Create implements types.SegmentFiler.
func (s *segments) Create(info types.SegmentInfo) (types.SegmentWriter, error) {
	w, err := s.SegmentFiler.Create(info)
	if err != nil {
		return nil, err
	}
	return &tail{SegmentWriter: w, of: s}, nil
}

// RecoverTail implements types.SegmentFiler.
func (s *segments) RecoverTail(info types.SegmentInfo) (types.SegmentWriter, error) {
	w, err := s.SegmentFiler.RecoverTail(info)
	if err != nil {
		return nil, err
	}
	return &tail{SegmentWriter: w, of: s}, nil
}

// tail is the file that takes entries. The log calls it from one goroutine at a time.
type tail struct {
	types.SegmentWriter
	of   *segments
	torn bool // its end could not be written
}

// Append implements types.SegmentWriter. Where the entries are on the disk and the file's end is not, they count, and the file takes no more of
// them: after the next start it is read as if its end had never been begun.
func (t *tail) Append(entries []types.LogEntry) error {
	if err := t.SegmentWriter.Append(entries); err != nil {
		return err
	}
	if len(entries) > 0 && t.of.turned() {
		_, err := t.ForceSeal()
		t.torn = err != nil
	}
	return nil
}

// Sealed implements types.SegmentWriter.
func (t *tail) Sealed() (bool, uint64, error) {
	if t.torn {
		return false, 0, nil
	}
	return t.SegmentWriter.Sealed()
}
