package mesh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	"concordat.dev/protocol/canon"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/marble"
)

// askTimeout bounds one question to one process.
const askTimeout = 2 * time.Second

func (m *Mesh) startCoordinators(ctx context.Context) error {
	s := m.State()
	m.options.Progress(fmt.Sprintf("start %d coordinators", len(s.Coordinators)))
	for _, c := range s.Coordinators { // all, before any can be ready: it takes a majority to elect a leader
		if err := m.launchMarble(c.Name); err != nil {
			return err
		}
	}
	var down []error
	for _, c := range s.Coordinators {
		err := m.ready(ctx, c.Name)
		if err == nil {
			m.options.Progress(c.Name + " is ready")
			continue
		}
		if down = append(down, err); !errors.Is(err, ErrProcess) && !errors.Is(err, ErrLost) || s.Ledger == "" || 2*len(down) >= len(s.Coordinators) {
			return errors.Join(down...)
		}
		m.mu.Lock()
		delete(m.running, c.Name)
		m.mu.Unlock()
		m.options.Progress(c.Name + " does not run, the others go on without it: " + lastLine(err))
	}
	return nil
}

func lastLine(err error) string {
	text := strings.TrimSpace(err.Error())
	return text[strings.LastIndexByte(text, '\n')+1:]
}

func (m *Mesh) startWorkers(ctx context.Context) error {
	s := m.State()
	m.options.Progress(fmt.Sprintf("start %d workers", len(s.Workers)))
	for _, w := range s.Workers {
		if err := m.launchMarble(w.Name); err != nil {
			return err
		}
	}
	for _, w := range s.Workers {
		if err := m.ready(ctx, w.Name); err != nil {
			return err
		}
		m.options.Progress(w.Name + " is ready")
	}
	return nil
}

// start starts one process and waits until it is ready.
func (m *Mesh) start(ctx context.Context, name string) error {
	if name == marbleRunName {
		if _, err := m.launch(m.marbleRunProgram()); err != nil {
			return err
		}
	} else if err := m.launchMarble(name); err != nil {
		return err
	}
	return m.ready(ctx, name)
}

// launchMarble writes the configuration of a coordinator or worker and starts it.
func (m *Mesh) launchMarble(name string) error {
	s := m.State()
	binary, marbleType, config := "", "", any(nil)
	for _, c := range s.Coordinators {
		if c.Name == name {
			binary, marbleType, config = coordinatorBinary, marble.Coordinator, m.coordinatorConfig(s, c)
		}
	}
	for _, w := range s.Workers {
		if w.Name == name {
			binary, marbleType, config = workerBinary, marble.Worker, m.workerConfig(s, w)
		}
	}
	if config == nil {
		return fmt.Errorf("mesh: start %s: no process of this mesh has that name", name)
	}
	if err := m.writeConfig(name, config); err != nil {
		return err
	}
	file := m.path(name, "config.yaml")
	_, err := m.launch(program{name: name, executable: binary, args: []string{"--config", file}, env: []string{
		"EDG_MARBLE_COORDINATOR_ADDR=" + s.MarbleRun.Marbles,
		"EDG_COORDINATOR_CLIENT_ADDR=" + s.MarbleRun.Clients,
		"EDG_MARBLE_TYPE=" + marbleType,
		"EDG_MARBLE_DNS_NAMES=localhost",
		"EDG_MARBLE_UUID_FILE=" + m.path(name, "uuid"),
	}})
	return err
}

