package raft

import (
	"bytes"
	"errors"
	"syscall"
	"testing"

	hraft "github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
)

// full is a disk where half of what is written fits, or that does not sync.
type full struct {
	types.VFS
	half, unsynced bool
}

func (d *full) Create(dir, name string, size uint64) (types.WritableFile, error) {
	f, err := d.VFS.Create(dir, name, size)
	return fullFile{f, d}, err
}

func (d *full) OpenWriter(dir, name string) (types.WritableFile, error) {
	f, err := d.VFS.OpenWriter(dir, name)
	return fullFile{f, d}, err
}

type fullFile struct {
	types.WritableFile
	on *full
}

func (f fullFile) WriteAt(b []byte, at int64) (int, error) {
	if f.on.half {
		n, err := f.WritableFile.WriteAt(b[:len(b)/2], at)
		return n, errors.Join(err, syscall.ENOSPC)
	}
	return f.WritableFile.WriteAt(b, at)
}

func (f fullFile) Sync() error {
	if f.on.unsynced {
		return syscall.EIO
	}
	return f.WritableFile.Sync()
}

// TestTornEndOfAFile has the disk fail while the end of a file of the log is written: where a follower takes entries back that another leader
// replaces, and where a new file is begun. Entries stay readable, more come, also after a restart, and after one without a further write.
func TestTornEndOfAFile(t *testing.T) {
	for name, c := range map[string]struct {
		fail     func(*full)
		compacts bool
		again    bool
	}{
		"full, entries taken back":              {fail: func(d *full) { d.half = true }, again: true},
		"full, then a restart":                  {fail: func(d *full) { d.half = true }},
		"not synced, entries taken back":        {fail: func(d *full) { d.unsynced = true }, again: true},
		"not synced, then a restart":            {fail: func(d *full) { d.unsynced = true }},
		"full, entries taken back, a new file":  {fail: func(d *full) { d.half = true }, again: true, compacts: true},
		"not synced, taken back, in a new file": {fail: func(d *full) { d.unsynced = true }, again: true, compacts: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir, d := t.TempDir(), &full{VFS: fs.New()}
			files := newSegments(dir, d)
			log := opened(t, dir, files)
			store(t, log, 1, 50, 'a')
			c.fail(d)
			if err := log.DeleteRange(41, 50); err == nil {
				t.Fatal("the disk failed, and nobody noticed")
			}
			d.half, d.unsynced = false, false
			last := uint64(50)
			if c.again {
				if err := log.DeleteRange(41, 50); err != nil {
					t.Fatal(err)
				}
				last = 40
			}
			files.turn(c.compacts)
			holds(t, log, last, 'a')
			if c.again {
				store(t, log, 41, 60, 'b')
				store(t, log, 61, 61, 'b')
			}
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
			log = opened(t, dir, newSegments(dir, d))
			defer func() { _ = log.Close() }()
			if c.again {
				holds(t, log, 40, 'a')
				last = 61
			} else {
				holds(t, log, 50, 'a')
			}
			store(t, log, last+1, last+5, 'c')
			if err := log.DeleteRange(last+3, last+5); err != nil {
				t.Fatal(err)
			}
			store(t, log, last+3, last+3, 'd')
		})
	}
}

func opened(t *testing.T, dir string, files *segments) *wal.WAL {
	t.Helper()
	log, err := wal.Open(dir, wal.WithSegmentSize(segmentSize), wal.WithSegmentFiler(files))
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func store(t *testing.T, log *wal.WAL, from, to uint64, fill byte) {
	t.Helper()
	for i := from; i <= to; i++ {
		if err := log.StoreLog(&hraft.Log{Index: i, Data: bytes.Repeat([]byte{fill}, 100)}); err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
	}
}

func holds(t *testing.T, log *wal.WAL, last uint64, fill byte) {
	t.Helper()
	for i := uint64(1); i <= last; i++ {
		var l hraft.Log
		if err := log.GetLog(i, &l); err != nil || l.Index != i || l.Data[0] != fill {
			t.Fatalf("entry %d: %+v %v", i, l, err)
		}
	}
}
