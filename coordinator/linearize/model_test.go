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
	room    int
	do      action
	who     int // index of the owner who signs
	version int // of the manifest that it is about
	price   [2]int64
	mark    string // by which its leaf is known: a statement's nonce or a query
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
	index   int64 // of its leaf, 0 for none, or the log's size
}

// room is the model of a collaboration: two versions of its manifest, the second an amendment, and the accounts of its two owners.
type room struct {
	proposed [2]bool
	signed   [2][2]bool // by version and owner
	paused   [2]bool
	spent    [2]int64
	leaf     int64 // of the last event here: the log tells events in the order in which they were decided
}

// active is the version that both signed last, 0 before any.
func (r room) active() int {
	for v := 2; v > 0; v-- {
		if s := r.signed[v-1]; s[0] && s[1] {
			return v
		}
	}
	return 0
}

// pending is the version that waits for signatures, 0 for none.
func (r room) pending() int {
	if next := r.active() + 1; next <= 2 && r.proposed[next-1] {
		return next
	}
	return 0
}

func (r room) inForce() bool { return r.active() > 0 && !r.paused[0] && !r.paused[1] }

func (r room) status(version int) state.Status {
	switch active := r.active(); {
	case !r.proposed[version-1]:
		return ""
	case version > active:
		return state.Proposed
	case version < active:
		return state.Superseded
	case r.inForce():
		return state.Active
	default:
		return state.Paused
	}
}

// rooms is the model of one collaboration.
var rooms = porcupine.Model{
	Init: func() any { return room{} },
	Step: func(s, in, out any) (bool, any) { return s.(room).step(in.(call), out.(outcome)) },
	DescribeOperation: func(in, out any) string {
		return fmt.Sprintf("%+v: %+v", in, out)
	},
}

// byRoom are the operations of each collaboration: it is checked on its own.
func byRoom(history []porcupine.Operation) map[int][]porcupine.Operation {
	out := map[int][]porcupine.Operation{}
	for _, o := range history {
		if c := o.Input.(call); c.do != size {
			out[c.room] = append(out[c.room], o)
		}
	}
	return out
}

// step says whether the outcome is right in this state, and what the state is then.
func (r room) step(c call, o outcome) (bool, room) {
	switch c.do {
	case balance:
		return r.active() > 0 && o.verdict == done && o.spent == r.spent || r.active() == 0 && o.verdict == refused, r
	case manifest:
		var paused [2]bool
		if r.active() == c.version {
			paused = r.paused
		}
		return o.status == r.status(c.version) && o.signed == r.signed[c.version-1] && o.paused == paused, r
	case reserve:
		return r.reserve(c, o)
	}
	next, ok := r.sign(c)
	if again := next == r && (c.do == propose || c.do == approve); ok && !again { // it has a leaf of its own
		next.leaf = o.index
	}
	switch {
	case o.verdict == refused:
		return !ok, r
	case ok && next.leaf >= r.leaf:
		return true, next
	default: // nobody knows, and it did nothing
		return o.verdict == unclear, r
	}
}

// sign is the state after a statement or a record, and whether it is admitted.
func (r room) sign(c call) (room, bool) {
	switch c.do {
	case propose:
		ok := r.active() == c.version-1
		r.proposed[c.version-1] = r.proposed[c.version-1] || ok
		return r, ok
	case approve: // again, after it came into force, changes nothing
		ok := r.pending() == c.version || r.pending() == 0 && r.active() == c.version
		r.signed[c.version-1][c.who] = r.signed[c.version-1][c.who] || ok
		return r, ok
	case pause:
		ok := r.active() == c.version
		r.paused[c.who] = r.paused[c.who] || ok
		return r, ok
	case resume:
		ok := r.active() == c.version && r.paused[c.who]
		r.paused[c.who] = r.paused[c.who] && !ok
		return r, ok
	default: // record
		return r, r.inForce()
	}
}

func (r room) reserve(c call, o outcome) (bool, room) {
	after := r
	enough, inForce := true, r.inForce() && r.active() == c.version
	for i := range owners {
		after.spent[i] += c.price[i]
		enough = enough && after.spent[i] <= limit
	}
	switch o.verdict {
	case done:
		after.leaf = o.index
		return inForce && enough && o.spent == r.spent && o.index > r.leaf, after
	case short:
		return inForce && after.spent[o.owner] > limit && o.left == limit-r.spent[o.owner], r
	default:
		return !inForce, r
	}
}

// leaves is the model of the log: an index is new and a size never shrinks. Leaves of other events may lie between, so the state is a
// lower bound. Long histories are checked in pieces by index, each on its own; inOrder sees to what lies across.
var leaves = porcupine.Model{
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

// byIndex are the pieces of the log.
func byIndex(history []porcupine.Operation) map[int][]porcupine.Operation {
	out := map[int][]porcupine.Operation{}
	for _, o := range history {
		piece := int(o.Output.(outcome).index / pieceOfLog)
		out[piece] = append(out[piece], o)
	}
	return out
}

const pieceOfLog = 256 // leaves

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
