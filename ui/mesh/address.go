package mesh

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
)

const loopback = "127.0.0.1"

// objectFolder is the object store of a mesh that names no other.
const objectFolder = "objects"

// assign gives a new mesh its names and addresses: free ports, or consecutive ones from options.Port.
func (m *Mesh) assign() error {
	o, s := m.options, &m.state
	for i := range o.Coordinators {
		s.Coordinators = append(s.Coordinators, CoordinatorAddress{Name: "coordinator-" + strconv.Itoa(i+1)})
	}
	for i := range o.Workers {
		s.Workers = append(s.Workers, WorkerAddress{Name: "worker-" + strconv.Itoa(i+1)})
	}
	all := s.addresses()
	ports, err := choosePorts(o.Port, len(all))
	if err != nil {
		return err
	}
	for i, a := range all {
		*a.address = net.JoinHostPort(loopback, strconv.Itoa(ports[i]))
	}
	s.ObjectStore = o.ObjectStore
	if s.ObjectStore == "" {
		s.ObjectStore = (&url.URL{Scheme: "file", Path: filepath.ToSlash(m.path(objectFolder))}).String()
	}
	return nil
}

// address is one address of the state and what it is for.
type address struct {
	address *string
	use     string
}

// addresses has those for people first, so that a chosen port is the one they type.
func (s *State) addresses() []address {
	var all []address
	for i := range s.Coordinators {
		c := &s.Coordinators[i]
		all = append(all, address{&c.API, "API of " + c.Name})
	}
	for i := range s.Coordinators {
		c := &s.Coordinators[i]
		all = append(all, address{&c.Mesh, "workers' side of " + c.Name}, address{&c.Raft, "raft of " + c.Name})
	}
	for i := range s.Workers {
		all = append(all, address{&s.Workers[i].Mesh, s.Workers[i].Name})
	}
	all = append(all, address{&s.MarbleRun.Marbles, "MarbleRun's marble API"}, address{&s.MarbleRun.Clients, "MarbleRun's client API"})
	for i := range s.Coordinators {
		c := &s.Coordinators[i]
		all = append(all, address{&c.Flight, "Flight SQL of " + c.Name})
	}
	for i := range s.Coordinators {
		all = append(all, address{&s.Coordinators[i].Metrics, "metrics of " + s.Coordinators[i].Name})
	}
	for i := range s.Workers {
		all = append(all, address{&s.Workers[i].Metrics, "metrics of " + s.Workers[i].Name})
	}
	return all
}

// Free ports are looked for below the range from which the kernel takes those of outgoing connections, so that a mesh that is down
// for a while finds its own still free.
const (
	lowestPort  = 20000
	highestPort = 32000
)

func choosePorts(first, n int) ([]int, error) {
	ports := make([]int, 0, n)
	if first != 0 {
		for i := range n {
			ports = append(ports, first+i)
		}
		return ports, nil
	}
	for port := lowestPort + rand.IntN(highestPort-lowestPort-100); len(ports) < n; port++ { //nolint:gosec // G404: any port will do
		if port > highestPort {
			return nil, fmt.Errorf("mesh: found only %d of %d free ports up to %d", len(ports), n, highestPort)
		}
		if free(net.JoinHostPort(loopback, strconv.Itoa(port))) {
			ports = append(ports, port)
		}
	}
	return ports, nil
}

func free(address string) bool {
	l, err := net.Listen("tcp", address) //nolint:noctx // a local listen does not block
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

// checkPorts says of every address that is taken what takes it.
func (m *Mesh) checkPorts() error {
	var errs []error
	for _, a := range m.state.addresses() {
		if *a.address != "" && !free(*a.address) { // a mesh of an earlier build has fewer
			errs = append(errs, fmt.Errorf("mesh: %w: %s, for the %s, is held by %s", ErrPort, *a.address, a.use, holder(*a.address)))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	if m.state.RootCertificate == "" {
		return errors.Join(append(errs, errors.New("end it, or choose other ports"))...)
	}
	return errors.Join(append(errs, errors.New("end it: the addresses belong to this mesh; `concordat down --wipe` gives them up, with all data"))...)
}
