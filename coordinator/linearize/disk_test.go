package linearize_test

import (
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
)

// How a node's disk fares.
type health int

const (
	sound   health = iota
	slow           // each write to the disk takes a tenth of a second
	stalled        // nothing is written until it is sound again
	full           // half of what is written fits, no file can be made
	failing        // what is written doesn't reach the disk, and it says so
)

// disk is where a node's log lies.
type disk struct {
	types.VFS
	mu      sync.Mutex
	health  health
	changed chan struct{}
}

func newDisk() *disk { return &disk{VFS: fs.New(), changed: make(chan struct{})} }

func (d *disk) set(h health) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.health = h
	close(d.changed)
	d.changed = make(chan struct{})
}

// now is how the disk is, once it is not stalled.
func (d *disk) now() health {
	for {
		d.mu.Lock()
		h, changed := d.health, d.changed
		d.mu.Unlock()
		if h != stalled {
			return h
		}
		<-changed
	}
}

func (d *disk) Create(dir, name string, size uint64) (types.WritableFile, error) {
	if d.now() == full {
		return nil, syscall.ENOSPC
	}
	f, err := d.VFS.Create(dir, name, size)
	return file{f, d}, err
}

func (d *disk) OpenWriter(dir, name string) (types.WritableFile, error) {
	f, err := d.VFS.OpenWriter(dir, name)
	return file{f, d}, err
}

type file struct {
	types.WritableFile
	on *disk
}

func (f file) WriteAt(b []byte, at int64) (int, error) {
	if f.on.now() == full {
		n, err := f.WritableFile.WriteAt(b[:len(b)/2], at)
		if err == nil {
			err = syscall.ENOSPC
		}
		return n, err
	}
	return f.WritableFile.WriteAt(b, at)
}

func (f file) Sync() error {
	switch f.on.now() {
	case slow:
		time.Sleep(100 * time.Millisecond)
	case full:
		return syscall.ENOSPC
	case failing:
		return syscall.EIO
	}
	return f.WritableFile.Sync()
}