// ready waits until a process does its work, or has ended, or ctx does.
func (m *Mesh) ready(ctx context.Context, name string) error {
	m.mu.Lock()
	c := m.running[name]
	m.mu.Unlock()
	for {
		err := m.probe(ctx, name)
		if err == nil || errors.Is(err, ErrChanged) || errors.Is(err, ErrLost) {
			return err
		}
		if ended := c.check(); ended != nil {
			return fmt.Errorf("mesh: %w", ended)
		}
		if !pause(ctx, pollEvery) {
			return fmt.Errorf("mesh: %s did not become ready: %w; last: %w; the end of %s:\n%s", name, ctx.Err(), err, c.Log, tail(c.Log))
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// errNotYet is what probe says of a process that runs but is not ready.
var errNotYet = errors.New("not ready yet")

// probe asks once: MarbleRun for its state, a coordinator whether it knows a leader, the coordinators whether they know a worker.
func (m *Mesh) probe(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	s := m.State()
	if name == marbleRunName {
		if err := dial(ctx, s.MarbleRun.Marbles); err != nil { // it serves marbles a little later than clients
			return err
		}
		_, err := marble.NewMarbleRun(s.MarbleRun.Clients).State(ctx)
		return err
	}
	for _, w := range s.Workers {
		if w.Name == name {
			return probeWorker(ctx, s, w)
		}
	}
	for _, c := range s.Coordinators {
		if c.Name == name {
			return m.probeCoordinator(ctx, s, c)
		}
	}
	return fmt.Errorf("mesh: %q is no process of this mesh", name)
}

// probeCoordinator also learns the ledger id of a new mesh, and refuses another one of an old mesh.
func (m *Mesh) probeCoordinator(ctx context.Context, s State, c CoordinatorAddress) error {
	status, err := ask(ctx, s.RootCertificate, c.API)
	switch {
	case err != nil:
		return err
	case status.GetLeader() != "" && s.Succeeds != "" && s.Ledger == "" && status.GetLedger() == "": // it waits for that
		return nil
	case status.GetLedger() == "" && c.Join && m.unknown(ctx, s, status.GetNode()):
		return fmt.Errorf("mesh: %s: %w", c.Name, ErrLost)
	case status.GetLeader() == "" || status.GetLedger() == "":
		return fmt.Errorf("%w: %s knows no leader", errNotYet, c.Name)
	case s.Ledger == "":
		return m.update(func(s *State) { s.Ledger, s.Inherits = status.GetLedger(), status.GetInherits() })
	case s.Ledger != status.GetLedger():
		return fmt.Errorf("mesh: %w: %s has the ledger %s, was %s", ErrChanged, c.Name, status.GetLedger(), s.Ledger)
	}
	return nil
}

// unknown says that a coordinator that leads, or follows, does not have this node in its cluster.
func (m *Mesh) unknown(ctx context.Context, s State, node string) bool {
	for _, c := range s.Coordinators {
		status, err := ask(ctx, s.RootCertificate, c.API)
		if err == nil && status.GetLedger() != "" && status.GetLeader() != "" {
			return !slices.ContainsFunc(status.GetNodes(), func(n *concordatv1.Node) bool { return n.GetId() == node })
		}
	}
	return false
}

// probeWorker wants the worker to listen, which it does once it is a marble, and every coordinator that runs, at least one, to know
// it as ready. Either alone may be the work of its predecessor: an announcement lasts a few seconds.
func probeWorker(ctx context.Context, s State, w WorkerAddress) error {
	if err := dial(ctx, w.Mesh); err != nil {
		return err
	}
	asked := 0
	for _, c := range s.Coordinators {
		status, err := ask(ctx, s.RootCertificate, c.API)
		if err != nil {
			continue
		}
		asked++
		known := false
		for _, k := range status.GetWorkers() {
			known = known || k.GetAddress() == w.Mesh && k.GetReady()
		}
		if !known {
			return fmt.Errorf("%w: %s does not know %s at %s as ready", errNotYet, c.Name, w.Name, w.Mesh)
		}
	}
	if asked == 0 {
		return fmt.Errorf("%w: no coordinator answers", errNotYet)
	}
	return nil
}

func dial(ctx context.Context, address string) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotYet, err)
	}
	_ = c.Close()
	return nil
}

// ask is one Status call over the verified channel.
func ask(ctx context.Context, pin canon.Digest, api string) (*concordatv1.StatusResponse, error) {
	transport := &http.Transport{TLSClientConfig: marble.ClientConfig(pin, marble.Coordinator), ForceAttemptHTTP2: true, DisableKeepAlives: true}
	client := concordatv1connect.NewAdminServiceClient(&http.Client{Transport: transport}, "https://"+api)
	resp, err := client.Status(ctx, connect.NewRequest(&concordatv1.StatusRequest{}))
	if err != nil {
		return nil, fmt.Errorf("mesh: ask coordinator %s: %w", api, err)
	}
	return resp.Msg, nil
}
