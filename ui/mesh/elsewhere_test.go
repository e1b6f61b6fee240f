package mesh

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concordat.dev/protocol/canon"
)

func plan(home string) Plan {
	return Plan{
		Home: home, Mode: "simulation", MarbleRun: "marblerun", Domain: "marbles", Coordinators: []string{"c1", "c2", "c3"}, Workers: []string{"w1"},
		Data: "/data", ObjectStore: "s3://room", Founders: []string{"ed25519:x"}, Progress: func(string) {},
	}
}

// TestConfigurationsForElsewhere: processes listen everywhere and are told by their names, and keep what is theirs where the plan says.
func TestConfigurationsForElsewhere(t *testing.T) {
	home := t.TempDir()
	m := &Mesh{home: home}
	p := plan(home)
	m.place(p)
	if err := m.configure(p); err != nil {
		t.Fatal(err)
	}
	for name, wants := range map[string][]string{
		"c2": {"node: c2", "announce: c2.marbles:7100", "raft: 0.0.0.0:7100", "raft: c1.marbles:7100", "data_dir: /data", "object_store: s3://room", "ed25519:x"},
		"w1": {"worker: w1", "announce: w1.marbles:7400", "listen: 0.0.0.0:7400", "c3.marbles:7200", "data_dir: /data"},
	} {
		text, err := os.ReadFile(filepath.Join(home, name, "config.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(text), want) {
				t.Errorf("the configuration of %s lacks %q:\n%s", name, want, text)
			}
		}
	}
	p.AwaitsHandover = true
	if err := m.configure(p); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(home, "c1", "config.yaml")); err != nil || !strings.Contains(string(text), "awaits_handover: true") {
		t.Errorf("a coordinator that waits for a ledger is not told to: %v\n%s", err, text)
	}
	if strings.Contains(m.State().ObjectStore, home) {
		t.Errorf("object store %s", m.State().ObjectStore)
	}
}

// TestHomeOfAMeshElsewhere: nothing starts or ends processes by a home that only says where they are, and it stays the home of that mesh.
func TestHomeOfAMeshElsewhere(t *testing.T) {
	home := t.TempDir()
	m := &Mesh{home: home}
	root := canon.Sum([]byte("root"))
	if err := m.update(func(s *State) { s.Elsewhere, s.RootCertificate = true, root }); err != nil {
		t.Fatal(err)
	}
	if _, err := Up(t.Context(), Options{Home: home, Bin: binaries}); !errors.Is(err, ErrOthers) {
		t.Errorf("up: %v", err)
	}
	if _, err := Attach(t.Context(), Options{Home: home, Bin: binaries}); !errors.Is(err, ErrOthers) {
		t.Errorf("attach: %v", err)
	}
	opened, err := Open(home)
	if err != nil {
		t.Fatal(err)
	}
	if err := opened.Down(); !errors.Is(err, ErrOthers) {
		t.Errorf("down: %v", err)
	}
	before := State{RootCertificate: root, Ledger: "ab"}
	for name, now := range map[string]State{
		"another": {Ledger: "ab"}, "another ledger": {Ledger: "cd", Inherits: []string{string(root)}}, "of another": {Ledger: "ab", Inherits: []string{"sha256:x"}},
	} {
		if inherited(before, now) {
			t.Errorf("%s: taken as the heir", name)
		}
	}
	if !inherited(before, State{Ledger: "ab", Inherits: []string{"sha256:x", string(root)}}) {
		t.Error("the heir is not known")
	}
	if _, err := Adopt(t.Context(), t.TempDir(), root, []string{"127.0.0.1:1"}, ""); err == nil || !strings.Contains(err.Error(), "no coordinator tells") {
		t.Errorf("adopt of nobody: %v", err)
	}
}

// TestAPlanThatChanged: coordinators do not change by another plan, nor do binaries.
func TestAPlanThatChanged(t *testing.T) {
	home := t.TempDir()
	m := &Mesh{home: home}
	was := map[string]canon.Digest{coordinatorBinary: canon.Sum([]byte("1"))}
	m.place(plan(home))
	if err := m.update(func(s *State) { s.Executables = was }); err != nil {
		t.Fatal(err)
	}
	other := plan(home)
	other.Coordinators = []string{"c2", "c1", "c3"}
	if _, err := SetUp(t.Context(), other); !errors.Is(err, ErrChanged) {
		t.Errorf("another order: %v", err)
	}
	if _, err := SetUp(t.Context(), plan(home)); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), coordinatorBinary) {
		t.Errorf("another binary: %v", err)
	}
}

func TestReadMeasurements(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	read := func(text string) error {
		file := filepath.Join(t.TempDir(), "measurements")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadMeasurements(file)
		if err == nil && got[workerBinary] != canon.Digest("sha256:"+sum) {
			t.Errorf("%v", got)
		}
		return err
	}
	all := sum + "  " + coordinatorBinary + "\n" + sum + "  " + workerBinary + "\n" + sum + "  " + marbleRunBinary + "\n"
	if err := read(all); err != nil {
		t.Error(err)
	}
	for name, text := range map[string]string{
		"one is missing": strings.Replace(all, marbleRunBinary, "another", 1), "no digest": strings.Replace(all, "ab", "xy", 1), "short": sum[:10] + "  x\n",
	} {
		if err := read(text); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
