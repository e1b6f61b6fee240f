package mesh

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Options say what mesh to bring up. Those for setup count only the first time; the zero value of each takes the default.
type Options struct {
	Home     string        // folder of the mesh; default ".concordat"
	Bin      string        // folder of the binaries; default: where this program lies
	Attached bool          // processes die with this one, also when it is killed; else they survive it
	Timeout  time.Duration // for all to be ready; default 2 minutes
	Founders []string      // keys that may propose a manifest while none is active; nil keeps those of before
	// Witnesses are those that coordinators can ask to cosign the log; nil keeps those of before.
	Witnesses []Witness
	// SignIn is how people sign in on the pages; nil keeps that of before.
	SignIn *SignIn
	// Traces is the URL of a collector that takes OTLP over HTTP, to which processes send the traces of all requests; empty: none.
	Traces   string
	Progress func(string) // hears of each step as it begins
	// Recover names the coordinator that is started to wait for a signed recovery, from its disk or a backup, the others with empty folders.
	Recover string

	// For setup.
	Coordinators int    // default 3
	Workers      int    // default 2
	Port         int    // first of consecutive ports, coordinators' APIs first; default: free ones
	ObjectStore  string // gocloud.dev/blob URL; default: a folder below Home
	// Succeeds is the home of the mesh whose ledger this one is to take over: it waits for that, with the same object store.
	Succeeds string
}

func (o Options) withDefaults() (Options, error) {
	if o.Home == "" {
		o.Home = ".concordat"
	}
	if o.Bin == "" {
		self, err := os.Executable()
		if err != nil {
			return o, fmt.Errorf("mesh: %w", err)
		}
		o.Bin = filepath.Dir(self)
	}
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Minute
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Coordinators == 0 {
		o.Coordinators = 3
	}
	if o.Workers == 0 {
		o.Workers = 2
	}
	return o, nil
}

// Up sets a mesh up, or brings one that is down up again, and returns when all of it is ready. On an error nothing of it runs.
func Up(ctx context.Context, o Options) (_ *Mesh, err error) {
	m, err := prepare(o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Down())
		} else if !m.options.Attached {
			m.unlock() // the processes themselves show from now on that the mesh runs
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, m.options.Timeout)
	defer cancel()
	steps := []func(context.Context) error{m.measure, m.startMarbleRun, m.pin, m.startCoordinators, m.startWorkers, m.awaitsLedger}
	if m.options.Recover != "" {
		steps = append(steps[:3], m.startRecovery)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// prepare takes the folder, and checks that nothing is in the way.
func prepare(o Options) (*Mesh, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	home, err := filepath.Abs(o.Home)
	if err != nil {
		return nil, fmt.Errorf("mesh: %w", err)
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, fmt.Errorf("mesh: %w", err)
	}
	unlock, ok, err := lock(filepath.Join(home, "mesh.lock"))
	if err != nil {
		return nil, err
	}
	m, err := Open(home)
	if errors.Is(err, ErrNone) {
		m, err = &Mesh{home: home, running: map[string]*child{}, unlock: func() {}}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := m.ours(); err != nil {
		unlock()
		return nil, err
	}
	if live := m.live(); len(live) > 0 || !ok {
		if ok {
			unlock()
		}
		return nil, fmt.Errorf("mesh: %w: %s (%s); `concordat status` shows it, `concordat down` ends it", ErrRunning, home, describe(live))
	}
	m.bin, m.options, m.unlock, m.started = o.Bin, o, unlock, newStarter()
	if err := m.reserve(); err != nil {
		unlock()
		return nil, err
	}
	return m, nil
}

// reserve gives a new mesh its addresses, and checks that all are free.
func (m *Mesh) reserve() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.state.Coordinators) == 0 {
		m.state.Mode = "simulation"
		if err := m.succeed(); err != nil {
			return err
		}
		if err := m.assign(); err != nil {
			return err
		}
	}
	if folder, ok := strings.CutPrefix(m.state.ObjectStore, "file://"); ok {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("mesh: object store: %w", err)
		}
	}
	m.state.Processes = nil
	if m.options.SignIn != nil {
		m.state.SignIn = m.options.SignIn
	}
	if m.options.Witnesses != nil {
		m.state.Witnesses = m.options.Witnesses
	}
	if m.options.Founders != nil {
		m.state.Founders = m.options.Founders
	}
	return m.checkPorts()
}

