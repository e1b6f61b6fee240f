// Package cli is the command `concordat`: what organisations, analysts and auditors do from a terminal or a script.
//
// Invariant: exit codes are 0 done, 1 failed, 2 usage, 3 refused; results go to standard output, everything said about them to
// standard error; no command asks a question when its input is not a terminal.
//
// Sees: metadata, released aggregates, and, in `dataset upload`, the plaintext rows that it encrypts
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// The exit codes that scripts rely on.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3
)

// Streams are the standard streams of one run.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// exitError ends a command with a code. A nil cause means that everything has been said already.
type exitError struct {
	code  int
	cause error
}

func (e *exitError) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.cause.Error()
}

func (e *exitError) Unwrap() error { return e.cause }

// usagef is an error in how the command was called.
func usagef(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// silent ends the command with a code, when its output said why.
func silent(code int) error { return &exitError{code: code} }

// app is one run of the command: streams and what the persistent flags said.
type app struct {
	Streams
	home          string
	keyFile       string
	coordinators  []string
	rootDigest    string
	collaboration string
}

// Run executes the command line and returns its exit code.
func Run(ctx context.Context, args []string, streams Streams) int {
	out := &sink{w: streams.Out}
	streams.Out, streams.Err = out, &screen{w: streams.Err}
	if terminal(out) {
		streams.Out = &screen{w: out}
	}
	a := &app{Streams: streams}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	err := root.ExecuteContext(ctx)
	if out.err != nil {
		err = fmt.Errorf("write standard output: %w", out.err)
	}
	if err == nil {
		return exitDone
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	code := exitFailed
	if exit := (*exitError)(nil); errors.As(err, &exit) {
		code = exit.code
		if exit.cause == nil {
			return code
		}
	}
	if connect.CodeOf(err) == connect.CodeUnauthenticated {
		err = fmt.Errorf("%w\nthe mesh knows the keys of founders, and of people and participants that a manifest names: is --key the right one?", err)
	}
	if connect.CodeOf(err) == connect.CodeUnimplemented {
		err = fmt.Errorf("%w\nthe coordinator does not offer this: it waits to join or for a recovery, which 'concordat status' says, or it is of another version", err)
	}
	for i, line := range strings.Split(strings.TrimRight(err.Error(), "\n"), "\n") {
		if i == 0 && !strings.HasPrefix(line, "concordat ") {
			line = "concordat: " + strings.TrimPrefix(line, "concordat: ")
		}
		fmt.Fprintln(streams.Err, line)
	}
	if code == exitUsage {
		fmt.Fprintln(streams.Err, "see 'concordat --help' or 'concordat COMMAND --help'")
	}
	return code
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "concordat",
		Short: "A data clean room that organisations run themselves",
		Long: `Concordat joins the datasets of several organisations under policies that each owner signed.
Only aggregates leave, each with a receipt that anyone can verify offline.

Exit codes: 0 done, 1 failed, 2 usage, 3 refused.
In simulation mode (no SGX) nothing is protected from the host; every command that shows data says so.`,
		Example: lines("concordat demo", "concordat up", "concordat sandbox --manifest room --data clinic.patients=patients.csv --sql 'SELECT …'",
			"concordat query 'SELECT male, count(DISTINCT id) AS patients FROM clinic.patients GROUP BY male'"),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE:          group,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usagef("%s: %w", c.CommandPath(), err) })
	flags := root.PersistentFlags()
	flags.StringVar(&a.home, "home", envOr("CONCORDAT_HOME", ".concordat"), "folder of keys, mesh state and receipts (or CONCORDAT_HOME)")
	flags.StringVar(&a.keyFile, "key", os.Getenv("CONCORDAT_KEY"), "key that signs: a file, or a name in HOME/keys (or CONCORDAT_KEY; default: the key in HOME/keys)")
	flags.StringArrayVar(&a.coordinators, "coordinator", nil, "address HOST:PORT of a coordinator, repeatable (default: those of HOME/mesh.json)")
	flags.StringVar(&a.rootDigest, "root", "", "digest sha256:… of MarbleRun's root certificate to pin (default: that of HOME/mesh.json)")
	flags.StringVarP(&a.collaboration, "collaboration", "c", os.Getenv("CONCORDAT_COLLABORATION"), "collaboration (default: the only one of the mesh)")

	root.AddGroup(
		&cobra.Group{ID: "mesh", Title: "Mesh:"},
		&cobra.Group{ID: "documents", Title: "Documents and data:"},
		&cobra.Group{ID: "analysis", Title: "Analysis:"},
		&cobra.Group{ID: "audit", Title: "Audit:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("mesh", a.upCommand(), a.downCommand(), a.statusCommand(), a.demoCommand(), a.meshCommand(), a.nodeCommand(), a.versionCommand())
	add("documents", a.keyCommand(), a.manifestCommand(), a.policyCommand(), a.datasetCommand())
	add("analysis", a.webCommand(), a.tokenCommand(), a.sandboxCommand(), a.queryCommand(), a.historyCommand(), a.budgetCommand())
	add("audit", a.receiptCommand(), a.logCommand(), a.witnessCommand())
	usageErrors(root)
	return root
}

// group answers a command that only holds others.
func group(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s: unknown command %q%s", c.CommandPath(), args[0], suggestions(c, args[0]))
	}
	return c.Help()
}

func suggestions(c *cobra.Command, arg string) string {
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(arg); len(near) > 0 {
		return fmt.Sprintf(", did you mean %q?", near[0])
	}
	return ""
}

// usageErrors makes wrong arguments of every command end with the usage code, and turns a bare group into its help.
func usageErrors(c *cobra.Command) {
	if c.HasSubCommands() && c.RunE == nil {
		c.Args, c.RunE = cobra.ArbitraryArgs, group
	}
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usagef("%s: %w\nusage: %s", c.CommandPath(), err, c.UseLine())
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		usageErrors(sub)
	}
}

// sink remembers the first error of writing to standard output: a result that was cut off is no success, whoever printed it.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(b []byte) (int, error) {
	n, err := s.w.Write(b)
	if err != nil && s.err == nil {
		s.err = err
	}
	return n, err
}

// Fd tells of the file below, if there is one.
func (s *sink) Fd() uintptr {
	if file, ok := s.w.(interface{ Fd() uintptr }); ok {
		return file.Fd()
	}
	return ^uintptr(0)
}

// terminal says whether w is a terminal.
func terminal(stream any) bool {
	file, ok := stream.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(file.Fd()))
}

func envOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// say writes a line about what happens to standard error.
func (a *app) say(format string, args ...any) { fmt.Fprintf(a.Err, format+"\n", args...) }

// lines joins examples for help texts.
func lines(examples ...string) string { return "  " + strings.Join(examples, "\n  ") }
