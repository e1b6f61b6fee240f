package mesh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"connectrpc.com/connect"

	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/marble"
)

// Phases in which a coordinator waits for a word of the organisations (NodeService.Self).
const (
	phaseJoining    = "joining"
	phaseRecovering = "recovering"
)

// Attach opens a mesh that runs detached, so that processes of it can be started from here too.
func Attach(ctx context.Context, o Options) (*Mesh, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	m, err := Open(o.Home)
	if err != nil {
		return nil, err
	}
	if err := m.ours(); err != nil {
		return nil, err
	}
	unlock, free, err := lock(m.path("mesh.lock"))
	if err != nil {
		return nil, err
	}
	if !free {
		return nil, fmt.Errorf("mesh: %w: another command holds %s, such as `concordat demo`; use `concordat up` for a mesh that changes", ErrRunning, m.home)
	}
	m.bin, m.options, m.unlock, m.started = o.Bin, o, unlock, newStarter()
	if len(m.live()) == 0 {
		unlock()
		return nil, fmt.Errorf("mesh: %s is down: `concordat up` first", m.home)
	}
	if err := m.measure(ctx); err != nil {
		unlock()
		return nil, err
	}
	return m, nil
}

// Release lets go of a mesh that was attached; its processes go on.
func (m *Mesh) Release() { m.unlock() }

// Join starts one more coordinator, or one of the mesh anew with an empty folder, and returns when it waits to be called. What the folder held
// is kept beside it.
func (m *Mesh) Join(ctx context.Context, name string) (CoordinatorAddress, error) {
	ctx, cancel := context.WithTimeout(ctx, m.options.Timeout)
	defer cancel()
	if name == "" {
		var err error
		if name, err = m.addCoordinator(); err != nil {
			return CoordinatorAddress{}, err
		}
	} else if err := m.rejoin(name); err != nil {
		return CoordinatorAddress{}, err
	}
	if err := m.launchMarble(name); err != nil {
		return CoordinatorAddress{}, err
	}
	s := m.State()
	i := slices.IndexFunc(s.Coordinators, func(c CoordinatorAddress) bool { return c.Name == name })
	return s.Coordinators[i], m.waits(ctx, name, phaseJoining)
}

// addCoordinator gives a new coordinator its name and free addresses.
func (m *Mesh) addCoordinator() (string, error) {
	s := m.State()
	n := len(s.Coordinators) + 1
	taken := func(name string) bool {
		return slices.ContainsFunc(s.Coordinators, func(c CoordinatorAddress) bool { return c.Name == name })
	}
	for taken("coordinator-" + strconv.Itoa(n)) {
		n++
	}
	ports, err := choosePorts(0, 5)
	if err != nil {
		return "", err
	}
	at := func(i int) string { return net.JoinHostPort(loopback, strconv.Itoa(ports[i])) }
	c := CoordinatorAddress{Name: "coordinator-" + strconv.Itoa(n), API: at(0), Mesh: at(1), Raft: at(2), Flight: at(3), Metrics: at(4), Join: true}
	if err := m.setAside(c.Name); err != nil {
		return "", err
	}
	return c.Name, m.update(func(s *State) { s.Coordinators = append(slices.Clone(s.Coordinators), c) })
}

// rejoin has a coordinator of the mesh start with an empty folder.
func (m *Mesh) rejoin(name string) error {
	s := m.State()
	i := slices.IndexFunc(s.Coordinators, func(c CoordinatorAddress) bool { return c.Name == name })
	if i < 0 {
		return fmt.Errorf("mesh: %q is no coordinator of this mesh", name)
	}
	for _, p := range m.live() {
		if p.Name == name {
			if err := stop([]Process{p}, syscall.SIGTERM); err != nil {
				return err
			}
		}
	}
	if err := m.setAside(name); err != nil {
		return err
	}
	return m.update(func(s *State) {
		s.Coordinators = slices.Clone(s.Coordinators)
		s.Coordinators[i].Join = true
	})
}

// setAside keeps what a coordinator's folder holds under another name.
func (m *Mesh) setAside(name string) error {
	data := m.path(name, "data")
	if _, err := os.Stat(data); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	old := data + ".before-" + time.Now().UTC().Format("20060102T150405.000")
	if err := os.Rename(data, old); err != nil {
		return fmt.Errorf("mesh: keep the old state of %s: %w", name, err)
	}
	return nil
}

