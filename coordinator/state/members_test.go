package state_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"concordat.dev/coordinator/state"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/membership"
)

// nodes is a ledger with a room of two participants in force, or with founders alone.
func nodes(t *testing.T, room bool) *script {
	t.Helper()
	s := &script{t: t, m: state.New(), now: begun, forms: map[int]document.SignedForm{}}
	mesh := running()
	mesh.Voters = []string{private("c1").Public().String(), private("c2").Public().String()}
	s.apply("init", state.Init{Ledger: ledger, Founders: []string{private("founder").Public().String()}, Mesh: mesh})
	if room {
		for _, line := range []string{"propose by=founder", "approve by=clinic+registry"} {
			cmd, args, err := datadriven.ParseLine(line)
			must(t, err)
			if got := s.run(&datadriven.TestData{Cmd: cmd, CmdArgs: args}); strings.Contains(got, ": ") {
				t.Fatalf("%s: %s", line, got)
			}
		}
	}
	return s
}

func (s *script) nodeSays(said membership.Statement, signers ...string) []byte {
	s.t.Helper()
	said.Ledger = cmp.Or(said.Ledger, ledger)
	e, err := membership.Sign(said)
	must(s.t, err)
	for _, who := range signers {
		one, err := membership.Sign(said, private(who))
		must(s.t, err)
		e.Signatures = append(e.Signatures, one.Signatures...)
	}
	raw, err := e.Marshal()
	must(s.t, err)
	return raw
}

// change hands a statement in and tells what came of it: ok, or the fault.
func (s *script) change(said membership.Statement, signers ...string) string {
	s.t.Helper()
	return strings.TrimSpace(s.apply("change_nodes", state.ChangeNodes{Statement: s.nodeSays(said, signers...)}))
}

func joins(number int, node string) membership.Statement {
	return membership.Statement{Action: membership.Join, Number: number, Node: &membership.Node{Key: private(node).Public(), Address: node + ":1"}}
}

func removes(number int, node string) membership.Statement {
	return membership.Statement{Action: membership.Remove, Number: number, Node: &membership.Node{Key: private(node).Public()}}
}

func (s *script) voters() string {
	var names []string
	for _, v := range s.m.Membership().Voters {
		for _, name := range []string{"c1", "c2", "c3", "c4"} {
			if private(name).Public().String() == v {
				names = append(names, name)
			}
		}
	}
	return strings.Join(names, " ")
}

