package mesh

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// logTail is how much of a process's log an error shows.
const logTail = 2 << 10

// Process is one process of the mesh, told apart from a later one of the same id by when it started.
type Process struct {
	Name       string `json:"name"`
	PID        int    `json:"pid"`
	Started    uint64 `json:"started"` // clock ticks since boot (proc(5), stat, starttime)
	Executable string `json:"executable"`
	Log        string `json:"log"`
}

// Running says whether this very process still runs.
func (p Process) Running() bool {
	started, executable, ok := inspect(p.PID)
	return ok && started == p.Started && (executable == "" || strings.TrimSuffix(executable, " (deleted)") == p.Executable) // "": it is ending
}

// signal sends sig if the process still runs.
func (p Process) signal(sig syscall.Signal) error {
	if !p.Running() {
		return nil
	}
	if err := syscall.Kill(p.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("mesh: end %s (process %d): %w", p.Name, p.PID, err)
	}
	return nil
}

// child is a process that this one started.
type child struct {
	Process
	ended chan struct{} // closed after err is set
	err   error
}

// starter starts processes from one thread that lives as long as this process: the kernel delivers the death signal of a child
// when the thread that made it ends, not the process (prctl(2), PR_SET_PDEATHSIG).
type starter struct{ work chan func() }

func newStarter() *starter {
	s := &starter{work: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for f := range s.work {
			f()
		}
	}()
	return s
}

func (s *starter) start(cmd *exec.Cmd) error {
	done := make(chan error)
	s.work <- func() { done <- cmd.Start() }
	return <-done
}

// program is what it takes to start a process again.
type program struct {
	name       string
	executable string
	args       []string
	env        []string
}

// launch starts a program with its log in its own folder, and records it in mesh.json.
func (m *Mesh) launch(p program) (*child, error) {
	logFile := m.path(p.name, p.name+".log")
	if err := os.MkdirAll(filepath.Dir(logFile), 0o700); err != nil {
		return nil, fmt.Errorf("mesh: start %s: %w", p.name, err)
	}
	out, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // G304: below home
	if err != nil {
		return nil, fmt.Errorf("mesh: start %s: %w", p.name, err)
	}
	defer func() { _ = out.Close() }()
	executable, err := filepath.EvalSymlinks(filepath.Join(m.bin, p.executable))
	if err != nil {
		return nil, fmt.Errorf("mesh: start %s: %w", p.name, err)
	}
	cmd := exec.Command(executable, p.args...) //nolint:gosec,noctx // G204: our own binaries; they outlive any context here, Down ends them
	cmd.Dir, cmd.Stdout, cmd.Stderr = filepath.Dir(logFile), out, out
	cmd.Env = append(environment(), p.env...)
	cmd.SysProcAttr = attributes(m.options.Attached)
	if err := m.started.start(cmd); err != nil {
		return nil, fmt.Errorf("mesh: start %s: %w", p.name, err)
	}
	c := &child{ended: make(chan struct{})}
	started, _, _ := inspect(cmd.Process.Pid) // ours until Wait, so it is there
	c.Process = Process{Name: p.name, PID: cmd.Process.Pid, Started: started, Executable: executable, Log: logFile}
	go func() {
		c.err = cmd.Wait()
		close(c.ended)
	}()
	m.mu.Lock()
	m.running[p.name] = c
	m.mu.Unlock()
	return c, m.update(func(s *State) {
		s.Processes = append(slices.DeleteFunc(s.Processes, func(q Process) bool { return q.Name == p.name }), c.Process)
	})
}

// environment is ours without what would configure MarbleRun and its marbles.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "EDG_") || strings.HasPrefix(kv, "MARBLE_PREDEFINED_")
	})
}

// check is an error when a child of ours has ended.
func (c *child) check() error {
	select {
	case <-c.ended:
		return fmt.Errorf("%w: %s: %w; the end of %s:\n%s", ErrProcess, c.Name, exit(c.err), c.Log, tail(c.Log))
	default:
		return nil
	}
}

func exit(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

func tail(file string) string {
	f, err := os.Open(file) //nolint:gosec // G304: below home
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err.Error()
	}
	b := make([]byte, min(info.Size(), logTail))
	n, _ := f.ReadAt(b, info.Size()-int64(len(b)))
	return strings.TrimSpace(string(b[:n]))
}

// How long processes may take to end in order, and after SIGKILL.
const (
	graceTerm = 15 * time.Second
	graceKill = 5 * time.Second
	pollEvery = 50 * time.Millisecond
)

// stop ends processes together: SIGTERM, and SIGKILL for those that stay.
func stop(processes []Process, first syscall.Signal) error {
	var errs []error
	for _, p := range processes {
		errs = append(errs, p.signal(first))
	}
	left := awaitEnd(processes, graceTerm)
	for _, p := range left {
		errs = append(errs, p.signal(syscall.SIGKILL))
	}
	for _, p := range awaitEnd(left, graceKill) {
		errs = append(errs, fmt.Errorf("mesh: %s (process %d) does not end", p.Name, p.PID))
	}
	return errors.Join(errs...)
}

func awaitEnd(processes []Process, grace time.Duration) []Process {
	for end := time.Now().Add(grace); ; time.Sleep(pollEvery) {
		processes = slices.DeleteFunc(slices.Clone(processes), func(p Process) bool { return !p.Running() })
		if len(processes) == 0 || time.Now().After(end) {
			return processes
		}
	}
}
