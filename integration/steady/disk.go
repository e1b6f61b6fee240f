package steady

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// What raft in a coordinator keeps (coordinator/raft; docs/OPERATIONS.md, Limits to know).
const (
	keptSnapshots   = 2
	trailingEntries = 1024
	smallFiles      = 256 << 10 // the node's key, the list of segments, the words of snapshots
)

// Snapshot is one on a coordinator's disk.
type Snapshot struct {
	Path  string
	Index uint64 // of the last entry in it
	Taken int64
}

// Disk is what a coordinator's data_dir holds, and what explains it.
type Disk struct {
	Taken     int64
	Explained int64
	Entries   uint64 // in the log
	Entry     float64
	Snapshots []Snapshot // newest first
	Unknown   []string   // files that neither log nor snapshots explain
}

// Account tells what explains the bytes below a coordinator's data_dir: the entries that raft needs beside its newest snapshot, in whole segments; as
// many snapshots as it keeps, each with the bytes that the state of its index takes; and small files.
func Account(folder string, stateBytes func(index uint64) float64) (Disk, error) {
	d := Disk{}
	var segments []Segment
	small := int64(0)
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		taken, err := Taken(path)
		if err != nil {
			return err
		}
		d.Taken += taken
		switch name := filepath.Base(path); {
		case strings.HasSuffix(name, segmentEnding):
			s, err := ReadSegment(path)
			segments = append(segments, s)
			return err
		case name == "state.bin" && !strings.HasSuffix(filepath.Dir(path), ".tmp"):
			index, err := snapshotIndex(filepath.Dir(path))
			d.Snapshots = append(d.Snapshots, Snapshot{path, index, taken})
			return err
		case small+taken <= smallFiles && (name == "node.key" || name == "wal-meta.db" || name == "meta.json"):
			small += taken
		default:
			d.Unknown = append(d.Unknown, path)
		}
		return nil
	})
	if err != nil {
		return Disk{}, fmt.Errorf("disk of a coordinator: %w", err)
	}
	d.Explained = small
	d.snapshots(stateBytes)
	d.log(segments)
	return d, nil
}

func snapshotIndex(folder string) (uint64, error) {
	raw, err := os.ReadFile(filepath.Join(folder, "meta.json"))
	if err != nil {
		return 0, err
	}
	var meta struct{ Index uint64 }
	err = json.Unmarshal(raw, &meta)
	return meta.Index, err
}

func (d *Disk) snapshots(stateBytes func(uint64) float64) {
	slices.SortFunc(d.Snapshots, func(a, b Snapshot) int { return cmp.Compare(b.Index, a.Index) })
	for i, s := range d.Snapshots {
		if i < keptSnapshots {
			d.Explained += int64(stateBytes(s.Index))
		} else {
			d.Unknown = append(d.Unknown, s.Path)
		}
	}
}

// log explains segments: the one under way by its room, the oldest that is needed by its room too, since entries go by whole segments, and
// those between by their entries.
func (d *Disk) log(segments []Segment) {
	slices.SortFunc(segments, func(a, b Segment) int { return cmp.Compare(a.First, b.First) })
	needed := uint64(1)
	if len(d.Snapshots) > 0 {
		needed = max(1, d.Snapshots[0].Index-min(d.Snapshots[0].Index, trailingEntries))
	}
	var bytes int64
	began := false
	for i, s := range segments {
		last := i == len(segments)-1
		if !last && segments[i+1].First <= needed {
			d.Unknown = append(d.Unknown, s.Path)
			continue
		}
		d.Entries, bytes = d.Entries+s.Entries, bytes+s.Bytes
		if last || !began {
			d.Explained += SegmentRoom
		} else {
			d.Explained += s.Bytes
		}
		began = true
	}
	if d.Entries > 0 {
		d.Entry = float64(bytes) / float64(d.Entries)
	}
}

// Wrong says that something is there that nothing explains, or that bytes and what explains them differ by more than a tenth.
func (d Disk) Wrong() bool {
	off := d.Taken - d.Explained
	return len(d.Unknown) > 0 || max(off, -off) > d.Explained/10
}
