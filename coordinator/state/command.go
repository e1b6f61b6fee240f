package state

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"concordat.dev/protocol/fault"
)

// commandVersion is the form of commands that this build writes and reads.
const commandVersion = 1

// Command is one change of the state. Everything that is not in the state already comes in it: time, ids, salts.
type Command struct {
	V    int             `json:"v"`
	Kind string          `json:"kind"`
	ID   string          `json:"id"`   // random; a command that comes twice is applied once
	Time int64           `json:"time"` // Unix milliseconds, as the proposer has it
	Salt []byte          `json:"salt"` // 32 random bytes, from which the salts of log leaves derive
	Body json.RawMessage `json:"body"`
}

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

// ErrChanged says that a command was made from a state that is outdated: look again, and make it anew.
var ErrChanged = errors.New("changed meanwhile, try again")

// Applier has commands replicated; coordinator/raft does.
type Applier interface {
	Apply(ctx context.Context, command []byte) ([]byte, error)
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
	command, err := encode(body.kind(), now, body)
	if err != nil {
		return result, 0, fault.New(body.kind(), fault.Internal, err)
	}
	raw, err := to.Apply(ctx, command)
	if err != nil {
		return result, 0, fault.New(body.kind(), fault.Unavailable, err)
	}
	var out Outcome
	if err := json.Unmarshal(raw, &out); err != nil {
		return result, 0, fault.New(body.kind(), fault.Internal, err)
	}
	if out.Fault != nil {
		cause := errors.New(out.Fault.Message)
		if out.Fault.Changed {
			cause = changed{cause}
		}
		return result, out.Index, fault.New(out.Fault.Op, out.Fault.Kind, cause)
	}
	if err := json.Unmarshal(out.Data, &result); err != nil {
		return result, out.Index, fault.New(body.kind(), fault.Internal, err)
	}
	return result, out.Index, nil
}

// changed is a cause whose message already says ErrChanged.
type changed struct{ error }

func (changed) Is(target error) bool { return target == ErrChanged }

func encode(kind string, now time.Time, body any) ([]byte, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	random := make([]byte, 48)
	_, _ = rand.Read(random)
	return json.Marshal(Command{
		V: commandVersion, Kind: kind, ID: hex.EncodeToString(random[:16]), Time: now.UnixMilli(), Salt: random[16:], Body: raw,
	})
}

// decode panics: an entry that this build can't read was written by another one, and going on would let replicas drift apart.
func decode(raw []byte, into any) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		panic(fmt.Sprintf("state: undecodable entry: %v", err))
	}
}
