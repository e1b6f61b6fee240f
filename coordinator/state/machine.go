// Package state is the replicated state of a mesh: manifests with policies and approvals, pauses, datasets, uploads, budgets,
// queries, and the transparency log. coordinator/raft applies commands to it, in one order on every node.
//
// Invariant: deterministic. No clock, no randomness, no map order: time, ids and salts come in commands; the state's time
// never goes back. A rejected command changes nothing but that time. An undecodable entry panics.
//
// Sees: metadata
package state

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"concordat.dev/coordinator/log"
	"concordat.dev/policies/approval"
	"concordat.dev/policies/budget"
	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/fault"
)

// Machine holds the state. It implements raft.Machine; all reading methods may be called at any time.
type Machine struct {
	mu      sync.RWMutex
	s       state
	changed chan struct{} // closed when a command is applied, and made anew
}

// state is everything, as a snapshot holds it.
type state struct {
	V              int                       `json:"v"`
	Index          uint64                    `json:"index"` // of the last command
	Time           int64                     `json:"time"`  // Unix milliseconds
	Ledger         string                    `json:"ledger"`
	Mesh           approval.Mesh             `json:"mesh"`
	Founders       []string                  `json:"founders"`
	Collaborations map[string]*collaboration `json:"collaborations"`
	Uploads        map[string]*Upload        `json:"uploads"`
	Queries        map[string]*Query         `json:"queries"`  // none is changed in place: a snapshot may be reading it
	Order          []string                  `json:"order"`    // ids of queries, oldest first
	Requests       map[string]string         `json:"requests"` // person and idempotency key → query
	Paid           map[string]string         `json:"paid"`     // question over dataset versions → the query that paid for it
	Budget         *budget.Ledger            `json:"budget"`
	Tree           *log.Tree                 `json:"tree"`
	Entries        []Entry                   `json:"entries"`
	Seen           map[string]seen           `json:"seen"`
	SeenOrder      []string                  `json:"seen_order"`
	Head           cosigned                  `json:"head,omitzero"` // the newest checkpoint that a quorum of any collaboration cosigned
	Notes          []Note                    `json:"notes,omitempty"`
	Destructions   uint64                    `json:"destructions,omitempty"` // how many keys were destroyed: disks that hold an older state have to go
	Members        members                   `json:"members,omitzero"`
	Handover       *Handover                 `json:"handover,omitempty"`
	Awaits         *Awaiting                 `json:"awaits,omitempty"`
	Estate         *Estate                   `json:"estate,omitempty"`

	known names // what comes again and again in commands is held once
}

// seen remembers the outcome of a recent command: its bytes, or what that is made of when somebody asks. Most are never asked for:
// only the node that answers a client needs the bytes.
type seen struct {
	Time    int64  `json:"time"`
	Outcome []byte `json:"outcome"`
	result  *result
}

// result is an Outcome. Nothing that Data points to changes later.
type result struct {
	Index uint64     `json:"index"`
	Fault *Rejection `json:"fault,omitempty"`
	Data  any        `json:"data,omitempty"`
}

func (s seen) bytes() []byte {
	if s.result == nil {
		return s.Outcome
	}
	if r, ok := s.result.Data.(recorder); ok {
		return append(binary.AppendUvarint([]byte{commandRecord}, s.result.Index), r.record()...)
	}
	b, err := json.Marshal(s.result)
	if err != nil {
		panic(fmt.Sprintf("state: outcome: %v", err))
	}
	return b
}

// How long outcomes are remembered, and how far behind the state's time a command may be: less, so that none is applied twice.
const (
	remember = 2 * time.Minute
	stale    = time.Minute
)

// New is an empty machine: a cluster that was never initialised.
func New() *Machine { return &Machine{s: empty(), changed: make(chan struct{})} }

func empty() state {
	return state{
		V: snapshotVersion, Collaborations: map[string]*collaboration{}, Uploads: map[string]*Upload{}, Queries: map[string]*Query{},
		Requests: map[string]string{}, Paid: map[string]string{}, Budget: budget.New(), Tree: &log.Tree{}, Seen: map[string]seen{},
		known: names{},
	}
}

