package linearize_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"concordat.dev/coordinator/state"
	"concordat.dev/protocol/event"
)

// checkFor is how long the checker may look for an order of the calls of one room: where it finds none in that time, the test fails.
const checkFor = time.Minute

// errOrder says that there is no order of the calls of a part.
type errOrder struct {
	of     string
	part   []porcupine.Operation
	result porcupine.CheckResult
}

func (e *errOrder) Error() string {
	return fmt.Sprintf("%s, %d operations: %s", e.of, len(e.part), e.result)
}

// check looks for an order of each part of a history, and says in which there is none.
func check(of string, model porcupine.Model, parts map[int][]porcupine.Operation) *errOrder {
	for i, part := range parts {
		if result := porcupine.CheckOperationsTimeout(model, part, checkFor); result != porcupine.Ok {
			return &errOrder{fmt.Sprint(of, " ", i), part, result}
		}
	}
	return nil
}

// judge looks for an order of all calls, room by room and piece by piece of the log.
func (h *history) judge() {
	h.report(rooms, check("room", rooms, byRoom(h.operations)))
	logged := inLog(h.operations)
	h.report(leaves, check("piece of the log", leaves, byIndex(logged)))
	if i := inOrder(logged); i >= 0 {
		h.t.Errorf("log: operation %d saw less than one that had ended before it began", i)
	}
}

// report draws what no order was found for.
func (h *history) report(model porcupine.Model, e *errOrder) {
	if e == nil {
		return
	}
	h.t.Error(e)
	_, info := porcupine.CheckOperationsVerbose(model, e.part, checkFor)
	file, err := os.CreateTemp("", "linearize-*.html")
	must(h.t, err)
	must(h.t, porcupine.Visualize(model, info, file))
	must(h.t, file.Close())
	h.t.Logf("drawn in %s", file.Name())
}

// happening is where the log tells of a call.
type happening struct {
	index  int64
	before [2]int64 // of a reservation: what was spent
}

// events are the calls that the log tells of, by mark; what signers say without a nonce, by eventMark.
func (h *history) events() map[string]happening {
	s, out := h.at(0).state, map[string]happening{}
	for i := range s.Tree().Size() {
		entry, _ := s.Entry(i)
		if entry.Kind == "release" {
			continue // by its query, below
		}
		e, err := event.Parse(entry.Body)
		must(h.t, err)
		var detail struct {
			Version int    `json:"version"`
			By      string `json:"by"`
			Reason  string `json:"reason"`
			Query   string `json:"query"`
		}
		must(h.t, json.Unmarshal(e.Detail, &detail))
		switch e.Action {
		case string(propose), string(approve):
			out[eventMark(action(e.Action), e.Collaboration, detail.Version, detail.By)] = happening{index: i}
		case string(pause), string(resume):
			out[detail.Reason] = happening{index: i}
		case string(reserve):
			q, _ := s.Query(detail.Query)
			out[detail.Query] = happening{index: i, before: before(&q)}
			if q.Status == state.QueryReleased {
				out[releaseMark(q.ID)] = happening{index: q.Receipt}
			}
		}
	}
	return out
}

func eventMark(do action, room string, version int, by string) string {
	return fmt.Sprint(do, " ", room, " ", version, " ", by)
}

func releaseMark(query string) string { return "release " + query }

// mark is by which the log knows a call that may have a leaf.
func (h *history) mark(c call) string {
	p := h.rooms[c.room]
	switch {
	case c.do == propose && c.version == 1:
		return eventMark(c.do, p.name, c.version, h.founder.Public().String())
	case c.do == propose, c.do == approve:
		return eventMark(c.do, p.name, c.version, p.keys[c.who].Public().String())
	case c.do == record:
		return releaseMark(c.mark)
	default:
		return c.mark
	}
}

// resolve finds out from the log what became of calls that nobody answered. One that has no leaf did nothing and is dropped. One that has a
// leaf happened, before any call ended that saw this leaf or a later one. Signatures of a version by one key are alike and have one leaf
// together: those without an answer count as one, which may have been it.
func (h *history) resolve() {
	events := h.events()
	var known, open []porcupine.Operation
	for _, op := range h.operations {
		c, o := op.Input.(call), op.Output.(outcome)
		writes := c.do != balance && c.do != manifest && c.do != size
		switch e, logged := events[h.mark(c)]; {
		case o.verdict == unclear:
			h.unclear++
			if logged {
				o.index, o.spent = e.index, e.before
				op.Output = o
				open = append(open, op)
			}
			continue
		case writes && o.verdict == done && !logged:
			if c.do != propose { // one that somebody else proposed is taken as done
				h.t.Errorf("room %d: an acknowledged %s is not in the log: %+v", c.room, c.do, c)
			}
		case writes && o.verdict == done && o.index > 0 && o.index != e.index:
			h.t.Errorf("room %d: %s was acknowledged as leaf %d and is leaf %d", c.room, c.do, o.index, e.index)
		case writes && o.verdict == done:
			o.index = e.index
			op.Output = o
		}
		known = append(known, op)
	}
	h.operations = append(known, h.happenings(open, seenBy(known))...)
}

// happenings are the calls without an answer that the log tells of, each with the time by which it had happened.
func (h *history) happenings(open []porcupine.Operation, seen func(index int64) int64) (out []porcupine.Operation) {
	slices.SortFunc(open, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	merged := map[string]bool{}
	for _, op := range open {
		c, o := op.Input.(call), op.Output.(outcome)
		op.Return = seen(o.index)
		shared := c.do == propose || c.do == approve
		if shared && (merged[h.mark(c)] || op.Return <= op.Call) {
			continue // the first of them stands for all; one that began later did nothing
		}
		if op.Return <= op.Call {
			h.t.Errorf("room %d: leaf %d of a %s was seen before anybody asked for it", c.room, o.index, c.do)
			continue
		}
		merged[h.mark(c)] = shared
		h.happened++
		if !shared {
			o.verdict = done
		}
		op.Output = o
		out = append(out, op)
	}
	return out
}

// seenBy tells when a call first ended that saw a leaf or a later one: at the end of time if none did.
func seenBy(history []porcupine.Operation) func(index int64) int64 {
	type sight struct{ index, at int64 }
	var sights []sight
	for _, op := range history {
		index := op.Output.(outcome).index
		if op.Input.(call).do == size {
			index-- // the last leaf of the tree
		}
		sights = append(sights, sight{index, op.Return})
	}
	slices.SortFunc(sights, func(a, b sight) int { return cmp.Compare(a.index, b.index) })
	for i := len(sights) - 2; i >= 0; i-- {
		sights[i].at = min(sights[i].at, sights[i+1].at)
	}
	return func(index int64) int64 {
		i, _ := slices.BinarySearchFunc(sights, index, func(s sight, want int64) int { return cmp.Compare(s.index, want) })
		if i == len(sights) {
			return math.MaxInt64
		}
		return sights[i].at
	}
}
