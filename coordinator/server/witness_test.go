package server_test

import (
	"crypto/tls"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"concordat.dev/coordinator/server"
	"concordat.dev/coordinator/witness/witnesstest"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/endorse"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/grant"
	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/receipt"
)

// witnessed is a mesh with data, whose manifest demands all of n witnesses.
func witnessed(t testing.TB, n, workers int) (*mesh, []*witnesstest.Witness) {
	t.Helper()
	var all []*witnesstest.Witness
	demand := &document.Witnesses{Quorum: n}
	var asked []server.Witness
	for i := range n {
		w := witnesstest.New(t, string(rune('a'+i))+".example/witness")
		all = append(all, w)
		demand.Keys = append(demand.Keys, w.Key())
		asked = append(asked, server.Witness{Key: w.Key(), URL: w.URL() + "/"})
	}
	m := newMesh(t, workers, func(c *server.Config) { c.Witnesses, c.WitnessTimeout = asked, 2*time.Second })
	for _, w := range all {
		w.Follow(m.logKey())
	}
	s := m.manifest(1, func(b *document.Bundle) { b.Manifest.Witnesses, b.Manifest.Expires = demand, "2099-12-31" })
	m.activate(1, s)
	m.waitCosigned(1)
	for who, dataset := range map[string]string{"dana": "clinic.patients", "rita": "registry.events"} {
		if !m.upload(who, dataset, s.Digest()) {
			t.Fatalf("%s was not registered", dataset)
		}
	}
	return m, all
}

func (m *mesh) logKey() string {
	m.t.Helper()
	e, err := endorse.Parse(m.status(0).GetLogKey())
	must(m.t, err)
	keys, err := grant.VerifyKeys(e, canon.Sum(m.ca.Root.Raw), m.ca.Root, m.ledger)
	must(m.t, err)
	text, err := checkpoint.LogKey(m.ledger, keys.Log)
	must(m.t, err)
	return text
}

// waitCosigned waits for a cosigned checkpoint of at least size.
func (m *mesh) waitCosigned(size uint64) {
	m.t.Helper()
	for ctx := m.ctx(); m.status(0).GetCosignedSize() < size; {
		if ctx.Err() != nil {
			m.t.Fatalf("no cosigned checkpoint of size %d: %v", size, m.status(m.leader(0)).GetWitnesses())
		}
	}
}

func TestWitnessedReleaseVerifies(t *testing.T) {
	m, _ := witnessed(t, 2, 2)
	for i := range 3 { // whichever coordinator is asked, and whichever worker executes
		got, err := m.as("ann", i).query("SELECT 1"+strings.Repeat(" ", i)+"-- "+string(rune('a'+i)), nil)
		must(t, err)
		if got.Verdict != answer.Released {
			t.Fatalf("%+v", got.Answer)
		}
		r, err := receipt.Parse(got.receipt)
		must(t, err)
		report := receipt.Verify(r, receipt.Options{Manifest: canon.Sum(r.Manifest)})
		at := slices.IndexFunc(report.Checks, func(c receipt.Check) bool { return c.Name == receipt.CheckWitnesses })
		if !report.OK() || report.Checks[at].Status != receipt.Proved {
			t.Errorf("%s", report)
		}
	}
	s := m.status(m.leader(0))
	if len(s.GetUnprotected()) != 0 || len(s.GetWitnesses()) != 2 || s.GetWitnesses()[0].GetFault() != "" || s.GetWitnesses()[0].GetSize() == 0 {
		t.Errorf("%v, unprotected %v", s.GetWitnesses(), s.GetUnprotected())
	}
	signed, err := m.shown(1)
	must(t, err)
	if n := strings.Count(signed, "\n— "); n != 3 {
		t.Errorf("the public checkpoint has %d signatures:\n%s", n, signed)
	}
	m.waitCosigned(m.status(0).GetLogSize())
	asked, err := m.as("alex", 0).Checkpoint(m.ctx(), connect.NewRequest(&concordatv1.CheckpointRequest{}))
	must(t, err)
	if n := strings.Count(string(asked.Msg.GetNote()), "\n— "); n != 3 {
		t.Errorf("the checkpoint that auditors ask for has %d signatures:\n%s", n, asked.Msg.GetNote())
	}
}

func TestWithoutAWitnessNothingLeaves(t *testing.T) {
	m, all := witnessed(t, 2, 1)
	all[1].Stop()
	got, err := m.as("ann", 0).query("SELECT 1", nil)
	if connect.CodeOf(err) != connect.CodeUnavailable || len(got.Rows) > 0 || len(got.receipt) > 0 || m.workers[0].executions.Load() != 0 {
		t.Fatalf("%v %+v, executed %d times", err, got.Answer, m.workers[0].executions.Load())
	}
	all[1].Start()
	got, err = m.persist("ann", 1, "SELECT 1")
	must(t, err)
	if got.Verdict != answer.Released || *got.Price[0].RemainingRho != 0.9 {
		t.Errorf("the question was paid once, and is answered once the witness is back: %+v", got.Answer)
	}
}

