package mesh

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"

	"concordat.dev/protocol/canon"
	"github.com/goccy/go-yaml"
)

// Where the processes of a mesh listen that other means run, each on a machine of its own: a container, or a host with a name.
const (
	PortRaft    = "7100"
	PortMesh    = "7200"
	PortAPI     = "7300"
	PortWorker  = "7400"
	PortFlight  = "7500"
	PortMetrics = "7600"
	PortMarbles = "2001" // MarbleRun's own numbers
	PortClients = "4433"

	everywhere = "0.0.0.0"
)

// Plan is a mesh whose processes other means run. Names are host names at which the processes reach one another.
type Plan struct {
	Mode         string                  // simulation or sgx
	Domain       string                  // appended to each name, where that is reached by another one
	Home         string                  // of this description: mesh.json, root.pem, NAME/config.yaml
	Measured     map[string]canon.Digest // of the binaries by name (ReadMeasurements)
	MarbleRun    string
	Coordinators []string // always in the same order: the first starts the cluster
	Workers      []string
	Data         string // folder for its own data at each of them
	ObjectStore  string
	Founders     []string
	Witnesses    []Witness
	Progress     func(string)

	AwaitsHandover bool // coordinators found no ledger, and wait for that of another mesh
}

// SetUp waits for MarbleRun until ctx ends, sets its manifest or, where the mesh was set up before, checks that it is the same, and writes a
// configuration for each coordinator and worker. It starts nothing.
func SetUp(ctx context.Context, p Plan) (*Mesh, error) {
	m, err := Open(p.Home)
	if errors.Is(err, ErrNone) {
		m, err = &Mesh{home: p.Home, running: map[string]*child{}, unlock: func() {}}, nil
	}
	if err != nil {
		return nil, err
	}
	m.options.Progress = p.Progress
	if was := m.State().Coordinators; len(was) > 0 && !slices.EqualFunc(was, p.Coordinators, func(c CoordinatorAddress, name string) bool { return c.Name == name }) {
		return nil, fmt.Errorf("mesh: %w: its coordinators are named otherwise, or stand in another order; coordinators come and go by `concordat node`", ErrChanged)
	}
	m.place(p)
	if err := m.admit(p.Measured); err != nil {
		return nil, err
	}
	if err := m.await(ctx); err != nil {
		return nil, err
	}
	if err := m.pin(ctx); err != nil {
		return nil, err
	}
	return m, m.configure(p)
}

// place says where everything is.
func (m *Mesh) place(p Plan) {
	s := &m.state
	s.Mode, s.Elsewhere, s.ObjectStore, s.Founders, s.Witnesses = p.Mode, true, p.ObjectStore, p.Founders, p.Witnesses
	s.MarbleRun = MarbleRunAddress{Marbles: p.at(p.MarbleRun, PortMarbles), Clients: p.at(p.MarbleRun, PortClients)}
	s.Coordinators, s.Workers = nil, nil
	for _, c := range p.Coordinators {
		s.Coordinators = append(s.Coordinators, CoordinatorAddress{
			Name: c, API: p.at(c, PortAPI), Mesh: p.at(c, PortMesh), Raft: p.at(c, PortRaft), Flight: p.at(c, PortFlight),
			Metrics: p.at(c, PortMetrics),
		})
	}
	for _, w := range p.Workers {
		s.Workers = append(s.Workers, WorkerAddress{Name: w, Mesh: p.at(w, PortWorker), Metrics: p.at(w, PortMetrics)})
	}
}

// at is an address as the processes know it.
func (p Plan) at(name, port string) string {
	if p.Domain != "" {
		name += "." + p.Domain
	}
	return net.JoinHostPort(name, port)
}

// await returns when MarbleRun answers.
func (m *Mesh) await(ctx context.Context) error {
	m.options.Progress("wait for MarbleRun")
	for {
		err := m.probe(ctx, marbleRunName)
		if err == nil {
			return nil
		}
		if !pause(ctx, pollEvery) {
			return fmt.Errorf("mesh: MarbleRun does not answer at %s: %w; last: %w", m.State().MarbleRun.Clients, ctx.Err(), err)
		}
	}
}

// configure writes the configurations.
func (m *Mesh) configure(p Plan) error {
	s := m.State()
	for _, c := range s.Coordinators {
		cfg := m.coordinatorConfig(s, c)
		at := func(port string) string { return net.JoinHostPort(everywhere, port) }
		cfg.DataDir, cfg.Announce, cfg.AwaitsHandover = p.Data, c.Raft, p.AwaitsHandover
		cfg.Listen = listen{Raft: at(PortRaft), Mesh: at(PortMesh), API: at(PortAPI), Flight: at(PortFlight)}
		cfg.Metrics = metricsAt(at(PortMetrics))
		if err := m.writeConfig(c.Name, cfg); err != nil {
			return err
		}
	}
	for _, w := range s.Workers {
		cfg := m.workerConfig(s, w)
		cfg.DataDir, cfg.Listen, cfg.Announce = p.Data, net.JoinHostPort(everywhere, PortWorker), w.Mesh
		cfg.Metrics = metricsAt(net.JoinHostPort(everywhere, PortMetrics))
		cfg.Memory = "" // it sees its own limits, this process does not
		if err := m.writeConfig(w.Name, cfg); err != nil {
			return err
		}
	}
	return nil
}

func (m *Mesh) writeConfig(name string, config any) error {
	text, err := yaml.Marshal(config)
	if err != nil {
		return fmt.Errorf("mesh: configuration of %s: %w", name, err)
	}
	return writeFile(m.path(name, "config.yaml"), append([]byte("# Written by concordat at each start of the mesh.\n"), text...))
}

// ours says that `concordat up` runs this mesh.
func (m *Mesh) ours() error {
	if m.State().Elsewhere {
		return fmt.Errorf("mesh: %w: %s only says where it is; use those means, such as `docker compose`", ErrOthers, m.home)
	}
	return nil
}

// ReadMeasurements reads lines as sha256sum writes them, of the binaries that make up a mesh.
func ReadMeasurements(file string) (map[string]canon.Digest, error) {
	text, err := os.ReadFile(file) //nolint:gosec // G304: the operator names the file
	if err != nil {
		return nil, fmt.Errorf("mesh: measurements: %w", err)
	}
	out := map[string]canon.Digest{}
	for line := range strings.Lines(string(text)) {
		sum, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		raw, err := hex.DecodeString(sum)
		if !ok || err != nil || len(raw) != sha256.Size {
			return nil, fmt.Errorf("mesh: measurements: %s: %q is no line of sha256sum", file, strings.TrimSpace(line))
		}
		out[name] = canon.Of([sha256.Size]byte(raw))
	}
	for _, name := range []string{marbleRunBinary, coordinatorBinary, workerBinary} {
		if out[name] == "" {
			return nil, fmt.Errorf("mesh: measurements: %s names %s, and not %s", file, slices.Sorted(maps.Keys(out)), name)
		}
	}
	return out, nil
}
