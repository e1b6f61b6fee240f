package linearize_test

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/anishathalye/porcupine"

	"concordat.dev/coordinator/state"
)

// limit is each owner's budget in every room, in units of rho.
const limit = int64(1e9)

// owners are the two participants of every room.
var owners = [2]string{"clinic", "registry"}

type action string

const (
	propose  action = "propose"
	approve  action = "approve"
	pause    action = "pause"
	resume   action = "resume"
	reserve  action = "reserve"
	record   action = "record"
	balance  action = "balance"  // read of what is spent
	manifest action = "manifest" // read of how the manifest stands
	size     action = "size"     // read of the log's size
)

// call is what a client asked for.
type call struct {
	room  int
	do    action
	who   int // index of the owner who signs
	price [2]int64
}

// What a call came to.
type verdict int

const (
	done    verdict = iota
	refused         // the state did not admit it; it changed nothing
	short           // a budget could not pay
	unclear         // it may have happened, or may yet happen
)

// outcome is what a client was told.
type outcome struct {
	verdict verdict
	spent   [2]int64 // before a reservation, or as read
	owner   int      // who is short
	left    int64    // of whom is short
	status  state.Status
	signed  [2]bool
	paused  [2]bool
	index   int64 // of a leaf, or the log's size
}

// room is the model of a collaboration: one manifest and the accounts of its two owners.
type room struct {
	proposed       bool
	signed, paused [2]bool
	spent          [2]int64
}

func (r room) active() bool  { return r.signed[0] && r.signed[1] }
func (r room) inForce() bool { return r.active() && !r.paused[0] && !r.paused[1] }

func (r room) status() state.Status {
	switch {
	case !r.proposed:
		return ""
	case !r.active():
		return state.Proposed
	case r.inForce():
		return state.Active
	default:
		return state.Paused
	}
}

// rooms checks each collaboration on its own.
var rooms = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byRoom := map[int][]porcupine.Operation{}
		for _, o := range history {
			if c := o.Input.(call); c.do != size {
				byRoom[c.room] = append(byRoom[c.room], o)
			}
		}
		var out [][]porcupine.Operation
		for _, h := range byRoom {
			out = append(out, h)
		}
		return out
	},
	Init: func() any { return room{} },
	Step: func(s, in, out any) (bool, any) { return s.(room).step(in.(call), out.(outcome)) },
	DescribeOperation: func(in, out any) string {
		return fmt.Sprintf("%+v: %+v", in, out)
	},
}

// step says whether the outcome is right in this state, and what the state is then.
func (r room) step(c call, o outcome) (bool, room) {
	switch c.do {
	case balance:
		return r.active() && o.verdict == done && o.spent == r.spent || !r.active() && o.verdict == refused, r
	case manifest:
		return o.status == r.status() && o.signed == r.signed && o.paused == r.paused, r
	case reserve:
		return r.reserve(c, o)
	}
	next, ok := r.sign(c)
	switch {
	case o.verdict == unclear && ok, o.verdict == done && ok:
		return true, next
	case o.verdict == unclear, o.verdict == refused && !ok:
		return true, r
	default:
		return false, r
	}
}

// sign is the state after a statement or a record, and whether it is admitted.
func (r room) sign(c call) (room, bool) {
	switch c.do {
	case propose:
		ok := !r.active()
		r.proposed = r.proposed || ok
		return r, ok
	case approve:
		ok := r.proposed
		r.signed[c.who] = r.signed[c.who] || ok
		return r, ok
	case pause:
		ok := r.active()
		r.paused[c.who] = r.paused[c.who] || ok
		return r, ok
	case resume:
		ok := r.active() && r.paused[c.who]
		r.paused[c.who] = r.paused[c.who] && !ok
		return r, ok
	default: // record
		return r, r.inForce()
	}
}

func (r room) reserve(c call, o outcome) (bool, room) {
	after := r
	enough := true
	for i := range owners {
		after.spent[i] += c.price[i]
		enough = enough && after.spent[i] <= limit
	}
	switch o.verdict {
	case done:
		return r.inForce() && enough && o.spent == r.spent, after
	case short:
		return r.inForce() && after.spent[o.owner] > limit && o.left == limit-r.spent[o.owner], r
	default:
		return !r.inForce(), r
	}
}

// leaves is the model of the log: an index is new and a size never shrinks. Leaves of other events may lie between, so the state is a
// lower bound. Long histories are checked in pieces by index, each on its own; inOrder sees to what lies across.
var leaves = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		var out [][]porcupine.Operation
		for _, o := range history {
			piece := int(o.Output.(outcome).index / pieceOfLog)
			for len(out) <= piece {
				out = append(out, nil)
			}
			out[piece] = append(out[piece], o)
		}
		return out
	},
	Init: func() any { return int64(0) },
	Step: func(s, in, out any) (bool, any) {
		atLeast, o := s.(int64), out.(outcome)
		if in.(call).do == size {
			return o.index >= atLeast, max(atLeast, o.index)
		}
		return o.index >= atLeast, max(atLeast, o.index+1)
	},
	DescribeOperation: rooms.DescribeOperation,
}

const pieceOfLog = 512 // leaves

// inOrder finds an operation that began after another had ended with a higher index or size; -1 if there is none.
func inOrder(history []porcupine.Operation) int {
	begun := slices.Clone(history)
	slices.SortFunc(begun, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	ended := slices.Clone(history)
	slices.SortFunc(ended, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
	next, highest := 0, int64(0)
	for i, o := range begun {
		for ; ended[next].Return < o.Call; next++ {
			highest = max(highest, ended[next].Output.(outcome).index)
		}
		if o.Output.(outcome).index < highest {
			return i
		}
	}
	return -1
}

// inLog are the operations that the model of the log is about.
func inLog(history []porcupine.Operation) (out []porcupine.Operation) {
	for _, h := range history {
		c, o := h.Input.(call), h.Output.(outcome)
		if o.verdict == done && (c.do == size || c.do == reserve || c.do == record) {
			out = append(out, h)
		}
	}
	return out
}