func TestChangesOfCoordinators(t *testing.T) {
	s := nodes(t, false)
	elsewhere := joins(1, "c3")
	elsewhere.Ledger = strings.Repeat("0", 32)
	for _, step := range []struct {
		name    string
		said    membership.Statement
		by      string
		settle  int // before
		want    string
		voters  string
		settled bool
	}{
		{"a stranger", joins(1, "c3"), "stranger", 0, "forbidden", "c1 c2", true},
		{"for another ledger", elsewhere, "founder", 0, "conflict", "c1 c2", true},
		{"a number that is not the next", joins(2, "c3"), "founder", 0, "conflict", "c1 c2", true},
		{"one that is there", joins(1, "c2"), "founder", 0, "exists", "c1 c2", true},
		{"one that is not", removes(1, "c3"), "founder", 0, "not_found", "c1 c2", true},
		{"a join", joins(1, "c3"), "founder", 0, "", "c1 c2 c3", false},
		{"the same again", joins(1, "c3"), "founder", 0, "exists", "c1 c2 c3", false},
		{"another one meanwhile", joins(2, "c4"), "founder", 0, "conflict", "c1 c2 c3", false},
		{"a removal of another one meanwhile", removes(2, "c1"), "founder", 0, "conflict", "c1 c2 c3", false},
		{"the joining one withdrawn", removes(2, "c3"), "founder", 0, "", "c1 c2", false},
		{"after that was settled", removes(3, "c1"), "founder", 2, "", "c2", false},
		{"the last one", removes(4, "c2"), "founder", 3, "conflict", "c2", true},
	} {
		if step.settle > 0 {
			s.apply("settle_nodes", state.SettleNodes{Number: step.settle})
		}
		before := s.m.Tree().Size()
		got := s.change(step.said, step.by)
		if step.want != "" && !strings.HasPrefix(got, step.want+":") || step.want == "" && strings.Contains(got, ": ") {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
		if grown := s.m.Tree().Size() - before; step.want == "" && grown != 2 || step.want != "" && grown != 0 {
			t.Errorf("%s: %d leaves", step.name, grown)
		}
		if m := s.m.Membership(); s.voters() != step.voters || m.Settled != step.settled {
			t.Errorf("%s: voters %s, settled %t", step.name, s.voters(), m.Settled)
		}
	}
	kinds := map[string]int{}
	for _, e := range s.m.Entries("whatever", 0, 100) {
		kinds[e.Kind]++
		if e.Kind == "node_join" && !bytes.Contains(e.Body, []byte(private("c3").Public().String())) {
			t.Errorf("the leaf does not say who joined: %s", e.Body)
		}
	}
	if kinds["node_join"] != 1 || kinds["node_remove"] != 2 || kinds["approve_nodes"] != 3 {
		t.Errorf("leaves %v", kinds)
	}
	s.restore()
	if s.voters() != "c2" || len(s.m.Membership().Changes) != 3 {
		t.Errorf("after a snapshot: %s %+v", s.voters(), s.m.Membership())
	}
}

func TestAllParticipantsDecideAboutCoordinators(t *testing.T) {
	s := nodes(t, true)
	if got := s.change(joins(1, "c3"), "founder"); !strings.HasPrefix(got, "forbidden") {
		t.Errorf("a founder, where a manifest is in force: %s", got)
	}
	s.change(joins(1, "c3"), "clinic")
	s.change(joins(1, "c4"), "registry") // another node in its place
	if got := s.m.Membership().Proposed; len(got) != 2 || !slices.Equal(s.m.MissingFor(got[0]), []string{"room/registry"}) || s.voters() != "c1 c2" {
		t.Errorf("%+v, voters %s", got, s.voters())
	}
	if got := s.change(joins(1, "c3"), "registry"); s.voters() != "c1 c2 c3" {
		t.Errorf("%s; voters %s", got, s.voters())
	}
	if m := s.m.Membership(); len(m.Proposed) > 0 || len(m.Changes) != 1 || len(m.Changes[0].Envelopes) != 2 {
		t.Errorf("%+v", m)
	}
}

func TestRecoveryIsSignedAndPausesAll(t *testing.T) {
	s := nodes(t, true)
	size := s.m.Tree().Size()
	root, err := s.m.Tree().Root(size)
	must(t, err)
	good := func(change func(*membership.Statement)) membership.Statement {
		said := membership.Statement{
			Action: membership.Recover, Number: 1, From: &membership.Checkpoint{Size: size, Root: root.String()},
			Voters: []membership.Node{{Key: private("c3").Public(), Address: "c3:1"}, {Key: private("c1").Public(), Address: "c1:1"}},
			Issued: begun.AddDate(0, 1, 0).UTC().Format("2006-01-02T15:04:05Z"),
		}
		if change != nil {
			change(&said)
		}
		return said
	}
	both := func(change func(*membership.Statement)) []byte { return s.nodeSays(good(change), "clinic", "registry") }
	salt := bytes.Repeat([]byte{1}, 32)
	for name, raw := range map[string][]byte{
		"nothing":        nil,
		"no signature":   s.nodeSays(good(nil)),
		"a stranger":     s.nodeSays(good(nil), "stranger"),
		"a founder":      s.nodeSays(good(nil), "founder"),
		"one of two":     s.nodeSays(good(nil), "clinic"),
		"another ledger": both(func(m *membership.Statement) { m.Ledger = strings.Repeat("0", 32) }),
		"a larger log":   both(func(m *membership.Statement) { m.From.Size++ }),
		"another root":   both(func(m *membership.Statement) { m.From.Root = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" }),
		"another number": both(func(m *membership.Statement) { m.Number = 2 }),
		"a join":         s.nodeSays(joins(1, "c3"), "clinic", "registry"),
	} {
		if _, err := s.m.Recover(raw, salt); err == nil || s.m.Tree().Size() != size {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := s.change(good(nil), "clinic", "registry"); !strings.HasPrefix(got, "invalid") {
		t.Errorf("a running cluster: %s", got)
	}
	lineage := s.m.Lineage()
	raw := both(nil)
	done, err := s.m.Recover(raw, salt)
	must(t, err)
	if s.voters() != "c3 c1" || done.Index != size || s.m.Lineage() == lineage || !s.m.Recovered(done.Said()) {
		t.Errorf("voters %s, leaf %d, lineage %s", s.voters(), done.Index, s.m.Lineage())
	}
	m, _ := s.m.Newest("room")
	if !slices.Equal(m.PausedBy, []string{"clinic", "registry"}) || m.Status != state.Paused {
		t.Errorf("%s, paused by %v", m.Status, m.PausedBy)
	}
	if now := s.m.Basis().Time; now.Before(begun.AddDate(0, 1, 0)) {
		t.Errorf("the ledger's time is %s", now)
	}
	if _, err := s.m.Recover(raw, salt); err == nil {
		t.Error("replayed")
	}
	entry, _ := s.m.Entry(done.Index)
	var body struct {
		Action string
		Detail struct{ Statement membership.Statement }
	}
	must(t, json.Unmarshal(entry.Body, &body))
	if body.Action != "recover" || body.Detail.Statement.From.Size != size {
		t.Errorf("%s", entry.Body)
	}
	s.restore()
	if !s.m.Recovered(done.Said()) || s.m.Membership().Number != 1 {
		t.Error("forgotten with a snapshot")
	}
}
