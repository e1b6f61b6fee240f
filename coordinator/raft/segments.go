package raft

import (
	"errors"
	"sync"

	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// segments are the files of the log. The library lets go of a file once all entries in it are dropped, so a file that takes entries all the time
// would keep the ones that were dropped, too. These can be told to begin a new one.
type segments struct {
	types.SegmentFiler
	dir   string
	files types.VFS
	mu    sync.Mutex
	turns bool // with the next entries
}

func newSegments(dir string, files types.VFS) *segments {
	return &segments{SegmentFiler: segment.NewFiler(dir, files), dir: dir, files: files}
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
	return &tail{of: s, info: info, w: w}, nil
}

// RecoverTail implements types.SegmentFiler. The library takes a file for ended whose end was begun, and lets nothing be written to it any more, whether
// or not it goes on with a new one: the end is erased. Only where the last entries were written together with it, it stays.
func (s *segments) RecoverTail(info types.SegmentInfo) (types.SegmentWriter, error) {
	w, err := s.SegmentFiler.RecoverTail(info)
	if err != nil {
		return nil, err
	}
	t := &tail{of: s, info: info, w: w}
	ended, start, err := w.Sealed()
	if err == nil && ended {
		whole := s.ends(info, w, start)
		if err = t.repair(); whole && errors.Is(err, errEnded) {
			err = nil
		}
	}
	if err != nil {
		_ = t.Close()
		return nil, err
	}
	return t, nil
}

// ends says whether the table at a file's end, by which it is read later, leads to each entry.
func (s *segments) ends(info types.SegmentInfo, w types.SegmentWriter, start uint64) bool {
	info.IndexStart, info.MaxIndex = start, w.LastIndex()
	r, err := s.Open(info)
	if err != nil {
		return false
	}
	defer func() { _ = r.Close() }()
	for i := info.MinIndex; i <= info.MaxIndex; i++ {
		if !same(r, w, i) {
			return false
		}
	}
	return true
}

func same(a, b types.SegmentReader, index uint64) bool {
	one, err := a.GetLog(index)
	if err != nil {
		return false
	}
	defer func() { _ = one.Close() }()
	other, err := b.GetLog(index)
	if err != nil {
		return false
	}
	defer func() { _ = other.Close() }()
	return string(one.Bs) == string(other.Bs)
}
