package tlog_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/mod/sumdb/tlog"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/witness"
)

// litewitness is torchwood's witness as it is published, run as a process.
type litewitness struct {
	vkey, url, db string
}

const witnessName = "litewitness.example"

// startLitewitness builds and runs it. Its key lies with an SSH agent, as its documentation says; add tells it of a log.
func startLitewitness(t *testing.T) litewitness {
	t.Helper()
	dir, err := os.MkdirTemp("", "lw") // short, for the socket's path
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program, socket := filepath.Join(dir, "litewitness"), filepath.Join(dir, "agent")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "filippo.io/torchwood/cmd/litewitness")
	build.Env = append(os.Environ(), "GOWORK=off") // as this module is built
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build litewitness: %v\n%s", err, out)
	}
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize))
	fingerprint := serveAgent(t, socket, key)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := l.Addr().String()
	must(t, l.Close())
	v, err := witness.NewVerifier(witnessName, seeded(t, 9).Public())
	must(t, err)
	w := litewitness{vkey: v.String(), url: "http://" + address, db: filepath.Join(dir, "litewitness.db")}
	ctx, cancel := context.WithCancel(context.Background())
	process := exec.CommandContext(ctx, program, "-name", witnessName, "-db", w.db, "-ssh-agent", socket, "-listen", address, "-key", fingerprint)
	process.Cancel = func() error { return process.Process.Signal(os.Interrupt) }
	var output bytes.Buffer
	process.Stderr = &output
	must(t, process.Start())
	t.Cleanup(func() {
		cancel()
		_ = process.Wait() // interrupted
		if t.Failed() {
			t.Logf("litewitness says:\n%s", output.String())
		}
	})
	for deadline := time.Now().Add(20 * time.Second); ; {
		res, err := http.Get(w.url + "/")
		if err == nil {
			must(t, res.Body.Close())
			return w
		}
		if time.Now().After(deadline) {
			t.Fatalf("litewitness does not listen: %v", err)
		}
	}
}

func serveAgent(t *testing.T, socket string, key ed25519.PrivateKey) (fingerprint string) {
	t.Helper()
	keys := agent.NewKeyring()
	must(t, keys.Add(agent.AddedKey{PrivateKey: key}))
	l, err := net.Listen("unix", socket)
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				go func() { _ = agent.ServeAgent(keys, conn) }()
			}
		}
	}()
	public, err := ssh.NewPublicKey(key.Public())
	must(t, err)
	return ssh.FingerprintSHA256(public)
}

// add does what `witnessctl add-log` and `add-key` do; that program needs a module that some proxies do not serve.
func (w litewitness) add(t *testing.T, origin, vkey string) {
	t.Helper()
	db, err := sqlite.OpenConn(w.db, 0)
	must(t, err)
	defer func() { must(t, db.Close()) }()
	empty, err := tlog.TreeHash(0, nil)
	must(t, err)
	must(t, sqlitex.Execute(db, "INSERT INTO log (origin, tree_size, tree_hash) VALUES (?, 0, ?)", &sqlitex.ExecOptions{Args: []any{origin, empty.String()}}))
	must(t, sqlitex.Execute(db, "INSERT INTO key (origin, key) VALUES (?, ?)", &sqlitex.ExecOptions{Args: []any{origin, vkey}}))
}

func logKey(t *testing.T) string {
	t.Helper()
	text, err := checkpoint.LogKey(ledgerID, seeded(t, 2).Public())
	must(t, err)
	return text
}
