package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/ui/cli"
	"concordat.dev/ui/client/clienttest"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"concordat": func() {
			os.Exit(cli.Run(context.Background(), os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
		},
		// A worker whose sandbox shows how it was called and prints the answers that the script put into answers.json.
		"concordat-worker": func() {
			for _, arg := range os.Args[1:] {
				fmt.Fprintf(os.Stderr, "worker got %s\n", arg)
			}
			answers, err := os.ReadFile("answers.json")
			if err != nil {
				os.Exit(1)
			}
			fmt.Print(string(answers))
			if strings.Contains(string(answers), `"refused"`) {
				os.Exit(3)
			}
		},
	})
}

// Scripts that need a coordinator say `mesh`: a fake one starts, and COORDINATOR, ROOT and the room's pins are set.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("REWRITE") != "",
		Setup: func(e *testscript.Env) error {
			room, err := filepath.Abs("../demo/room")
			e.Setenv("ROOM", room)
			return errors.Join(err, writeVectors(e))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"mesh": startMesh, "exits": exits},
	})
}

// writeVectors unpacks the receipts that all languages verify: receipts/N.json, and the trusted digest as DIGEST_N.
func writeVectors(e *testscript.Env) error {
	raw, err := os.ReadFile("../../protocol/testdata/receipt.json")
	if err != nil {
		return err
	}
	var vectors []struct {
		Receipt  string
		Manifest string
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(e.WorkDir, "receipts"), 0o700); err != nil {
		return err
	}
	for i, v := range vectors {
		e.Setenv("DIGEST_"+strconv.Itoa(i), v.Manifest)
		if err := os.WriteFile(filepath.Join(e.WorkDir, "receipts", strconv.Itoa(i)+".json"), []byte(v.Receipt+"\n"), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func startMesh(ts *testscript.TestScript, _ bool, _ []string) {
	t := script{T: ts}
	c := clienttest.New(t)
	c.Answer = func(r *concordatv1.QueryRequest) ([]byte, []byte, error) {
		name := "released.json"
		if strings.Contains(r.GetSql(), "id = ") {
			name = "refused.json"
		}
		if r.GetExplain() {
			name = "explained.json"
		}
		return []byte(strings.TrimSpace(ts.ReadFile(name))), []byte(`{"receipt":"test"}`), nil
	}
	for _, list := range []string{"budget", "history"} {
		if _, err := os.Stat(ts.MkAbs(list + ".json")); err == nil {
			c.Lists[list] = ts.ReadFile(list + ".json")
		}
	}
	ts.Setenv("COORDINATOR", c.Address())
	ts.Setenv("ROOT", c.Root().String())
}

// exits CODE COMMAND ARGS… runs a command and checks its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS…")
	}
	code := "0"
	if exit := (*exec.ExitError)(nil); errors.As(ts.Exec(args[1], args[2:]...), &exit) {
		code = strconv.Itoa(exit.ExitCode())
	}
	if code != args[0] {
		ts.Fatalf("exit code %s, want %s", code, args[0])
	}
}

// script lets test support that wants a testing.TB run inside a script.
type script struct {
	testing.TB
	T *testscript.TestScript
}

func (s script) Helper()                      {}
func (s script) Fatal(args ...any)            { s.T.Fatalf("%v", args) }
func (s script) Fatalf(f string, args ...any) { s.T.Fatalf(f, args...) }
func (s script) Cleanup(f func())             { s.T.Defer(f) }
