package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/rs/zerolog"

	"concordat.dev/coordinator/raft"
	"concordat.dev/coordinator/server"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/backup"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/dsse"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/membership"
	"concordat.dev/protocol/statement"
)

// node speaks to coordinator i about coordinators.
func (m *mesh) node(who string, i int) concordatv1connect.NodeServiceClient {
	return concordatv1connect.NewNodeServiceClient(m.as(who, i).http, "https://"+m.configs[i].Listen.API)
}

// self waits until coordinator i is in a phase.
func (m *mesh) self(i int, phase string) *concordatv1.SelfResponse {
	m.t.Helper()
	for ctx := m.ctx(); ; {
		r, err := m.node("", i).Self(ctx, connect.NewRequest(&concordatv1.SelfRequest{}))
		if err == nil && r.Msg.GetPhase() == phase {
			return r.Msg
		}
		if ctx.Err() != nil {
			m.t.Fatalf("coordinator %d is not %s: %v %v", i, phase, r, err)
		}
	}
}

// newcomer starts one more coordinator, which waits.
func (m *mesh) newcomer() int {
	m.t.Helper()
	i, addresses := len(m.configs), ports(m.t, 3)
	c := m.configs[0]
	c.Node = fmt.Sprint("c", i)
	c.DataDir, c.Voters, c.Join = filepath.Join(m.dir, c.Node), nil, true
	c.Listen = server.Listen{Raft: addresses[0], Mesh: addresses[1], API: addresses[2]}
	m.configs, m.nodes = append(m.configs, c), append(m.nodes, nil)
	m.start(i)
	return i
}

func (m *mesh) signedNodes(said membership.Statement, who ...string) []byte {
	m.t.Helper()
	if said.Ledger == "" {
		said.Ledger = m.ledger
	}
	keys := make([]key.Private, len(who))
	for i, w := range who {
		keys[i] = m.keys[w]
	}
	e, err := membership.Sign(said, keys...)
	must(m.t, err)
	raw, err := e.Marshal()
	must(m.t, err)
	return raw
}

func (m *mesh) changeNodes(by string, at int, raw []byte) (*concordatv1.MembershipResponse, error) {
	r, err := m.node(by, at).ChangeNodes(m.ctx(), connect.NewRequest(&concordatv1.ChangeNodesRequest{Statement: raw}))
	if err != nil {
		return nil, err
	}
	return r.Msg, nil
}

// settled waits until the last change is carried out, and tells the keys of the voters.
func (m *mesh) settled(at int) []string {
	m.t.Helper()
	for ctx := m.ctx(); ; {
		r, err := m.node("clinic", at).Membership(ctx, connect.NewRequest(&concordatv1.MembershipRequest{}))
		must(m.t, err)
		if r.Msg.GetSettled() {
			var voters []string
			for _, n := range r.Msg.GetNodes() {
				if n.GetVoter() {
					voters = append(voters, n.GetId())
				}
			}
			return voters
		}
	}
}

func (m *mesh) joins(number, i int) membership.Statement {
	self := m.self(i, "joining")
	k, err := key.ParsePublic(self.GetNode())
	must(m.t, err)
	return membership.Statement{Action: membership.Join, Number: number, Node: &membership.Node{Key: k, Address: self.GetAddress()}}
}

func (m *mesh) removes(number int, node string) membership.Statement {
	k, err := key.ParsePublic(node)
	must(m.t, err)
	return membership.Statement{Action: membership.Remove, Number: number, Node: &membership.Node{Key: k}}
}

