package membership_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/membership"
)

const root = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

func newKey(t *testing.T) key.Private {
	t.Helper()
	k, err := key.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func join(t *testing.T) membership.Statement {
	t.Helper()
	return membership.Statement{
		Action: membership.Join, Ledger: strings.Repeat("a", 32), Number: 1, Node: &membership.Node{Key: newKey(t).Public(), Address: "c4.example:7101"},
	}
}

func recovery(t *testing.T) membership.Statement {
	t.Helper()
	return membership.Statement{
		Action: membership.Recover, Ledger: strings.Repeat("a", 32), Number: 3, From: &membership.Checkpoint{Size: 7, Root: root},
		Voters: []membership.Node{{Key: newKey(t).Public(), Address: "a:1"}, {Key: newKey(t).Public(), Address: "b:1"}}, Issued: "2026-11-23T16:00:00Z",
	}
}

func TestWhatIsSignedIsWhatIsRead(t *testing.T) {
	clinic, stranger := newKey(t), newKey(t)
	for _, s := range []membership.Statement{join(t), recovery(t), {Action: membership.Remove, Ledger: strings.Repeat("b", 32), Number: 2, Node: &membership.Node{Key: newKey(t).Public()}}} {
		e, err := membership.Sign(s, clinic)
		if err != nil {
			t.Fatal(err)
		}
		got, signers, err := membership.Verify(e, []key.Public{clinic.Public()})
		if err != nil || got.Action != s.Action || got.Number != s.Number || len(signers) != 1 {
			t.Errorf("%+v %v %v", got, signers, err)
		}
		if _, _, err := membership.Verify(e, []key.Public{stranger.Public()}); !errors.Is(err, dsse.ErrNoSignature) {
			t.Errorf("a stranger: %v", err)
		}
		again, err := got.Payload()
		if err != nil || !bytes.Equal(again, e.Payload) {
			t.Errorf("two forms of bytes: %s %s", again, e.Payload)
		}
		e.Payload[len(e.Payload)/2] ^= 1
		if _, _, err := membership.Verify(e, []key.Public{clinic.Public()}); err == nil {
			t.Error("a changed payload passes")
		}
	}
}

func TestEveryFieldIsChecked(t *testing.T) {
	for name, change := range map[string]func(join, recovery *membership.Statement){
		"no ledger":        func(j, r *membership.Statement) { j.Ledger, r.Ledger = "", "" },
		"number 0":         func(j, r *membership.Statement) { j.Number, r.Number = 0, 0 },
		"another type":     func(j, r *membership.Statement) { j.Type, r.Type = "x", "x" },
		"long reason":      func(j, r *membership.Statement) { j.Reason = strings.Repeat("x", 2001); r.Reason = j.Reason },
		"the other's form": func(j, r *membership.Statement) { j.Action, r.Action = r.Action, j.Action },
		"unknown action":   func(j, r *membership.Statement) { j.Action, r.Action = "x", "" },
		"no address":       func(j, r *membership.Statement) { j.Node.Address, r.Voters[1].Address = "", "nowhere" },
		"no key":           func(j, r *membership.Statement) { j.Node.Key, r.Voters[0].Key = key.Public{}, key.Public{} },
		"both":             func(j, r *membership.Statement) { j.Voters, r.Node = r.Voters, j.Node },
		"nothing":          func(j, r *membership.Statement) { j.Node, r.From = nil, nil },
		"no time":          func(j, r *membership.Statement) { j.Issued, r.Issued = r.Issued, "" },
	} {
		j, r := join(t), recovery(t)
		j.Type, r.Type = membership.Type, membership.Type
		change(&j, &r)
		for _, s := range []membership.Statement{j, r} {
			if err := s.Validate(); !errors.Is(err, membership.ErrInvalid) {
				t.Errorf("%s: %s: %v", name, s.Action, err)
			}
		}
	}
	for name, change := range map[string]func(*membership.Statement){
		"twice the same key":     func(r *membership.Statement) { r.Voters[1].Key = r.Voters[0].Key },
		"twice the same address": func(r *membership.Statement) { r.Voters[1].Address = r.Voters[0].Address },
		"no voter":               func(r *membership.Statement) { r.Voters = nil },
		"an empty log":           func(r *membership.Statement) { r.From.Size = 0 },
		"no root":                func(r *membership.Statement) { r.From.Root = "x" },
		"time with fractions":    func(r *membership.Statement) { r.Issued = "2026-11-23T16:00:00.5Z" },
	} {
		r := recovery(t)
		r.Type = membership.Type
		change(&r)
		if err := r.Validate(); !errors.Is(err, membership.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
