package storage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
)

// server is an object store as a process of its own.
type server struct {
	t       *testing.T
	program string
	args    []string
	env     []string
	address string
	lazy    bool // it writes to disk after it has answered
	cmd     *exec.Cmd
}

func newServer(t *testing.T, variable string) *server {
	t.Helper()
	program := os.Getenv(variable)
	if program == "" {
		t.Skipf("%s names no program; `make stores` does", variable)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return &server{t: t, program: program, address: l.Addr().String()}
}

// start runs the program until it listens.
func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command(s.program, s.args...) //nolint:gosec // what `make stores` installed
	s.cmd.Env = append(os.Environ(), s.env...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.stop)
	for range 600 {
		c, err := net.DialTimeout("tcp", s.address, time.Second)
		if err == nil {
			_ = c.Close()
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	s.t.Fatalf("%s does not listen", s.program)
}

// stop kills it, as a machine that fails does; one that keeps what it was given in memory for a while is asked to end.
func (s *server) stop() {
	if s.cmd == nil {
		return
	}
	signal := os.Kill
	if s.lazy {
		signal = os.Interrupt
	}
	_ = s.cmd.Process.Signal(signal)
	_ = s.cmd.Wait() // it was killed
	s.cmd = nil
}

// TestVersityGateway speaks S3 with a server that others use.
func TestVersityGateway(t *testing.T) {
	s := newServer(t, "CONCORDAT_TEST_VERSITYGW")
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "room"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "testtest")
	s.args = []string{"--access", "test", "--secret", "testtest", "--port", s.address, "posix", dir}
	s.start()
	s.check("s3://room?region=us-east-1&use_path_style=true&endpoint=http://" + s.address)
}

// TestAzurite speaks with Microsoft's own emulator of Azure.
func TestAzurite(t *testing.T) {
	s := newServer(t, "CONCORDAT_TEST_AZURITE")
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("AZURE_STORAGE_ACCOUNT", "devstoreaccount1")
	t.Setenv("AZURE_STORAGE_KEY", "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==") // the emulator's, as it is published
	s.args = []string{"--blobHost", host, "--blobPort", port, "--location", t.TempDir(), "--silent", "--skipApiVersionCheck", "--disableTelemetry"}
	s.lazy = true
	s.start()
	address := fmt.Sprintf("azblob://room?protocol=http&domain=%s&localemu=true", s.address)
	store, err := Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	var c *container.Client
	if !store.bucket.As(&c) {
		t.Fatal("no client of Azure")
	}
	if _, err := c.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	s.check(address)
}

// check has the store do all that is asked of one, and then dies under it and comes back.
func (s *server) check(address string) {
	t := s.t
	store, err := Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	checkStore(t, store)
	here := room(t)
	here.store = store
	sealed := here.seal(t, 5000, 2000)
	if rows, err := here.read(t, sealed); err != nil || rows != 5000 {
		t.Errorf("%d rows, %v", rows, err)
	}
	s.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := store.Get(ctx, sealed.Objects[0], 1<<30); !errors.Is(err, ErrAway) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a store that is gone: %v", err)
	}
	s.start()
	if rows, err := here.read(t, sealed); err != nil || rows != 5000 {
		t.Errorf("a store that came back: %d rows, %v", rows, err)
	}
	if err := store.Delete(t.Context(), sealed.Objects...); err != nil {
		t.Error(err)
	}
}