// TestCoordinatorsJoinAndLeave joins a fourth one and removes the leader, both signed by all, one organisation after another.
func TestCoordinatorsJoinAndLeave(t *testing.T) {
	m := ready(t, 1, nil)
	four := m.newcomer()
	joins := m.joins(1, four)
	r, err := m.changeNodes("clinic", 0, m.signedNodes(joins, "clinic"))
	must(t, err)
	if p := r.GetProposed(); len(p) != 1 || !slices.Equal(p[0].GetMissing(), []string{"room/registry"}) {
		t.Errorf("%+v", r)
	}
	if _, err = m.changeNodes("registry", 1, m.signedNodes(joins, "registry")); err != nil {
		t.Fatal(err)
	}
	if voters := m.settled(2); len(voters) != 4 || !slices.Contains(voters, joins.Node.Key.String()) {
		t.Errorf("voters %v", voters)
	}
	m.self(four, "serving")
	leader := m.leader(four)
	gone := m.self(leader, "serving").GetNode()
	_, err = m.changeNodes("clinic", (leader+1)%3, m.signedNodes(m.removes(2, gone), "clinic", "registry"))
	must(t, err)
	if voters := m.settled(four); len(voters) != 3 || slices.Contains(voters, gone) {
		t.Errorf("voters %v, %s is gone", voters, gone)
	}
	self := m.self(leader, "removed")
	if !strings.Contains(self.GetDetail(), "removed") {
		t.Errorf("%s", self.GetDetail())
	}
	if _, err := m.as("ann", leader).query("SELECT 1", nil); connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), "removed") {
		t.Errorf("a removed coordinator: %v", err)
	}
	if res, err := m.as("", leader).http.Get(m.as("", leader).base + "/readyz"); err != nil || res.StatusCode != http.StatusServiceUnavailable || res.Body.Close() != nil {
		t.Errorf("readyz of a removed coordinator: %v %v", res, err)
	}
	got, err := m.as("ann", (leader+1)%3).query("SELECT 1", nil)
	must(t, err)
	if got.Verdict != answer.Released {
		t.Errorf("%+v", got.Answer)
	}
}

// TestChangesOfCoordinatorsNeedTheirSignatures is TestEveryStateChangeNeedsItsSignature for the statements that concern no collaboration alone.
func TestChangesOfCoordinatorsNeedTheirSignatures(t *testing.T) {
	m := ready(t, 1, nil)
	stranger := m.keys["stranger"].Public()
	good := membership.Statement{Action: membership.Join, Number: 1, Node: &membership.Node{Key: stranger, Address: "127.0.0.1:1"}}
	with := func(change func(*membership.Statement)) []byte {
		s := good
		node := *good.Node
		s.Node = &node
		change(&s)
		return m.signedNodes(s, "clinic", "registry")
	}
	flipped := func() []byte {
		e, err := dsse.Parse(m.signedNodes(good, "clinic"))
		must(t, err)
		e.Signatures[0].Sig[0] ^= 1
		raw, err := e.Marshal()
		must(t, err)
		return raw
	}
	elsewhere := func() []byte {
		s := good
		s.Ledger = m.ledger
		payload, err := s.Payload()
		must(t, err)
		raw, err := dsse.Sign(statement.PayloadType, payload, m.keys["clinic"]).Marshal()
		must(t, err)
		return raw
	}
	state := m.nodes[0].State()
	size := func() int64 { must(t, m.nodes[0].Sync(m.ctx())); return state.Tree().Size() }
	before := size()
	for name, raw := range map[string][]byte{
		"nothing":                   nil,
		"an empty envelope":         []byte("{}"),
		"a stranger's key":          m.signedNodes(good, "stranger"),
		"an analyst's key":          m.signedNodes(good, "ann"),
		"a steward's key":           m.signedNodes(good, "dana"),
		"an auditor's key":          m.signedNodes(good, "alex"),
		"a flipped bit":             flipped(),
		"signed as something else":  elsewhere(),
		"for another ledger":        with(func(s *membership.Statement) { s.Ledger = strings.Repeat("0", 32) }),
		"for a later change":        with(func(s *membership.Statement) { s.Number = 2 }),
		"for another action":        with(func(s *membership.Statement) { s.Action, s.Node.Address = membership.Remove, "" }),
		"a manifest's statement":    m.says("clinic", statement.Pause, 1, canon.Sum([]byte("x"))),
		"a recovery, while it runs": m.signedNodes(m.recovery(m.self(0, "serving"), 1, 0), "clinic", "registry"),
	} {
		if _, err := m.changeNodes("clinic", 0, raw); err == nil || connect.CodeOf(err) == connect.CodeInternal || connect.CodeOf(err) == connect.CodeUnavailable {
			t.Errorf("%s: %v", name, err)
		}
		if after := size(); after != before {
			t.Errorf("%s: changed the state: %d leaves, then %d", name, before, after)
		}
	}
	both := m.signedNodes(good, "clinic", "registry")
	_, err := m.changeNodes("clinic", 0, both)
	must(t, err)
	after := size()
	if _, err := m.changeNodes("clinic", 1, both); connect.CodeOf(err) != connect.CodeAlreadyExists || size() != after {
		t.Errorf("replayed: %v", err)
	}
	if !slices.Contains(state.Membership().Voters, stranger.String()) || after == before {
		t.Error("signed by all, it has no effect")
	}
	_, err = m.changeNodes("clinic", 0, m.signedNodes(m.removes(2, stranger.String()), "clinic", "registry")) // it never came
	must(t, err)
	if voters := m.settled(1); len(voters) != 3 {
		t.Errorf("voters %v", voters)
	}
}

