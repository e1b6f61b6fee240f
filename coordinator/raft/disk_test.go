package raft_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
)

// failing is a disk that fails a number of syncs.
type failing struct {
	types.VFS
	fails atomic.Int32
}

func (d *failing) Create(dir, name string, size uint64) (types.WritableFile, error) {
	f, err := d.VFS.Create(dir, name, size)
	return failingFile{f, d}, err
}

func (d *failing) OpenWriter(dir, name string) (types.WritableFile, error) {
	f, err := d.VFS.OpenWriter(dir, name)
	return failingFile{f, d}, err
}

type failingFile struct {
	types.WritableFile
	on *failing
}

func (f failingFile) Sync() error {
	if f.on.fails.Add(-1) >= 0 {
		return syscall.EIO
	}
	return f.WritableFile.Sync()
}

// TestDiskThatFailedIsServedAgain has a follower's disk fail now and then while commands come. The leader goes on sending to it once it works
// again, and can be stopped.
func TestDiskThatFailedIsServedAgain(t *testing.T) {
	c := newCluster(t)
	leader := c.leader()
	follower := (leader + 1) % 3
	disk := &failing{VFS: fs.New()}
	c.stop(follower)
	c.disk = disk
	c.start(follower)
	var asking sync.WaitGroup
	var asked atomic.Int64
	done := make(chan struct{})
	for range 8 {
		asking.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := c.nodes[leader].Apply(c.ctx(), fmt.Append(nil, "w", asked.Add(1))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 60 {
		disk.fails.Store(1)
		must(t, c.nodes[follower].Sync(c.ctx())) // fails where it is sent no entries any more
	}
	close(done)
	asking.Wait()
	must(t, c.nodes[follower].Sync(c.ctx()))
	if got := int64(len(c.states[follower].all())); got != asked.Load() {
		t.Errorf("%d of %d words reached the node whose disk failed", got, asked.Load())
	}
	c.stop(leader)
}
