// Package harness runs a whole mesh of the built binaries for a test, sets collaborations up in it and reads its state back through
// the API that people use.
//
// Invariant: every process of a mesh ends with its test, by its id; a test sees nothing of the mesh but what a person with a key sees.
//
// Sees: plaintext rows of fixtures
package harness

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/key"
	"concordat.dev/ui/client"
	"concordat.dev/ui/mesh"
)

var binaries = []string{"concordat", "concordat-coordinator", "concordat-worker", "marblerun-coordinator"}

// Mesh is a mesh of three coordinators and two workers below Home.
type Mesh struct {
	*mesh.Mesh
	Home    string
	Founder key.Private // may propose where there is no manifest yet
	// Witnesses are told to coordinators by Again.
	Witnesses []mesh.Witness
	// Store is the object store; nil is a folder below Home.
	Store *Store
	// Traces is where processes send traces, if anywhere; Coordinators and Workers are how many there are, three and two where it is 0.
	Traces                string
	Coordinators, Workers int
	tb                    testing.TB
	bin                   string
}

// Up starts a new mesh, which ends with the test.
func Up(tb testing.TB) *Mesh {
	tb.Helper()
	return UpWith(tb, nil)
}

// UpWith starts a new mesh as set, which may be nil, wants it.
func UpWith(tb testing.TB, set func(*Mesh)) *Mesh {
	tb.Helper()
	m := &Mesh{Home: tb.TempDir(), Founder: NewKey(tb), tb: tb, bin: Binaries(tb)}
	if set != nil {
		set(m)
	}
	m.Again()
	tb.Cleanup(func() {
		if err := m.Down(); err != nil {
			tb.Error(err)
		}
	})
	return m
}

// Again brings the mesh up, or up again after Down.
func (m *Mesh) Again() {
	m.tb.Helper()
	up, err := mesh.Up(m.tb.Context(), mesh.Options{
		Home: m.Home, Bin: m.bin, Attached: true, Founders: []string{m.Founder.Public().String()}, Witnesses: m.Witnesses,
		ObjectStore: m.Store.URL(), Traces: m.Traces, Coordinators: m.Coordinators, Workers: m.Workers,
	})
	if err != nil {
		m.tb.Fatal(err)
	}
	m.Mesh = up
}

// In is the same mesh for a subtest, which then fails by itself.
func (m *Mesh) In(tb testing.TB) *Mesh {
	here := *m
	here.tb = tb
	return &here
}

// Kill ends a process as a crash would.
func (m *Mesh) Kill(name string) {
	m.tb.Helper()
	if err := m.Stop(name, syscall.SIGKILL); err != nil {
		m.tb.Fatal(err)
	}
}

// Return starts a process that was killed, and waits until it is ready.
func (m *Mesh) Return(name string) {
	m.tb.Helper()
	if err := m.Start(m.tb.Context(), name); err != nil {
		m.tb.Fatal(err)
	}
}

// Leader is the name of the coordinator that leads, once all that answer agree on one.
func (m *Mesh) Leader() string {
	m.tb.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		leaders, names := map[string]bool{}, map[string]string{} // by node, which is a key
		for _, c := range m.Status(m.tb.Context()).Coordinators {
			if c.Status != nil {
				leaders[c.Status.GetLeader()] = true
				names[c.Status.GetNode()] = c.Name
			}
		}
		for leader := range leaders {
			if name, answers := names[leader]; answers && len(leaders) == 1 {
				return name
			}
		}
	}
	m.tb.Fatal("the coordinators do not agree on a leader")
	return ""
}

// Client speaks to the mesh with a key; the zero key asks what needs no person.
func (m *Mesh) Client(k key.Private) *client.Client {
	m.tb.Helper()
	s := m.State()
	cfg := client.Config{Root: s.RootCertificate, Key: k, Ledger: s.Ledger}
	for _, c := range s.Coordinators {
		cfg.Addresses = append(cfg.Addresses, c.API)
	}
	c, err := client.New(cfg)
	if err != nil {
		m.tb.Fatal(err)
	}
	return c
}

// Ask is the mesh's own word of what it is.
func (m *Mesh) Ask() *concordatv1.StatusResponse {
	m.tb.Helper()
	s, err := m.Client(key.Private{}).Status(m.tb.Context())
	if err != nil {
		m.tb.Fatal(err)
	}
	return s
}

// NewKey is a fresh key.
func NewKey(tb testing.TB) key.Private {
	tb.Helper()
	k, err := key.Generate()
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// Repository is the folder of the repository.
func Repository() string {
	_, file, _, _ := runtime.Caller(0) //nolint:dogsled // the file is all that is wanted
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Binaries is a folder with the binaries as they are now, which a build that runs meanwhile does not change. They are those of `make build`,
// or of the folder that CONCORDAT_TEST_BIN names.
func Binaries(tb testing.TB) string {
	tb.Helper()
	dir, from := tb.TempDir(), os.Getenv("CONCORDAT_TEST_BIN")
	if from == "" {
		from = filepath.Join(Repository(), "bin")
	}
	for _, name := range binaries {
		if err := link(filepath.Join(from, name), filepath.Join(dir, name)); errors.Is(err, os.ErrNotExist) {
			tb.Fatalf("%s is missing: run `make build` in the repository first", filepath.Join(from, name))
		} else if err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// link links a file, or copies it where the file system cannot.
func link(from, to string) (err error) {
	if err := os.Link(from, to); err == nil || errors.Is(err, os.ErrNotExist) {
		return err
	}
	in, err := os.Open(from) //nolint:gosec // G304: a binary of this repository
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o700) //nolint:gosec // G302, G304: a program in a test's folder
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(fmt.Errorf("copy %s: %w", from, err), out.Close())
	}
	return out.Close()
}

// Elsewhere is a mesh whose processes other means run, where a home says that it is (`concordat mesh adopt`).
func Elsewhere(tb testing.TB, home string) *Mesh {
	tb.Helper()
	at, err := mesh.Open(home)
	if err != nil {
		tb.Fatal(err)
	}
	return &Mesh{Mesh: at, Home: home, tb: tb, bin: Binaries(tb)}
}