// recovery drafts the statement by which a ledger goes on from what a coordinator told, with these coordinators.
func (m *mesh) recovery(holds *concordatv1.SelfResponse, number int, nodes ...int) membership.Statement {
	m.t.Helper()
	s := membership.Statement{
		Action: membership.Recover, Ledger: m.ledger, Number: number, From: &membership.Checkpoint{Size: int64(holds.GetSize()), Root: holds.GetRoot()},
		Issued: time.Now().UTC().Format(time.RFC3339),
	}
	for _, i := range nodes {
		r, err := m.node("", i).Self(m.ctx(), connect.NewRequest(&concordatv1.SelfRequest{}))
		must(m.t, err)
		k, err := key.ParsePublic(r.Msg.GetNode())
		must(m.t, err)
		s.Voters = append(s.Voters, membership.Node{Key: k, Address: r.Msg.GetAddress()})
	}
	return s
}

// recovering runs coordinator i as one that waits for a recovery, and starts it as usual once it got one.
func (m *mesh) recovering(i int) (await func()) {
	m.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- server.Recover(ctx, m.configs[i], m.ca.Identity(m.t, marble.Coordinator), zerolog.Nop())
	}()
	stopped := false
	m.t.Cleanup(func() {
		cancel()
		if err := <-ended; !stopped && !errors.Is(err, context.Canceled) {
			m.t.Error(err)
		}
	})
	return func() {
		m.t.Helper()
		err := <-ended
		must(m.t, err)
		stopped = true
		ended <- nil
		m.configs[i].Join = true
		m.start(i)
	}
}

// recover hands a recovery in, with the sealed part of a backup if there is one.
func (m *mesh) recover(i int, raw, sealed []byte) error {
	stream := m.node("", i).Recover(m.ctx())
	err := stream.Send(&concordatv1.RecoverChunk{Statement: raw})
	for len(sealed) > 0 && err == nil {
		n := min(len(sealed), 1<<20)
		err = stream.Send(&concordatv1.RecoverChunk{Data: sealed[:n]})
		sealed = sealed[n:]
	}
	_, closed := stream.CloseAndReceive()
	if closed != nil {
		return closed
	}
	return err
}

// empty stops a coordinator, takes its folder away and has it wait to be called.
func (m *mesh) empty(i int) {
	m.t.Helper()
	m.stop(i)
	must(m.t, os.RemoveAll(m.configs[i].DataDir))
}

func (m *mesh) resume() {
	m.t.Helper()
	for _, who := range []string{"clinic", "registry"} {
		must(m.t, m.tell(who, m.manifest(1, nil), statement.Resume, nil))
	}
}

