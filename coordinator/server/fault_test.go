package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/mod/sumdb/tlog"

	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/marble"
)

// leader is the index of the coordinator that leads.
func (m *mesh) leader(alive int) int {
	m.t.Helper()
	for {
		s := m.status(alive)
		for i, c := range m.configs {
			for _, n := range s.GetNodes() {
				if n.GetId() == s.GetLeader() && n.GetAddress() == c.Listen.Raft && m.nodes[i] != nil {
					return i
				}
			}
		}
	}
}

// persist asks until the mesh answers, as the command line does: again with the same key, by another coordinator.
func (m *mesh) persist(who string, at int, sql string) (reply, error) {
	key := fmt.Sprintf("%.60s", sql)
	var last error
	for ctx := m.ctx(); ctx.Err() == nil; at++ {
		i := at % 3
		got, err := m.try(ctx, who, i, sql, key)
		if err == nil && got.Verdict != "" {
			return got, nil
		}
		last = err
	}
	return reply{}, last
}

func (m *mesh) try(ctx context.Context, who string, i int, sql, key string) (reply, error) {
	p := m.as(who, i)
	defer p.http.CloseIdleConnections()
	stream, err := p.Query(ctx, connect.NewRequest(&concordatv1.QueryRequest{Collaboration: room, Sql: sql, Rho: 0.001, IdempotencyKey: key}))
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = stream.Close() }()
	var out reply
	for stream.Receive() {
		if raw := stream.Msg().GetAnswer(); len(raw) > 0 {
			out.receipt = stream.Msg().GetReceipt()
			if out.Answer, err = answer.Parse(raw); err != nil {
				return out, err
			}
		}
	}
	return out, stream.Err()
}

// While queries run, the leader is stopped and started, and a worker dies. No acknowledged query loses its receipt, and the ledger is
// what the queries paid.
func TestLeaderAndWorkerDieWhileQueriesRun(t *testing.T) {
	m := ready(t, 2, func(b *document.Bundle) { b.Manifest.Release.TimeGrid = "0s" })
	const queries, atOnce = 60, 4
	replies := make([]reply, queries)
	var running sync.WaitGroup
	next := make(chan int)
	for range atOnce {
		running.Go(func() {
			for i := range next {
				got, err := m.persist("ann", i, fmt.Sprintf("SELECT %d", i))
				if err != nil || got.Verdict != answer.Released || len(got.receipt) == 0 {
					t.Errorf("query %d: %+v %v", i, got.Answer, err)
				}
				replies[i] = got
			}
		})
	}
	down := -1
	for i := range queries {
		switch i {
		case queries / 3:
			down = m.leader(0)
			m.stop(down)
		case queries / 2:
			m.workers[0].kill()
		case 2 * queries / 3:
			m.start(down)
		}
		next <- i
	}
	close(next)
	running.Wait()

	for i := range 3 {
		m.status(i)
		m.checkLedger(i, replies)
	}
}

// checkLedger compares what coordinator i holds with what was answered.
func (m *mesh) checkLedger(i int, replies []reply) {
	m.t.Helper()
	auditor := m.as("alex", i)
	r, err := auditor.Entries(m.ctx(), connect.NewRequest(&concordatv1.EntriesRequest{Collaboration: room, Limit: 10_000}))
	must(m.t, err)
	var entries []struct {
		Index int64
		Kind  string
	}
	must(m.t, json.Unmarshal(r.Msg.GetEntries(), &entries))
	releases := map[int64]bool{}
	for _, e := range entries {
		releases[e.Index] = e.Kind == "release"
	}
	seen := map[int64]bool{}
	for _, got := range replies {
		if got.Receipt == nil || !releases[got.Receipt.LogIndex] || seen[got.Receipt.LogIndex] {
			m.t.Errorf("coordinator %d: the receipt of %s is not a leaf of its own in the log: %+v", i, got.QueryID, got.Receipt)
			continue
		}
		seen[got.Receipt.LogIndex] = true
	}
	b, err := auditor.Budget(m.ctx(), connect.NewRequest(&concordatv1.BudgetRequest{Collaboration: room}))
	must(m.t, err)
	var budgets []struct {
		Owner    string
		SpentRho float64 `json:"spent_rho"`
	}
	must(m.t, json.Unmarshal(b.Msg.GetBudgets(), &budgets))
	want := 0.001 * float64(len(replies))
	for _, x := range budgets {
		if math.Abs(x.SpentRho-want) > 1e-12 {
			m.t.Errorf("coordinator %d: %s spent %v, %d queries paid %v", i, x.Owner, x.SpentRho, len(replies), want)
		}
	}
	h, err := m.as("ann", i).History(m.ctx(), connect.NewRequest(&concordatv1.HistoryRequest{Collaboration: room, Limit: 10_000}))
	must(m.t, err)
	var history []struct{ Status, SQL string }
	must(m.t, json.Unmarshal(h.Msg.GetEntries(), &history))
	if len(history) != len(replies) {
		m.t.Errorf("coordinator %d: %d queries in the history, want %d", i, len(history), len(replies))
	}
}

