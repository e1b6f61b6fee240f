package steady

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Segment is a file of a replicated log, as github.com/hashicorp/raft-wal writes it (segment/format.go): a header, then frames of entries, of an
// index, and of commits.
type Segment struct {
	Path    string
	First   uint64 // index of its first entry
	Entries uint64
	Bytes   int64 // of all its frames
	Taken   int64 // on disk; a segment under way has its whole room
}

// SegmentRoom is what a segment takes from its beginning: coordinator/raft has it made at once.
const SegmentRoom = 16 << 20

const (
	segmentEnding = ".wal"
	segmentHeader = 32
	segmentMagic  = 0x58eb6b0d
	frameHead     = 8
	frameEntry    = 1
	frameIndex    = 2
	frameCommit   = 3
)

var errSegment = errors.New("no segment of a log")

// ReadSegment counts the entries of a file that may still be written.
func ReadSegment(path string) (Segment, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Segment{}, err
	}
	s := Segment{Path: path, Bytes: segmentHeader}
	name, _, _ := strings.Cut(filepath.Base(path), "-")
	named, err := strconv.ParseUint(name, 10, 64)
	if err != nil || len(b) < segmentHeader {
		return Segment{}, fmt.Errorf("%s: %w", path, errSegment)
	}
	s.First = binary.LittleEndian.Uint64(b[8:16])
	if binary.LittleEndian.Uint64(b) != segmentMagic || s.First != named {
		return Segment{}, fmt.Errorf("%s: %w", path, errSegment)
	}
	for rest := b[segmentHeader:]; len(rest) >= frameHead; {
		kind, size := rest[0], frameHead
		switch kind {
		case frameEntry, frameIndex:
			size += int(binary.LittleEndian.Uint32(rest[4:8])+frameHead-1) / frameHead * frameHead
		case frameCommit:
		default: // what is beyond has not been written
			rest = nil
			continue
		}
		if size > len(rest) {
			return Segment{}, fmt.Errorf("%s: %w: a frame of %d bytes", path, errSegment, size)
		}
		if kind == frameEntry {
			s.Entries++
		}
		s.Bytes += int64(size)
		rest = rest[size:]
	}
	s.Taken, err = Taken(path)
	return s, err
}

// Taken is what a file takes on disk.
func Taken(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512, nil
}
