package mesh

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
)

func TestChosenPortsAreConsecutiveAndThoseForPeopleFirst(t *testing.T) {
	m := &Mesh{home: t.TempDir(), options: Options{Port: 21000, Coordinators: 2, Workers: 1}}
	if err := m.assign(); err != nil {
		t.Fatal(err)
	}
	for i, a := range m.state.addresses() {
		if want := net.JoinHostPort(loopback, strconv.Itoa(21000+i)); *a.address != want {
			t.Errorf("%s is at %s, want %s", a.use, *a.address, want)
		}
	}
	if got := m.state.Coordinators[1].API; got != "127.0.0.1:21001" {
		t.Errorf("second API at %s", got)
	}
	if !strings.HasPrefix(m.state.ObjectStore, "file:///") {
		t.Errorf("object store %s", m.state.ObjectStore)
	}
}

func TestFreePortsDiffer(t *testing.T) {
	ports, err := choosePorts(0, 40)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, p := range ports {
		if seen[p] || p < lowestPort || p > highestPort {
			t.Errorf("port %d in %v", p, ports)
		}
		seen[p] = true
	}
}

func TestPortOfANewMeshInTheWay(t *testing.T) {
	l, err := net.Listen("tcp", loopback+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, err = Up(t.Context(), Options{Home: t.TempDir(), Bin: binaries, Port: l.Addr().(*net.TCPAddr).Port})
	if !errors.Is(err, ErrPort) || !strings.Contains(err.Error(), "API of coordinator-1") || !strings.Contains(err.Error(), "choose other ports") {
		t.Errorf("got %v", err)
	}
}
