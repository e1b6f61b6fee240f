package state

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"concordat.dev/coordinator/log"
	"concordat.dev/policies/budget"
)

// The forms of snapshots. The first is the state in JSON; it is read, no longer written. The second is a byte that no JSON begins with, then
// frames: a byte that tells what it holds, the length, and the record; the tree's hashes follow the frame that tells its size.
const (
	snapshotVersion      = 1
	snapshotFrames  byte = 2

	frameHead    byte = 'h' // JSON of what does not grow with the log
	frameCounts  byte = 'n' // how many queries and entries follow, so that a reader makes room for them once
	frameQuery   byte = 'q'
	framePrice   byte = 'p' // the reservation in the budgets of the query before it
	frameEntry   byte = 'e'
	frameOutcome byte = 'o'
	frameTree    byte = 't' // the last
)

// maxFrame bounds what a reader takes into memory at once.
const maxFrame = 1 << 30

var errSnapshot = errors.New("malformed snapshot")

// frozen is a state as it was at a moment: what later commands change was copied, what they only add to was not.
type frozen struct {
	head     []byte
	queries  []*Query
	prices   []*budget.Reservation // of the queries
	entries  []Entry
	seen     []seen
	commands []string // ids of seen
	tree     *log.Tree
}

// Snapshot implements raft.Machine.
func (m *Machine) Snapshot() (func(io.Writer) error, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	f, err := m.s.freeze()
	if err != nil {
		return nil, fmt.Errorf("state: snapshot: %w", err)
	}
	return f.write, nil
}

func (s *state) freeze() (frozen, error) {
	f := frozen{
		queries: make([]*Query, len(s.Order)), prices: make([]*budget.Reservation, len(s.Order)), entries: slices.Clip(s.Entries),
		commands: slices.Clip(s.SeenOrder), seen: make([]seen, len(s.SeenOrder)), tree: s.Tree.View(),
	}
	for i, id := range s.Order {
		f.queries[i], f.prices[i] = s.Queries[id], s.Budget.Reservations[id]
	}
	for i, id := range s.SeenOrder {
		f.seen[i] = s.Seen[id]
	}
	head, accounts := *s, *s.Budget
	accounts.Reservations = nil
	head.Budget, head.Queries, head.Order, head.Requests, head.Paid = &accounts, nil, nil, nil, nil
	head.Entries, head.Seen, head.SeenOrder, head.Tree = nil, nil, nil, nil
	var err error
	f.head, err = json.Marshal(head)
	return f, err
}

func (f frozen) write(w io.Writer) error {
	out := frames{bufio.NewWriterSize(w, 1<<20)}
	_ = out.w.WriteByte(snapshotFrames) // bufio keeps the first error, and Flush tells it
	out.frame(frameHead, f.head)
	out.frame(frameCounts, binary.AppendUvarint(binary.AppendUvarint(nil, uint64(len(f.queries))), uint64(len(f.entries))))
	for i, q := range f.queries {
		out.frame(frameQuery, q.record())
		if p := f.prices[i]; p != nil {
			out.frame(framePrice, recordOf(p))
		}
	}
	for i := range f.entries {
		out.frame(frameEntry, f.entries[i].record())
	}
	for i, s := range f.seen {
		var r record
		r.text(1, f.commands[i])
		r.number(2, s.Time)
		r.raw(3, s.bytes())
		out.frame(frameOutcome, r)
	}
	out.frame(frameTree, binary.AppendUvarint(nil, uint64(f.tree.Size()))) //nolint:gosec // a size is not negative
	if err := f.tree.WriteHashes(out.w); err != nil {
		return err
	}
	return out.w.Flush()
}

type frames struct{ w *bufio.Writer }

func (f frames) frame(kind byte, payload []byte) {
	head := append(make([]byte, 0, binary.MaxVarintLen64+1), kind)
	_, _ = f.w.Write(binary.AppendUvarint(head, uint64(len(payload))))
	_, _ = f.w.Write(payload)
}

