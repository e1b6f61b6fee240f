package linearize_test

import (
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"

	"concordat.dev/coordinator/state"
	"concordat.dev/protocol/key"
)

// told is a call of one room with its outcome. It begins when the one before it has ended, unless it says when.
type told struct {
	in         call
	out        outcome
	begin, end int64
}

func operations(calls ...told) (out []porcupine.Operation) {
	now := int64(0)
	for i, c := range calls {
		if c.end == 0 {
			c.begin, c.end = now+1, now+2
		}
		now = max(now, c.end)
		out = append(out, porcupine.Operation{ClientId: i, Input: c.in, Call: c.begin, Output: c.out, Return: c.end})
	}
	return out
}

func spends(a, b int64) call { return call{do: reserve, version: 1, price: [2]int64{a, b}} }

func signs(do action, who int) call { return call{do: do, version: 1, who: who} }

// signed is a room whose first version is in force: leaves 1 to 3.
func signed(calls ...told) []porcupine.Operation {
	return operations(append([]told{
		{in: signs(propose, 0), out: outcome{index: 1}},
		{in: signs(approve, 0), out: outcome{index: 2}},
		{in: signs(approve, 1), out: outcome{index: 3}},
	}, calls...)...)
}

// TestCheck tells the checker of histories that one machine could have told, and of some that differ from them by one lie each.
func TestCheck(t *testing.T) {
	half := limit/2 + 1
	paid := told{in: spends(10, 20), out: outcome{index: 4}}
	paused := told{in: signs(pause, 0), out: outcome{index: 4}}
	for name, c := range map[string]struct {
		history []porcupine.Operation
		lie     bool
	}{
		"reservation, read":                {signed(paid, told{in: call{do: balance}, out: outcome{spent: [2]int64{10, 20}}}), false},
		"a stale read":                     {signed(paid, told{in: call{do: balance}, out: outcome{}}), true},
		"a read of both":                   {signed(told{paid.in, paid.out, 10, 20}, told{in: call{do: balance}, begin: 15, end: 18}), false},
		"a read from the future":           {signed(told{in: call{do: balance}, out: outcome{spent: [2]int64{10, 20}}}, paid), true},
		"two reservations":                 {signed(paid, told{in: spends(1, 1), out: outcome{spent: [2]int64{10, 20}, index: 5}}), false},
		"a forgotten reservation":          {signed(paid, told{in: spends(1, 1), out: outcome{index: 5}}), true},
		"a reservation paid twice":         {signed(paid, told{in: spends(1, 1), out: outcome{spent: [2]int64{20, 40}, index: 5}}), true},
		"a budget that is overdrawn":       {signed(told{in: spends(half, 0), out: outcome{index: 4}}, told{in: spends(half, 0), out: outcome{spent: [2]int64{half, 0}, index: 5}}), true},
		"a budget that cannot pay":         {signed(told{in: spends(half, 0), out: outcome{index: 4}}, told{in: spends(half, 0), out: outcome{verdict: short, left: limit - half}}), false},
		"short, of what is there":          {signed(told{in: spends(half, 0), out: outcome{verdict: short, left: limit}}), true},
		"paused, refused":                  {signed(paused, told{in: spends(1, 1), out: outcome{verdict: refused}}), false},
		"paused, reserved":                 {signed(paused, told{in: spends(1, 1), out: outcome{index: 5}}), true},
		"paused, released":                 {signed(paid, told{in: signs(pause, 0), out: outcome{index: 5}}, told{in: signs(record, 0), out: outcome{index: 6}}), true},
		"resumed by another":               {signed(paused, told{in: signs(resume, 1), out: outcome{index: 5}}), true},
		"not paused, refused":              {signed(told{in: spends(1, 1), out: outcome{verdict: refused}}), true},
		"in force without one":             {operations(told{in: signs(propose, 0), out: outcome{index: 1}}, told{in: signs(approve, 0), out: outcome{index: 2}}, told{in: spends(1, 1), out: outcome{index: 3}}), true},
		"a signature is forgotten":         {signed(told{in: call{do: manifest, version: 1}, out: outcome{status: state.Proposed, signed: [2]bool{true, false}}}), true},
		"leaves in another order":          {signed(told{in: spends(1, 1), out: outcome{index: 6}}, told{in: spends(1, 1), out: outcome{spent: [2]int64{1, 1}, index: 5}}), true},
		"unclear, and before a read":       {signed(told{signs(pause, 0), outcome{verdict: done, index: 4}, 10, 40}, told{in: spends(1, 1), out: outcome{verdict: refused}, begin: 20, end: 30}), false},
		"unclear, but after what saw it":   {signed(told{in: spends(1, 1), out: outcome{verdict: refused}, begin: 20, end: 30}, told{signs(pause, 0), outcome{verdict: done, index: 4}, 35, 40}), true},
		"a signature that may have been":   {operations(told{in: signs(propose, 0), out: outcome{index: 1}}, told{signs(approve, 0), outcome{verdict: unclear, index: 2}, 10, 50}, told{signs(approve, 1), outcome{index: 3}, 20, 21}, told{spends(1, 1), outcome{index: 4}, 22, 23}), false},
		"one that may have been, too late": {operations(told{in: signs(propose, 0), out: outcome{index: 1}}, told{signs(approve, 1), outcome{index: 2}, 20, 21}, told{spends(1, 1), outcome{index: 4}, 22, 23}, told{signs(approve, 0), outcome{verdict: unclear, index: 3}, 30, 50}), true},
	} {
		err := check("room", rooms, byRoom(c.history))
		if (err != nil) != c.lie {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCheckLog does the same for the log.
func TestCheckLog(t *testing.T) {
	sized := func(n int64) told { return told{in: call{do: size}, out: outcome{index: n}} }
	leaf := func(n int64) told { return told{in: call{do: record}, out: outcome{index: n}} }
	far := int64(3 * pieceOfLog)
	for name, c := range map[string]struct {
		history []told
		lie     bool
	}{
		"it grows":                   {[]told{leaf(4), sized(5), leaf(7), sized(9), leaf(far), sized(far + 1)}, false},
		"two events have one leaf":   {[]told{leaf(4), leaf(4)}, true},
		"a size that lacks a leaf":   {[]told{leaf(4), sized(4)}, true},
		"it shrinks":                 {[]told{sized(9), sized(8)}, true},
		"it shrinks by a long way":   {[]told{sized(far), sized(8)}, true},
		"a leaf below a former size": {[]told{sized(9), leaf(8)}, true},
		"a leaf that was long there": {[]told{sized(far), leaf(8)}, true},
	} {
		history := operations(c.history...)
		err := check("piece", leaves, byIndex(history))
		if (err != nil || inOrder(history) >= 0) != c.lie {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestResolved tells when calls without an answer happened: before whatever saw their leaf, or a later one, had ended.
func TestResolved(t *testing.T) {
	known := operations(
		told{call{do: reserve}, outcome{index: 10}, 100, 200}, told{call{do: size}, outcome{index: 16}, 120, 150}, told{call{do: balance}, outcome{}, 1, 2})
	seen := seenBy(known)
	for index, want := range map[int64]int64{3: 150, 10: 150, 15: 150, 16: 1<<63 - 1} {
		if at := seen(index); at != want {
			t.Errorf("leaf %d was seen at %d, want %d", index, at, want)
		}
	}
	k, err := key.Generate()
	must(t, err)
	h := &history{cluster: &cluster{t: t}, rooms: []*place{{name: "room0", keys: [2]key.Private{k, k}}}}
	open := operations(
		told{call{do: approve, version: 1}, outcome{verdict: unclear, index: 12}, 60, 90}, told{call{do: approve, version: 1}, outcome{verdict: unclear, index: 12}, 40, 90},
		told{call{do: pause, mark: "n"}, outcome{verdict: unclear, index: 14}, 50, 90}, told{call{do: resume, mark: "m"}, outcome{verdict: unclear, index: 40}, 55, 90})
	var got []string
	for _, op := range h.happenings(open, seen) {
		c, o := op.Input.(call), op.Output.(outcome)
		got = append(got, strings.Join([]string{string(c.do), map[bool]string{true: "maybe"}[o.verdict == unclear], map[bool]string{true: "by 150"}[op.Return == 150]}, " "))
	}
	if want := "approve maybe by 150, pause  by 150, resume  "; strings.Join(got, ", ") != want || h.happened != 3 {
		t.Errorf("%q, %d happened, want %q", got, h.happened, want)
	}
}