// Apply implements raft.Machine: it applies the commands of one entry, in order, and tells the outcome of each when it is asked, for Told.
func (m *Machine) Apply(index uint64, commands [][]byte) []func() []byte {
	out := make([]func() []byte, len(commands))
	decoded := make([]Command, len(commands))
	for i, raw := range commands {
		decoded[i] = decodeCommand(index, raw)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.s.Index = index
	for i := range decoded {
		out[i] = m.s.once(&decoded[i], index).bytes
	}
	m.notify()
	return out
}

// once applies a command unless it was applied before, and tells what it came to.
func (s *state) once(c *Command, index uint64) seen {
	if before, ok := s.Seen[c.ID]; ok {
		return before
	}
	r := result{Index: index}
	data, err := s.apply(c, index)
	if err != nil {
		r.Fault = rejection(c.Kind, err)
	} else {
		r.Data = data
	}
	s.forget()
	now := seen{Time: s.Time, result: &r}
	s.Seen[c.ID] = now
	s.SeenOrder = append(s.SeenOrder, c.ID)
	return now
}

func (m *Machine) notify() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// Changed is closed when the state is another one than now.
func (m *Machine) Changed() <-chan struct{} {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.changed
}

func (s *state) forget() {
	n := 0
	for n < len(s.SeenOrder) && s.Seen[s.SeenOrder[n]].Time < s.Time-remember.Milliseconds() {
		delete(s.Seen, s.SeenOrder[n])
		n++
	}
	s.SeenOrder = s.SeenOrder[n:]
}

// change is one command as it is applied.
type change struct {
	*state
	index  uint64
	salt   []byte
	leaves uint64
}

func (s *state) apply(c *Command, index uint64) (any, error) {
	if c.Time < s.Time-stale.Milliseconds() {
		return nil, fault.Newf(c.Kind, fault.Conflict, "the command is older than %s: send it anew", stale)
	}
	s.Time = max(s.Time, c.Time)
	ch := &change{state: s, index: index, salt: c.Salt}
	run, ok := handlers[c.Kind]
	if !ok {
		panic(fmt.Sprintf("state: entry %d has unknown kind %q", index, c.Kind))
	}
	if err := s.admits(c.Kind); err != nil {
		return nil, err
	}
	return run(ch, c)
}

type handler func(*change, *Command) (any, error)

// handlers is a table, not a registry: all kinds of commands are here.
var handlers = map[string]handler{
	Init{}.kind():        handle((*change).init),
	Propose{}.kind():     handle((*change).propose),
	Approve{}.kind():     handle((*change).approve),
	Statement{}.kind():   handle((*change).statement),
	OpenUpload{}.kind():  handle((*change).openUpload),
	CloseUpload{}.kind(): handle((*change).closeUpload),
	Delete{}.kind():      handle((*change).deleteDataset),
	Reserve{}.kind():     handle((*change).reserve),
	Record{}.kind():      handle((*change).record),
	Fail{}.kind():        handle((*change).fail),
	Cosign{}.kind():      handle((*change).cosign),
	Expire{}.kind():      handle((*change).expire),
	NoteDown{}.kind():    handle((*change).noteDown),
	Save{}.kind():        handle((*change).save),
	Forget{}.kind():      handle((*change).forgetSaved),
	ChangeNodes{}.kind(): handle((*change).changeNodes),
	SettleNodes{}.kind(): handle((*change).settleNodes),

	PrepareHandover{}.kind(): handle((*change).prepareHandover),
	HandOver{}.kind():        handle((*change).handOver),
	Await{}.kind():           handle((*change).await),
	Receive{}.kind():         handle((*change).receive),
	Adopt{}.kind():           handle((*change).adopt),
}

func handle[B any, R any](run func(*change, B) (R, error)) handler {
	return func(c *change, command *Command) (any, error) {
		var body B
		if command.Record == nil {
			decode(command.Body, &body)
		} else if r, ok := any(&body).(reader); !ok || r.read(command.Record, c.known) != nil {
			panic(fmt.Sprintf("state: entry %d: the %s in it can't be read", c.index, command.Kind))
		}
		return run(c, body)
	}
}

func rejection(op string, err error) *Rejection {
	var f *fault.Fault
	if errors.As(err, &f) {
		return &Rejection{Op: f.Op, Kind: f.Kind, Message: text(f), Changed: errors.Is(err, ErrChanged)}
	}
	return &Rejection{Op: op, Kind: fault.Conflict, Message: err.Error()}
}

func text(f *fault.Fault) string {
	if f.Cause != nil {
		return f.Cause.Error()
	}
	return string(f.Kind)
}

// now is the state's time.
func (s *state) now() time.Time { return time.UnixMilli(s.Time).UTC() }

// leaf appends an entry to the transparency log.
func (c *change) leaf(kind, collaboration string, body []byte, object string) int64 {
	salt := sha256.Sum256(binary.BigEndian.AppendUint64(append([]byte("leaf"), c.salt...), c.leaves))
	c.leaves++
	leaf := checkpoint.Leaf(salt[:], body)
	index := c.Tree.Append(leaf)
	e := Entry{Index: index, Leaf: leaf, Kind: kind, Collaboration: collaboration, At: c.now(), Salt: salt[:], Object: object}
	if object == "" {
		e.Body = body
	}
	c.Entries = append(c.Entries, e)
	return index
}

// Entry is what the coordinators keep of a leaf of the log. Body is empty where an object holds it.
type Entry struct {
	Index         int64     `json:"index"`
	Kind          string    `json:"kind"`
	Collaboration string    `json:"collaboration"`
	At            time.Time `json:"at"`
	Leaf          []byte    `json:"leaf"` // SHA-256(salt ‖ body)
	Salt          []byte    `json:"salt"`
	Body          []byte    `json:"body,omitempty"`
	Object        string    `json:"object,omitempty"`
}