// Restore implements raft.Machine.
func (m *Machine) Restore(r io.Reader) (uint64, error) {
	in := bufio.NewReaderSize(r, 1<<20)
	s := empty()
	first, err := in.Peek(1)
	switch {
	case err != nil:
	case first[0] == snapshotFrames:
		err = s.restore(in)
	default:
		err = s.restoreFirst(in)
	}
	if err == nil {
		err = s.reopen()
	}
	if err != nil {
		return 0, fmt.Errorf("state: restore: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.s = s
	m.notify()
	return s.Index, nil
}

// restoreFirst reads the first form.
func (s *state) restoreFirst(r io.Reader) error {
	if err := strict(r, s); err != nil {
		return err
	}
	for key, id := range s.Paid {
		if q := s.Queries[id]; q != nil {
			q.pays = key
		}
	}
	return s.checkVersion()
}

func (s *state) checkVersion() error {
	if s.V != snapshotVersion {
		return fmt.Errorf("version %d, this build reads %d", s.V, snapshotVersion)
	}
	return nil
}

func strict(r io.Reader, into any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	return d.Decode(into)
}

func (s *state) restore(in *bufio.Reader) error {
	if _, err := in.Discard(1); err != nil {
		return err
	}
	for {
		kind, payload, err := readFrame(in)
		if err != nil {
			return err
		}
		switch kind {
		case frameHead:
			err = s.restoreHead(payload)
		case frameCounts:
			err = s.makeRoom(payload)
		case frameQuery:
			q := &Query{}
			err = q.read(payload, s.known)
			s.remember(q)
		case framePrice:
			if len(s.Order) == 0 {
				return errSnapshot
			}
			s.Budget.Reservations[s.Order[len(s.Order)-1]], err = readReservation(payload, s.known)
		case frameEntry:
			s.Entries = append(s.Entries, Entry{})
			err = s.Entries[len(s.Entries)-1].read(payload, s.known)
		case frameOutcome:
			err = s.restoreOutcome(payload)
		case frameTree:
			return s.restoreTree(in, payload)
		default:
			err = errSnapshot
		}
		if err != nil {
			return err
		}
	}
}

func (s *state) restoreHead(payload []byte) error {
	fresh := empty()
	if err := strict(bytes.NewReader(payload), s); err != nil {
		return err
	}
	if s.Budget == nil {
		return errSnapshot
	}
	s.Queries, s.Requests, s.Paid, s.Seen = fresh.Queries, fresh.Requests, fresh.Paid, fresh.Seen
	s.Budget.Reservations = fresh.Budget.Reservations
	return s.checkVersion()
}

// maxRoom bounds what a snapshot has room made for before it shows that it holds so much.
const maxRoom = 1 << 24

func (s *state) makeRoom(payload []byte) error {
	queries, n := binary.Uvarint(payload)
	entries, k := binary.Uvarint(payload[max(0, n):])
	if n <= 0 || k <= 0 {
		return errSnapshot
	}
	queries, entries = min(queries, maxRoom), min(entries, maxRoom)
	s.Order, s.Entries = make([]string, 0, queries), make([]Entry, 0, entries)
	s.Queries, s.Budget.Reservations = make(map[string]*Query, queries), make(map[string]*budget.Reservation, queries)
	s.Requests, s.Paid = make(map[string]string, queries), make(map[string]string, queries)
	return nil
}

// remember takes a query in, with what is found by it.
func (s *state) remember(q *Query) {
	s.Queries[q.ID] = q
	s.Order = append(s.Order, q.ID)
	if q.Key != "" {
		s.Requests[q.request()] = q.ID
	}
	if q.pays != "" {
		s.Paid[q.pays] = q.ID
	}
}

func (s *state) restoreOutcome(payload []byte) error {
	var id string
	var was seen
	err := fields(payload, func(f field) bool {
		switch f.num {
		case 1:
			id = f.text()
		case 2:
			was.Time = f.number()
		case 3:
			was.Outcome = f.raw()
		default:
			return false
		}
		return true
	})
	s.Seen[id] = was
	s.SeenOrder = append(s.SeenOrder, id)
	return err
}

func (s *state) restoreTree(in io.Reader, payload []byte) (err error) {
	size, n := binary.Uvarint(payload)
	if n != len(payload) || size != uint64(len(s.Entries)) {
		return fmt.Errorf("%w: a tree of %d leaves and %d entries", errSnapshot, size, len(s.Entries))
	}
	s.Tree, err = log.ReadHashes(in, int64(size)) //nolint:gosec // the number of entries
	return err
}

func readFrame(in *bufio.Reader) (kind byte, payload []byte, err error) {
	if kind, err = in.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(in)
	if err != nil {
		return 0, nil, err
	}
	if n > maxFrame {
		return 0, nil, fmt.Errorf("%w: a frame of %d bytes", errSnapshot, n)
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(in, payload)
	return kind, payload, err
}
