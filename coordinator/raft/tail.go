package raft

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// frame is the length of a frame's head in a file of the log, and of a whole frame that holds nothing, such as the one that ends a write.
const frame = 8

// tail is the file that takes entries. The log writes to it from one goroutine at a time, while others read.
//
// The library writes a table of all entries at the end of a file. Where that failed, on a full disk or one that does not sync, it takes the file
// for ended all the same when it is asked again, and reads the entries through a table that is not there at the next start (raft-wal 0.4.2). Here
// what was begun of it is erased, and the file goes on.
type tail struct {
	of   *segments
	info types.SegmentInfo
	torn bool // its end could not be written

	mu sync.RWMutex
	w  types.SegmentWriter
}

func (t *tail) writer() types.SegmentWriter {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.w
}

// Append implements types.SegmentWriter. Where the entries are on the disk and the file's end is not, they count.
func (t *tail) Append(entries []types.LogEntry) error {
	if t.torn {
		if err := t.repair(); err != nil {
			return err
		}
	}
	if err := t.writer().Append(entries); err != nil {
		return err
	}
	if len(entries) > 0 && t.of.turned() {
		_, err := t.writer().ForceSeal()
		t.torn = err != nil
	}
	return nil
}

// ForceSeal implements types.SegmentWriter.
func (t *tail) ForceSeal() (uint64, error) {
	if t.torn {
		if err := t.repair(); err != nil {
			return 0, err
		}
	}
	start, err := t.writer().ForceSeal()
	t.torn = err != nil
	return start, err
}

// Sealed implements types.SegmentWriter.
func (t *tail) Sealed() (bool, uint64, error) {
	if t.torn {
		return false, 0, nil
	}
	return t.writer().Sealed()
}

// errEnded says that a file can't do without its end.
var errEnded = errors.New("the last entries of a file of the log were written with its end")

// repair erases what was begun of the file's end, and opens the file anew. Where entries would be lost it is left as it was.
func (t *tail) repair() error {
	old := t.writer()
	_, start, err := old.Sealed()
	if err != nil {
		return err
	}
	table := (4*(old.LastIndex()+1-t.info.BaseIndex) + frame - 1) / frame * frame
	was, err := t.overwrite(start-frame, make([]byte, frame+table+frame))
	if err != nil {
		return fmt.Errorf("erase the torn end of a file of the log: %w", err)
	}
	w, err := t.of.SegmentFiler.RecoverTail(t.info)
	if err != nil {
		return fmt.Errorf("open a file of the log anew: %w", err)
	}
	if ended, _, err := w.Sealed(); err != nil || ended || w.LastIndex() != old.LastIndex() {
		_, undone := t.overwrite(start-frame, was)
		return errors.Join(errEnded, err, undone, w.Close())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.w, t.torn = w, false
	return old.Close()
}

// overwrite returns what was there before.
func (t *tail) overwrite(at uint64, with []byte) (was []byte, err error) {
	f, err := t.of.files.OpenWriter(t.of.dir, segment.FileName(t.info))
	if err != nil {
		return nil, err
	}
	was = make([]byte, len(with))
	n, err := f.ReadAt(was, int64(at)) //nolint:gosec // an offset in a file of at most 4 GiB
	if err == nil || errors.Is(err, io.EOF) {
		was = was[:n]
		_, err = f.WriteAt(with, int64(at)) //nolint:gosec // as above
	}
	return was, errors.Join(err, f.Sync(), f.Close())
}

// GetLog implements types.SegmentReader.
func (t *tail) GetLog(index uint64) (*types.PooledBuffer, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.w.GetLog(index)
}

// LastIndex implements types.SegmentWriter.
func (t *tail) LastIndex() uint64 { return t.writer().LastIndex() }

// Close implements io.Closer.
func (t *tail) Close() error { return t.writer().Close() }