// Leave ends a coordinator that was removed and takes it out of the mesh.
func (m *Mesh) Leave(name string) error {
	for _, p := range m.live() {
		if p.Name == name {
			if err := stop([]Process{p}, syscall.SIGTERM); err != nil {
				return err
			}
		}
	}
	m.mu.Lock()
	delete(m.running, name)
	m.mu.Unlock()
	if err := m.setAside(name); err != nil {
		return err
	}
	return m.update(func(s *State) {
		s.Coordinators = slices.DeleteFunc(slices.Clone(s.Coordinators), func(c CoordinatorAddress) bool { return c.Name == name })
		s.Processes = slices.DeleteFunc(slices.Clone(s.Processes), func(p Process) bool { return p.Name == name })
	})
}

// Reannounce starts the workers anew, one after another, so that they announce themselves to all coordinators that there are now.
func (m *Mesh) Reannounce(ctx context.Context) error {
	for _, w := range m.State().Workers {
		m.options.Progress(w.Name + " learns of the coordinators")
		if err := m.Restart(ctx, w.Name); err != nil {
			return err
		}
	}
	return nil
}

// startRecovery starts the coordinator whose disk, or a backup, is to be recovered from, and the others with empty folders; all wait.
func (m *Mesh) startRecovery(ctx context.Context) error {
	from := m.options.Recover
	s := m.State()
	if !slices.ContainsFunc(s.Coordinators, func(c CoordinatorAddress) bool { return c.Name == from }) {
		return fmt.Errorf("mesh: recover: %q is no coordinator of this mesh", from)
	}
	m.options.Progress("start " + from + " for a recovery, the others empty")
	for i, c := range s.Coordinators {
		if c.Name != from {
			if err := m.setAside(c.Name); err != nil {
				return err
			}
		}
		if err := m.update(func(s *State) {
			s.Coordinators = slices.Clone(s.Coordinators)
			s.Coordinators[i].Join = true
		}); err != nil {
			return err
		}
		if err := m.launchMarble(c.Name); err != nil {
			return err
		}
	}
	for _, c := range s.Coordinators {
		phase := phaseJoining
		if c.Name == from {
			phase = phaseRecovering
		}
		if err := m.waits(ctx, c.Name, phase); err != nil {
			return err
		}
	}
	for _, w := range s.Workers {
		if err := m.launchMarble(w.Name); err != nil {
			return err
		}
	}
	return nil
}

// waits returns when a coordinator waits in a phase.
func (m *Mesh) waits(ctx context.Context, name, phase string) error {
	m.mu.Lock()
	c := m.running[name]
	m.mu.Unlock()
	for {
		s := m.State()
		i := slices.IndexFunc(s.Coordinators, func(c CoordinatorAddress) bool { return c.Name == name })
		self, err := m.Self(ctx, s.Coordinators[i].API)
		if err == nil && self.GetPhase() == phase {
			m.options.Progress(name + " is " + phase)
			return nil
		}
		if ended := c.check(); ended != nil {
			return fmt.Errorf("mesh: %w", ended)
		}
		if !pause(ctx, pollEvery) {
			return fmt.Errorf("mesh: %s is not %s: %w; last: %w; the end of %s:\n%s", name, phase, ctx.Err(), err, c.Log, tail(c.Log))
		}
	}
}

// Self asks a coordinator of the mesh what it is, over the verified channel.
func (m *Mesh) Self(ctx context.Context, api string) (*concordatv1.SelfResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	transport := &http.Transport{
		TLSClientConfig: marble.ClientConfig(m.State().RootCertificate, marble.Coordinator), ForceAttemptHTTP2: true, DisableKeepAlives: true,
	}
	r, err := concordatv1connect.NewNodeServiceClient(&http.Client{Transport: transport}, "https://"+api).Self(ctx, connect.NewRequest(&concordatv1.SelfRequest{}))
	if err != nil {
		return nil, fmt.Errorf("mesh: ask coordinator %s: %w", api, err)
	}
	return r.Msg, nil
}