func (m *Mesh) live() []Process {
	var live []Process
	for _, p := range m.State().Processes {
		if p.Running() {
			live = append(live, p)
		}
	}
	return live
}

func describe(processes []Process) string {
	if len(processes) == 0 {
		return "another concordat is about to start it, or to end it"
	}
	words := make([]string, len(processes))
	for i, p := range processes {
		words[i] = fmt.Sprintf("%s is process %d", p.Name, p.PID)
	}
	return strings.Join(words, ", ")
}

// Down ends all processes of the mesh, whoever started them: workers, coordinators, then MarbleRun.
func (m *Mesh) Down() error {
	if err := m.ours(); err != nil {
		return err
	}
	var marblerun, ours []Process
	for _, p := range m.State().Processes {
		if p.Name == marbleRunName {
			marblerun = append(marblerun, p)
		} else {
			ours = append(ours, p)
		}
	}
	err := errors.Join(stop(ours, syscall.SIGTERM), stop(marblerun, syscall.SIGTERM))
	m.unlock()
	return err
}

// Wipe removes what a mesh that is down left: its secrets, and so all data sealed under them. Keys in the folder stay.
func (m *Mesh) Wipe() error {
	if live := m.live(); len(live) > 0 {
		return fmt.Errorf("mesh: wipe %s: %w: %s", m.home, ErrRunning, describe(live))
	}
	s := m.State()
	names := []string{marbleRunName, objectFolder, "root.pem", "mesh.json", "mesh.lock"}
	for _, c := range s.Coordinators {
		names = append(names, c.Name)
	}
	for _, w := range s.Workers {
		names = append(names, w.Name)
	}
	if s.Successor != "" { // its data lie here too
		names = slices.DeleteFunc(names, func(name string) bool { return name == objectFolder })
	}
	for _, name := range names {
		if err := os.RemoveAll(m.path(name)); err != nil {
			return fmt.Errorf("mesh: wipe: %w", err)
		}
	}
	return nil
}

// Wait returns nil when ctx ends, or an error when a process of ours does by itself.
func (m *Mesh) Wait(ctx context.Context) error {
	for {
		m.mu.Lock()
		all := make([]*child, 0, len(m.running))
		for _, c := range m.running {
			all = append(all, c)
		}
		m.mu.Unlock()
		for _, c := range all {
			if err := c.check(); err != nil {
				return fmt.Errorf("mesh: %w", err)
			}
		}
		if !pause(ctx, pollEvery) {
			return nil
		}
	}
}

// Stop ends one process with a signal: SIGKILL stands for a crash.
func (m *Mesh) Stop(name string, sig syscall.Signal) error {
	for _, p := range m.State().Processes {
		if p.Name != name {
			continue
		}
		m.mu.Lock()
		delete(m.running, name)
		m.mu.Unlock()
		return stop([]Process{p}, sig)
	}
	return fmt.Errorf("mesh: %q is no process of this mesh", name)
}

// Start starts one process that ended, and waits until it is ready. Only the mesh that Up returned can.
func (m *Mesh) Start(ctx context.Context, name string) error {
	if m.started == nil {
		return fmt.Errorf("mesh: start %s: this mesh was opened, not brought up, here", name)
	}
	for _, p := range m.live() {
		if p.Name == name {
			return fmt.Errorf("mesh: start %s: %w: process %d", name, ErrRunning, p.PID)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, m.options.Timeout)
	defer cancel()
	return m.start(ctx, name)
}

// Restart ends one process and starts it again.
func (m *Mesh) Restart(ctx context.Context, name string) error {
	if err := m.Stop(name, syscall.SIGTERM); err != nil {
		return err
	}
	return m.Start(ctx, name)
}