func TestCheckpointsAreConsistentAcrossLeaders(t *testing.T) {
	m := ready(t, 1, nil)
	type point struct {
		size int64
		root tlog.Hash
	}
	at := func(i int, old point) point {
		t.Helper()
		r, err := m.as("alex", i).Checkpoint(m.ctx(), connect.NewRequest(&concordatv1.CheckpointRequest{OldSize: uint64(old.size)})) //nolint:gosec // a size
		must(t, err)
		var now point
		var origin, root string
		_, err = fmt.Sscan(string(r.Msg.GetNote()), &origin, &now.size, &root)
		must(t, err)
		now.root, err = tlog.ParseHash(root)
		must(t, err)
		if old.size > 0 && old.size < now.size {
			proof := make(tlog.TreeProof, len(r.Msg.GetConsistency()))
			for j, h := range r.Msg.GetConsistency() {
				copy(proof[j][:], h)
			}
			must(t, tlog.CheckTree(proof, now.size, now.root, old.size, old.root))
		}
		if old.size == now.size && old.size > 0 && old.root != now.root {
			t.Errorf("two roots for size %d", now.size)
		}
		return now
	}
	first := at(0, point{})
	must(t, onlyErr(m.persist("ann", 0, "SELECT 1")))
	second := at(1, first)
	if second.size <= first.size {
		t.Errorf("sizes %d, %d", first.size, second.size)
	}
	down := m.leader(0)
	m.stop(down)
	other := (down + 1) % 3
	must(t, onlyErr(m.persist("ann", other, "SELECT 2")))
	third := at(other, second)
	m.start(down)
	m.status(down)
	at(down, third)
	if _, err := m.as("alex", other).Checkpoint(m.ctx(), connect.NewRequest(&concordatv1.CheckpointRequest{OldSize: 1000})); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("a log longer than the log: %v", err)
	}
}

func onlyErr(_ reply, err error) error { return err }

func TestHistoryShowsEachOnlyWhatTheyMaySee(t *testing.T) {
	m := ready(t, 1, nil)
	must(t, onlyErr(m.persist("ann", 0, "SELECT 1")))
	for who, want := range map[string]int{"ann": 1, "dana": 1, "rita": 1, "alex": 1, "clinic": 1} {
		r, err := m.as(who, 1).History(m.ctx(), connect.NewRequest(&concordatv1.HistoryRequest{Collaboration: room}))
		must(t, err)
		var got []map[string]any
		must(t, json.Unmarshal(r.Msg.GetEntries(), &got))
		if len(got) != want || want > 0 && (got[0]["sql"] != "SELECT 1" || got[0]["status"] != "released" || got[0]["rho"] != 0.002) {
			t.Errorf("%s: %v", who, got)
		}
	}
	if _, err := m.as("ann", 1).Entries(m.ctx(), connect.NewRequest(&concordatv1.EntriesRequest{Collaboration: room})); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("an analyst read the log: %v", err)
	}
	r, err := m.as("alex", 1).Entries(m.ctx(), connect.NewRequest(&concordatv1.EntriesRequest{Collaboration: room}))
	must(t, err)
	var entries []struct{ Leaf, Salt, Body []byte }
	must(t, json.Unmarshal(r.Msg.GetEntries(), &entries))
	for i, e := range entries {
		if len(e.Body) > 0 && string(checkpoint.Leaf(e.Salt, e.Body)) != string(e.Leaf) {
			t.Errorf("entry %d does not open its leaf", i)
		}
	}
}

func TestOnlyMarblesOfTheRightTypeAnnounce(t *testing.T) {
	m := newMesh(t, 0)
	announce := func(transport *http.Transport) error {
		c := concordatv1connect.NewCoordinatorServiceClient(&http.Client{Transport: transport}, "https://"+m.configs[0].Listen.Mesh)
		ctx, cancel := context.WithTimeout(m.ctx(), 5*time.Second)
		defer cancel()
		r, err := c.Announce(ctx, connect.NewRequest(&concordatv1.AnnounceRequest{Worker: "w", Address: "127.0.0.1:1"}))
		if err == nil && r.Msg.GetLedger() != m.ledger {
			t.Errorf("ledger %q", r.Msg.GetLedger())
		}
		return err
	}
	worker, coordinator := m.ca.Identity(t, marble.Worker), m.ca.Identity(t, marble.Coordinator)
	must(t, announce(&http.Transport{TLSClientConfig: worker.ClientTLS(marble.Coordinator)}))
	bare := worker.ClientTLS(marble.Coordinator)
	bare.Certificates = nil
	for name, transport := range map[string]*http.Transport{
		"a coordinator":      {TLSClientConfig: coordinator.ClientTLS(marble.Coordinator)},
		"without a marble":   {TLSClientConfig: bare},
		"not even over TLS":  {DialTLSContext: (&http.Transport{}).DialContext},
		"as a worker to API": {TLSClientConfig: worker.ClientTLS(marble.Worker)},
	} {
		if err := announce(transport); err == nil {
			t.Errorf("%s was admitted", name)
		}
	}
	if w := m.status(0).GetWorkers(); len(w) != 1 {
		t.Errorf("workers %v", w)
	}
}