func TestExpiryFollowsTheWitnesses(t *testing.T) {
	m, all := witnessed(t, 2, 1)
	for _, w := range all {
		w.Ahead(100 * 365 * 24 * time.Hour)
	}
	_, err := m.as("dana", 0).SubmitStatement(m.ctx(), connect.NewRequest(&concordatv1.SubmitStatementRequest{ // any leaf
		Collaboration: room, Statement: m.says("clinic", "pause", 1, canon.Sum(m.manifestBytes())),
	}))
	must(t, err)
	m.waitCosigned(m.status(0).GetLogSize())
	status, err := m.as("ann", 0).GetManifest(m.ctx(), connect.NewRequest(&concordatv1.GetManifestRequest{Collaboration: room}))
	must(t, err)
	if status.Msg.GetState() != "expired" {
		t.Errorf("state %s", status.Msg.GetState())
	}
}

func (m *mesh) manifestBytes() []byte {
	r, err := m.as("ann", 0).GetManifest(m.ctx(), connect.NewRequest(&concordatv1.GetManifestRequest{Collaboration: room}))
	must(m.t, err)
	return r.Msg.GetDocuments().GetManifest()
}

// TestNoSizeHasTwoRoots reads the checkpoints of all coordinators while entries are added and leaders are stopped and started.
func TestNoSizeHasTwoRoots(t *testing.T) {
	m, _ := witnessed(t, 1, 1)
	roots := map[string]map[string]bool{}
	stop := make(chan struct{})
	var mu sync.Mutex
	var reading sync.WaitGroup
	for i := range 3 {
		reading.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				text, err := m.shown(i)
				if err != nil {
					continue // it is being stopped
				}
				lines := strings.Split(text, "\n")
				mu.Lock()
				if roots[lines[1]] == nil {
					roots[lines[1]] = map[string]bool{}
				}
				roots[lines[1]][lines[2]] = true
				mu.Unlock()
			}
		})
	}
	for round := range 2 {
		for i := range 2 {
			got, err := m.persist("ann", i, "SELECT "+strings.Repeat("1", 1+2*round+i))
			must(t, err)
			if got.Verdict != answer.Released {
				t.Errorf("%+v", got.Answer)
			}
		}
		leader := m.leader((round + 1) % 3)
		m.stop(leader)
		got, err := m.persist("ann", leader+1, "SELECT 2"+strings.Repeat("1", round))
		must(t, err)
		if got.Verdict != answer.Released {
			t.Errorf("%+v", got.Answer)
		}
		m.start(leader)
	}
	close(stop)
	reading.Wait()
	for size, seen := range roots {
		if len(seen) != 1 {
			t.Errorf("size %s has roots %v", size, slices.Collect(maps.Keys(seen)))
		}
	}
	if len(roots) < 5 {
		t.Errorf("only %d sizes were seen", len(roots))
	}
}

// shown is the checkpoint that coordinator i shows to anybody.
func (m *mesh) shown(i int) (string, error) {
	config := marble.ClientConfig(canon.Sum(m.ca.Root.Raw), marble.Coordinator)
	return fetch(config, "https://"+m.configs[i].Listen.API+"/log/checkpoint")
}

func fetch(config *tls.Config, url string) (string, error) {
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport, Timeout: 5 * time.Second}).Get(url)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK && err == nil {
		err = http.ErrNotSupported
	}
	return string(text), err
}

// rollBack stops all coordinators, and has them go on from copies of their disks that were taken before change.
func (m *mesh) rollBack(change func()) {
	m.t.Helper()
	old := filepath.Join(m.t.TempDir(), "old")
	m.stopAll()
	for _, c := range m.configs {
		must(m.t, os.CopyFS(filepath.Join(old, c.Node), os.DirFS(c.DataDir)))
	}
	for i := range m.configs {
		m.start(i)
	}
	change()
	m.stopAll()
	for i, c := range m.configs {
		must(m.t, os.RemoveAll(c.DataDir))
		must(m.t, os.CopyFS(c.DataDir, os.DirFS(filepath.Join(old, c.Node))))
		m.start(i)
	}
}

func TestRollbackIsDetectedByWitnessesAndWorkers(t *testing.T) {
	m, all := witnessed(t, 2, 1)
	m.rollBack(func() {
		// More than the log can grow by afterwards, however often a call is repeated meanwhile: else it is told as forked, not as rolled back.
		for i := range 8 {
			got, err := m.persist("ann", 0, "SELECT "+strings.Repeat("1", i+1))
			must(t, err)
			if got.Verdict != answer.Released {
				t.Fatalf("%+v", got.Answer)
			}
		}
	})
	executed := m.workers[0].executions.Load()
	if got, err := m.as("ann", 0).query("SELECT 333", nil); connect.CodeOf(err) != connect.CodeUnavailable || len(got.Rows) > 0 {
		t.Errorf("%v %+v", err, got.Answer)
	}
	for ctx := m.ctx(); ; {
		w := m.status(m.leader(0)).GetWitnesses()[0]
		if strings.Contains(w.GetFault(), checkpoint.ErrRolledBack.Error()) {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("the witness says %q", w.GetFault())
		}
	}
	for _, w := range all { // they lost their memory, or took part: the worker remembers
		w.Forget()
	}
	got, err := m.as("ann", 0).query("SELECT 4444", nil)
	if connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), checkpoint.ErrRolledBack.Error()) || len(got.Rows) > 0 {
		t.Errorf("%v %+v", err, got.Answer)
	}
	m.workers[0].ledger.Lock()
	seen := m.workers[0].seen.Size
	m.workers[0].ledger.Unlock()
	if seen < 10 || m.workers[0].executions.Load() == executed {
		t.Errorf("the worker was not asked: it saw %d entries", seen)
	}
}
