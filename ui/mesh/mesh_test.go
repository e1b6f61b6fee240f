package mesh

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"concordat.dev/protocol/marble"
)

func TestMeshComesUpAgainAsTheSame(t *testing.T) {
	home, ctx := filepath.Join(t.TempDir(), "home"), t.Context()
	var steps []string
	m, err := Up(ctx, Options{Home: home, Bin: binaries, Founders: []string{"ed25519:x"}, Progress: func(s string) { steps = append(steps, s) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Down() })
	if got := strings.Join(steps, "\n"); !strings.Contains(got, "set the MarbleRun manifest") || !strings.Contains(got, "worker-2 is ready") {
		t.Errorf("steps:\n%s", got)
	}
	before := m.State()
	if len(before.Processes) != 6 || before.Ledger == "" || before.RootCertificate == "" {
		t.Fatalf("state %+v", before)
	}
	checkModes(t, home)

	report := m.Status(ctx)
	if report.MarbleRun != marble.AcceptingMarbles || !report.Running() {
		t.Errorf("status %+v", report)
	}
	for _, c := range report.Coordinators {
		if c.Err != nil || len(c.Status.GetWorkers()) != 2 {
			t.Errorf("%s: %v, %v", c.Name, c.Status, c.Err)
		}
	}

	if _, err := Up(ctx, Options{Home: home, Bin: binaries}); !errors.Is(err, ErrRunning) || !strings.Contains(err.Error(), fmt.Sprint(before.Processes[0].PID)) {
		t.Errorf("second up: %v", err)
	}
	opened, err := Open(home)
	if err != nil {
		t.Fatal(err)
	}
	if err := opened.Wipe(); !errors.Is(err, ErrRunning) {
		t.Errorf("wipe of a running mesh: %v", err)
	}

	// Another process, such as `concordat down`, ends it.
	if err := opened.Down(); err != nil {
		t.Fatal(err)
	}
	if opened.Status(ctx).Running() {
		t.Error("still running after down")
	}

	checkPortInTheWay(t, home, before)

	again, err := Up(ctx, Options{Home: home, Bin: binaries})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Down() })
	after := again.State()
	if !reflect.DeepEqual(after.Pins(), before.Pins()) || after.Coordinators[0] != before.Coordinators[0] || len(after.Founders) != 1 {
		t.Errorf("came up as another mesh:\n%+v\n%+v", before, after)
	}
	checkCrashAndRestart(t, again)
	if err := again.Down(); err != nil {
		t.Fatal(err)
	}
	checkChanges(t, home)
}

// checkModes: nobody else on the machine reads any of it.
func checkModes(t *testing.T, home string) {
	t.Helper()
	err := filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := d.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s (%v)", path, info.Mode(), err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func checkPortInTheWay(t *testing.T, home string, s State) {
	t.Helper()
	l, err := net.Listen("tcp", s.Coordinators[1].Raft)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, err = Up(t.Context(), Options{Home: home, Bin: binaries})
	if !errors.Is(err, ErrPort) || !strings.Contains(err.Error(), "raft of coordinator-2") || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("port in the way: %v", err)
	}
}

