package state

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"concordat.dev/protocol/fault"
)

// The forms of commands: the first is JSON and is read, no longer written; the second is a byte that no JSON begins with and a record.
const (
	commandVersion      = 1
	commandRecord  byte = 2
)

// Command is one change of the state. Everything that is not in the state already comes in it: time, ids, salts.
type Command struct {
	V      int             `json:"v"`
	Kind   string          `json:"kind"`
	ID     string          `json:"id"`   // random; a command that comes twice is applied once
	Time   int64           `json:"time"` // Unix milliseconds, as the proposer has it
	Salt   []byte          `json:"salt"` // 32 random bytes, from which the salts of log leaves derive
	Body   json.RawMessage `json:"body"`
	Record []byte          `json:"-"` // instead of Body, for the kinds that come most often
}

// recorder is a body that is written as a record, and reader one that is read from it.
type (
	recorder interface{ record() []byte }
	reader   interface{ read([]byte, names) error }
)

// Outcome is what a command came to. Index is that of its entry in the replicated log.
type Outcome struct {
	Index uint64          `json:"index"`
	Fault *Rejection      `json:"fault,omitempty"`
	Data  json.RawMessage `json:"data,omitempty"`
}

// Rejection is a command that the state does not admit. It changed nothing.
type Rejection struct {
	Op      string     `json:"op"`
	Kind    fault.Kind `json:"kind"`
	Message string     `json:"message"`
	Changed bool       `json:"changed,omitempty"` // what the command was made from is outdated: make it anew
}

func (r *Rejection) Error() string { return r.Message }

// ErrChanged says that a command was made from a state that is outdated: look again, and make it anew.
var ErrChanged = errors.New("changed meanwhile, try again")

// Applier has commands replicated; coordinator/raft does.
type Applier interface {
	Apply(ctx context.Context, command []byte) ([]byte, error)
}

// Clock is an Applier that knows what time a command is proposed at, whatever the caller's clock shows.
type Clock interface {
	Time(now time.Time) time.Time
}

// Body is a kind of command whose result has the type R. Yields only says so: it returns nothing of use.
type Body[R any] interface {
	kind() string
	yields() R
}

// Submit has a command replicated and applied, and returns its result and the index of its entry. A rejection is a *fault.Fault; an
// outcome that is not known is one of the kind Unavailable.
func Submit[R any](ctx context.Context, to Applier, now time.Time, body Body[R]) (R, uint64, error) {
	var result R
	if c, ok := to.(Clock); ok {
		now = c.Time(now)
	}
	command, err := encode(body.kind(), now, body)
	if err != nil {
		return result, 0, fault.New(body.kind(), fault.Internal, err)
	}
	raw, err := to.Apply(ctx, command)
	if err != nil {
		return result, 0, fault.New(body.kind(), fault.Unavailable, err)
	}
	index, err := Told(raw, &result)
	var rejected *Rejection
	switch {
	case err == nil:
		return result, index, nil
	case !errors.As(err, &rejected):
		return result, index, fault.New(body.kind(), fault.Internal, err)
	case rejected.Changed:
		return result, index, fault.New(rejected.Op, rejected.Kind, changed{rejected})
	default:
		return result, index, fault.New(rejected.Op, rejected.Kind, rejected)
	}
}

// Told reads what Machine.Apply tells of a command: the index of its entry, and its result, or a *Rejection.
func Told(raw []byte, result any) (index uint64, err error) {
	if len(raw) > 0 && raw[0] == commandRecord {
		to, ok := result.(reader)
		index, n := binary.Uvarint(raw[1:])
		if !ok || n <= 0 {
			return 0, errWire
		}
		return index, to.read(raw[1+n:], nil)
	}
	var out Outcome
	if err := json.Unmarshal(raw, &out); err != nil {
		return 0, err
	}
	if out.Fault != nil {
		return out.Index, out.Fault
	}
	return out.Index, json.Unmarshal(out.Data, result)
}

// changed is a cause whose message already says ErrChanged.
type changed struct{ error }

func (changed) Is(target error) bool { return target == ErrChanged }

func encode(kind string, now time.Time, body any) ([]byte, error) {
	random := make([]byte, 48)
	_, _ = rand.Read(random)
	r := make(record, 1, 1536)
	r[0] = commandRecord
	r.text(1, kind)
	r.raw(2, random[:16])
	r.number(3, now.UnixMilli())
	r.raw(4, random[16:])
	if b, ok := body.(recorder); ok {
		r.item(6, b.record())
		return r, nil
	}
	raw, err := json.Marshal(body)
	r.raw(5, raw)
	return r, err
}

// decodeCommand panics: an entry that this build can't read was written by another one, and going on would let replicas drift apart.
func decodeCommand(index uint64, raw []byte) (c Command) {
	if len(raw) == 0 || raw[0] != commandRecord {
		decode(raw, &c)
		if c.V != commandVersion {
			panic(fmt.Sprintf("state: entry %d has version %d, this build reads %d", index, c.V, commandVersion))
		}
		return c
	}
	err := fields(raw[1:], func(f field) bool {
		switch f.num {
		case 1:
			c.Kind = f.text()
		case 2:
			c.ID = hex.EncodeToString(f.bytes)
		case 3:
			c.Time = f.number()
		case 4:
			c.Salt = f.raw()
		case 5:
			c.Body = f.raw()
		case 6:
			c.Record = f.bytes
		default:
			return false
		}
		return true
	})
	if err != nil {
		panic(fmt.Sprintf("state: entry %d: %v", index, err))
	}
	return c
}

// decode panics, as decodeCommand does.
func decode(raw []byte, into any) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		panic(fmt.Sprintf("state: undecodable entry: %v", err))
	}
}
