package harness

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Store is an S3-compatible object store (versitygw) as a process of its own, on files below Dir, that a test kills and brings back.
type Store struct {
	Dir     string // of the bucket
	tb      testing.TB
	program string
	address string
	cmd     *exec.Cmd
}

const (
	bucket = "room"
	// user and password of a store that lives as long as its test.
	user, password = "integration", "integration-of-a-test"
)

// NewStore starts a store, whose credentials the processes of a mesh that starts later find in their environment. The test is skipped where `make
// stores` has not installed the program.
func NewStore(t *testing.T) *Store {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(Repository(), ".tools", "versitygw-*", "versitygw"))
	if err != nil || len(found) == 0 {
		t.Skip("versitygw is not installed: `make stores` does")
	}
	root := t.TempDir()
	s := &Store{Dir: filepath.Join(root, bucket), tb: t, program: slices.Max(found)}
	if err := os.Mkdir(s.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", user)
	t.Setenv("AWS_SECRET_ACCESS_KEY", password)
	t.Cleanup(s.Kill)
	s.Start()
	return s
}

// URL is the store as configurations name it, empty where there is none.
func (s *Store) URL() string {
	if s == nil {
		return ""
	}
	return "s3://" + bucket + "?region=us-east-1&use_path_style=true&endpoint=http://" + s.address
}

// Start runs the program until it listens.
func (s *Store) Start() {
	s.tb.Helper()
	if s.cmd != nil {
		return
	}
	s.cmd = exec.Command(s.program, "--access", user, "--secret", password, "--port", s.address, "--quiet", "posix", filepath.Dir(s.Dir)) //nolint:gosec // what `make stores` installed
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		c, err := net.DialTimeout("tcp", s.address, time.Second)
		if err == nil {
			_ = c.Close()
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	s.tb.Fatalf("%s does not listen at %s", s.program, s.address)
}

// Kill ends it as a machine that fails does.
func (s *Store) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait() // it was killed
	s.cmd = nil
}
