package harness

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/handover"
	"concordat.dev/protocol/key"
	"concordat.dev/ui/client"
	"concordat.dev/ui/mesh"
)

// NextBuild is a folder with the binaries of another build: the coordinator is linked with another flag, as another version would be. The worker,
// whose linking takes long, gets bytes behind its end that change what it measures and not what it does; with whole it is linked anew too.
func NextBuild(tb testing.TB, whole bool) string {
	tb.Helper()
	dir := tb.TempDir()
	built := map[string]string{"coordinator": "concordat-coordinator"}
	if whole {
		built["worker"] = "concordat-worker"
	}
	for module, name := range built {
		cmd := exec.CommandContext(tb.Context(), "go", "build", "-tags", "duckdb_arrow", "-trimpath", "-buildvcs=false", //nolint:gosec // G204: our own sources
			"-ldflags", "-X main.build=next", "-o", filepath.Join(dir, name), "./cmd/"+name)
		cmd.Dir = filepath.Join(Repository(), module)
		if out, err := cmd.CombinedOutput(); err != nil {
			tb.Fatalf("build %s: %v\n%s", name, err, out)
		}
	}
	for _, name := range binaries {
		if err := link(filepath.Join(Repository(), "bin", name), filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrExist) {
			tb.Fatal(err)
		}
	}
	if !whole {
		another(tb, filepath.Join(dir, "concordat-worker"))
	}
	return dir
}

// another makes another file of a program, which runs as before.
func another(tb testing.TB, file string) {
	tb.Helper()
	raw, err := os.ReadFile(file) //nolint:gosec // G304: in a test's folder
	if err == nil {
		err = os.Remove(file) // it is a link: what it links to stays as it is
	}
	if err == nil {
		err = os.WriteFile(file, append(raw, "next build"...), 0o700) //nolint:gosec // G306: a program
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// Beside starts a mesh of other binaries that waits for the ledger of this one. It ends with the test.
func (m *Mesh) Beside(bin string, coordinators, workers int) *Mesh {
	m.tb.Helper()
	next := &Mesh{Home: m.tb.TempDir(), Founder: m.Founder, tb: m.tb, bin: bin}
	up, err := mesh.Up(m.tb.Context(), mesh.Options{Home: next.Home, Bin: bin, Attached: true, Succeeds: m.Home, Coordinators: coordinators, Workers: workers})
	if err != nil {
		m.tb.Fatal(err)
	}
	next.Mesh = up
	m.tb.Cleanup(func() {
		if err := next.Down(); err != nil {
			m.tb.Error(err)
		}
	})
	return next
}

// Successor is what a mesh that waits tells of itself, with where clients find it.
func (m *Mesh) Successor() []byte {
	m.tb.Helper()
	told := fetched(m.tb, m.Client(key.Private{}), &concordatv1.SuccessorRequest{}, client.Services.Successor)
	s, err := handover.ParseSuccessor(told.GetSuccessor())
	if err != nil {
		m.tb.Fatal(err)
	}
	for _, c := range m.State().Coordinators {
		s.Addresses = append(s.Addresses, c.API)
	}
	out, err := s.Marshal()
	if err != nil {
		m.tb.Fatal(err)
	}
	return out
}

// Bin is the folder of the mesh's binaries.
func (m *Mesh) Bin() string { return m.bin }

// Reload reads what another process noted of this mesh.
func (m *Mesh) Reload() mesh.State {
	m.tb.Helper()
	now, err := mesh.Open(m.Home)
	if err != nil {
		m.tb.Fatal(err)
	}
	return now.State()
}

// Become takes documents as those of the room.
func (r *Room) Become(d client.Documents) { r.Documents = d }