func checkCrashAndRestart(t *testing.T, m *Mesh) {
	t.Helper()
	for _, name := range []string{"coordinator-2", "worker-1", marbleRunName} {
		if err := m.Stop(name, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := m.Start(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Start(t.Context(), "worker-1"); !errors.Is(err, ErrRunning) {
		t.Errorf("started twice: %v", err)
	}
	if err := m.Restart(t.Context(), "worker-1"); err != nil {
		t.Error(err)
	}
	if err := m.Stop("worker-9", syscall.SIGTERM); err == nil {
		t.Error("stopped what is not there")
	}
	// A process that ends by itself is noticed.
	victim := m.live()[0]
	if err := victim.signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := m.Wait(t.Context()); !errors.Is(err, ErrProcess) || !strings.Contains(err.Error(), victim.Name) {
		t.Errorf("wait: %v", err)
	}
}

// checkChanges: another build and a lost MarbleRun state are told apart and explained; a wiped mesh comes up as a new one.
func checkChanges(t *testing.T, home string) {
	t.Helper()
	ctx := t.Context()
	rebuilt := t.TempDir()
	for _, name := range []string{marbleRunBinary, coordinatorBinary, workerBinary} {
		copyFile(t, filepath.Join(binaries, name), filepath.Join(rebuilt, name), name == workerBinary)
	}
	_, err := Up(ctx, Options{Home: home, Bin: rebuilt})
	if !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), workerBinary) || strings.Contains(err.Error(), coordinatorBinary+" changed") || !strings.Contains(err.Error(), "--wipe") {
		t.Errorf("changed binary: %v", err)
	}
	m, err := Open(home)
	if err != nil {
		t.Fatal(err)
	}
	old := m.State()
	if err := os.RemoveAll(filepath.Join(home, marbleRunName, marbleRunSealFolder)); err != nil {
		t.Fatal(err)
	}
	if _, err := Up(ctx, Options{Home: home, Bin: binaries}); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), "lost the state") {
		t.Errorf("lost MarbleRun state: %v", err)
	}
	if m.Status(ctx).Running() {
		t.Error("a failed up left processes")
	}
	if err := m.Wipe(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(home); !errors.Is(err, ErrNone) {
		t.Errorf("after wipe: %v", err)
	}
	m, err = Up(ctx, Options{Home: home, Bin: rebuilt, Coordinators: 1, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	if s := m.State(); s.RootCertificate == old.RootCertificate || s.Ledger == old.Ledger || s.MarbleRunManifest == old.MarbleRunManifest {
		t.Errorf("a new mesh has something of the old:\n%+v\n%+v", old, s)
	}
	if err := m.Down(); err != nil {
		t.Error(err)
	}
}

func copyFile(t *testing.T, from, to string, change bool) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if change {
		b = append(b, 0)
	}
	if err := os.WriteFile(to, b, 0o700); err != nil { //nolint:gosec // G306: a program
		t.Fatal(err)
	}
}

func TestFailedStartSaysWhyAndLeavesNothing(t *testing.T) {
	t.Setenv("TEST_MARBLE_FAIL", "coordinator-2")
	home := t.TempDir()
	_, err := Up(t.Context(), Options{Home: home, Bin: binaries})
	if !errors.Is(err, ErrProcess) || !strings.Contains(err.Error(), "coordinator-2") || !strings.Contains(err.Error(), "told to fail") {
		t.Fatalf("got %v", err)
	}
	m, err := Open(home)
	if err != nil {
		t.Fatal(err)
	}
	if live := m.live(); len(live) > 0 {
		t.Errorf("left %v", live)
	}
	if _, err := Up(t.Context(), Options{Home: home, Bin: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("without binaries: %v", err)
	}
}

// The supervisor is this test binary once more; it gets no chance to clean up.
func TestAttachedMeshDiesWithItsSupervisor(t *testing.T) {
	home := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0]) //nolint:gosec // G204: ourselves
	cmd.Env = append(os.Environ(), "TEST_MESH_ATTACHED="+home, "TEST_MESH_BIN="+binaries)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "up\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	m, err := Open(home)
	if err != nil {
		t.Fatal(err)
	}
	if live := m.live(); len(live) != 3 {
		t.Fatalf("running: %v", live)
	}
	if _, err := Up(ctx, Options{Home: home, Bin: binaries}); !errors.Is(err, ErrRunning) {
		t.Errorf("up beside it: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait()
	if left := awaitEnd(m.State().Processes, 10*time.Second); len(left) > 0 {
		t.Errorf("survived: %v", left)
		_ = stop(left, syscall.SIGKILL)
	}
}

func attached(home string) int {
	_, err := Up(context.Background(), Options{Home: home, Bin: os.Getenv("TEST_MESH_BIN"), Attached: true, Coordinators: 1, Workers: 1})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("up")
	select {}
}

func TestProcessIsToldApartFromALaterOneOfTheSameID(t *testing.T) {
	started, executable, ok := inspect(os.Getpid())
	if !ok {
		t.Fatal("cannot see this process")
	}
	self := Process{Name: "self", PID: os.Getpid(), Started: started, Executable: executable}
	if !self.Running() {
		t.Error("does not see itself")
	}
	earlier, other := self, self
	earlier.Started--
	other.Executable = "/bin/true"
	for _, p := range []Process{earlier, other} {
		if p.Running() {
			t.Errorf("took this process for %+v", p)
		}
		if err := p.signal(syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
}