// TestRecoveryFromTheSurvivingCoordinator loses two of three disks. The third goes on only with a recovery that all signed for what it holds.
func TestRecoveryFromTheSurvivingCoordinator(t *testing.T) {
	m := ready(t, 1, nil)
	first, err := m.as("ann", 0).query("SELECT 1", nil)
	must(t, err)
	for i := range 3 {
		must(t, m.nodes[i].Sync(m.ctx()))
	}
	m.stopAll()
	for _, i := range []int{1, 2} {
		m.empty(i)
		m.configs[i].Join = true
		m.start(i)
	}
	await := m.recovering(0)
	holds := m.self(0, "recovering")
	if !slices.Equal(holds.GetDemanded(), []string{"room/clinic", "room/registry"}) || holds.GetLedger() != m.ledger {
		t.Errorf("%+v", holds)
	}
	said := m.recovery(holds, 1, 0, 1, 2)
	less, more := said, said
	less.From, more.From = &membership.Checkpoint{Size: said.From.Size - 1, Root: said.From.Root}, &membership.Checkpoint{Size: said.From.Size + 1, Root: said.From.Root}
	others := said
	others.Voters = said.Voters[1:]
	for name, raw := range map[string][]byte{
		"unsigned": nil, "one of two": m.signedNodes(said, "clinic"), "a smaller log": m.signedNodes(less, "clinic", "registry"),
		"a larger log": m.signedNodes(more, "clinic", "registry"), "without itself": m.signedNodes(others, "clinic", "registry"),
		"a founder and a stranger": m.signedNodes(said, "stranger", "clinic"),
	} {
		if err := m.recover(0, raw, nil); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	good := m.signedNodes(said, "clinic", "registry")
	if err := m.recover(0, good, []byte("a backup")); err == nil {
		t.Error("a disk that holds a state took a backup")
	}
	must(t, m.recover(0, good, nil))
	await()
	for i := range 3 {
		m.self(i, "serving")
	}
	if got, err := m.as("ann", 1).query("SELECT 22", nil); err != nil || got.Verdict != answer.Refused {
		t.Errorf("before all resumed: %v %+v", err, got.Answer)
	}
	m.resume()
	for i, sql := range map[int]string{1: "SELECT 1", 2: "SELECT 22"} {
		got, err := m.as("ann", i).query(sql, nil)
		must(t, err)
		if got.Verdict != answer.Released {
			t.Errorf("%s: %+v", sql, got.Answer)
		}
		if sql == "SELECT 1" && got.Receipt.ID != first.Receipt.ID {
			t.Errorf("the question of before has another release")
		}
	}
	r, err := m.as("alex", 2).Entries(m.ctx(), connect.NewRequest(&concordatv1.EntriesRequest{Collaboration: room, Limit: 1000}))
	must(t, err)
	if !bytes.Contains(r.Msg.GetEntries(), []byte(`"kind":"recover"`)) {
		t.Errorf("the log does not show the recovery: %s", r.Msg.GetEntries())
	}
}

// TestRestoreFromABackup loses all disks: three empty coordinators go on from a backup, by a recovery that all signed for it.
func TestRestoreFromABackup(t *testing.T) {
	m := ready(t, 1, nil)
	_, err := m.as("ann", 0).query("SELECT 1", nil)
	must(t, err)
	header, sealed := m.backup("clinic", 1)
	if bytes.Contains(sealed, []byte("clinic.patients")) {
		t.Error("the backup is readable")
	}
	late, err := m.as("ann", 0).query("SELECT 22", nil)
	must(t, err)
	m.stopAll()
	for i := range 3 {
		m.empty(i)
		m.configs[i].Join = true
	}
	m.start(1)
	m.start(2)
	await := m.recovering(0)
	m.self(0, "recovering")
	said := m.recovery(&concordatv1.SelfResponse{Size: uint64(header.Size), Root: header.Root}, 1, 0, 1, 2)
	good := m.signedNodes(said, "clinic", "registry")
	bad := bytes.Clone(sealed)
	bad[len(bad)/2] ^= 1
	for name, c := range map[string]struct{ raw, sealed []byte }{
		"no backup": {good, nil}, "a changed one": {good, bad}, "one that was cut": {good, sealed[:len(sealed)-1]},
		"one signature": {m.signedNodes(said, "clinic"), sealed},
	} {
		if err := m.recover(0, c.raw, c.sealed); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	must(t, m.recover(0, good, sealed))
	await()
	m.self(1, "serving")
	m.self(2, "serving")
	m.resume()
	got, err := m.as("ann", 2).query("SELECT 1", nil)
	must(t, err)
	if got.Verdict != answer.Released {
		t.Errorf("%+v", got.Answer)
	}
	size := m.nodes[0].State().Tree().Size()
	if _, known := m.nodes[0].State().Query(late.QueryID); known || size <= header.Size {
		t.Errorf("%d leaves, from %d; the later query is known: %t", size, header.Size, known)
	}
}

func (m *mesh) backup(who string, at int) (backup.Header, []byte) {
	m.t.Helper()
	stream, err := m.node(who, at).Backup(m.ctx(), connect.NewRequest(&concordatv1.BackupRequest{}))
	must(m.t, err)
	defer func() { must(m.t, stream.Close()) }()
	var header backup.Header
	var sealed []byte
	for stream.Receive() {
		if line := stream.Msg().GetHeader(); len(line) > 0 {
			header, err = backup.Parse(line)
			must(m.t, err)
		}
		sealed = append(sealed, stream.Msg().GetData()...)
	}
	must(m.t, stream.Err())
	return header, sealed
}

// TestEmptiedCoordinatorSaysSo empties a coordinator that is not the first of its configuration, which then refuses to go on.
func TestEmptiedCoordinatorSaysSo(t *testing.T) {
	m := ready(t, 1, nil)
	m.empty(2)
	m.start(2)
	if err := <-m.nodes[2].Failed(); !errors.Is(err, raft.ErrLost) || !strings.Contains(err.Error(), "concordat node remove") {
		t.Errorf("%v", err)
	}
}
