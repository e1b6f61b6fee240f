package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"concordat.dev/ui/client"
	"connectrpc.com/connect"
)

// Ran is what one run of `concordat` gave.
type Ran struct {
	Out, Err string
	Code     int
	Memory   int64 // bytes that were resident at most
}

// Command runs the binary `concordat` of a folder with a home, as a script would: without a terminal and without its variables.
func Command(tb testing.TB, bin, home string, args ...string) Ran {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), filepath.Join(bin, "concordat"), append(args, "--home", home)...) //nolint:gosec // G204: our binary
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()}
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		tb.Fatal(err)
	}
	ran := Ran{Out: out.String(), Err: said.String(), Code: cmd.ProcessState.ExitCode()}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		ran.Memory = usage.Maxrss << 10 // getrusage(2): kilobytes
	}
	return ran
}

// fetched is one call that has to succeed.
func fetched[Request, Response any](tb testing.TB, c *client.Client, request *Request,
	method func(client.Services, context.Context, *connect.Request[Request]) (*connect.Response[Response], error),
) *Response {
	tb.Helper()
	response, err := client.Unary(tb.Context(), c, request, method)
	if err != nil {
		tb.Fatal(err)
	}
	return response
}

// told is what a call says, word for word, or why it does not.
func told[Request, Response any](tb testing.TB, c *client.Client, request *Request,
	method func(client.Services, context.Context, *connect.Request[Request]) (*connect.Response[Response], error),
) string {
	tb.Helper()
	response, err := client.Unary(tb.Context(), c, request, method)
	if connect.IsWireError(err) {
		return err.Error()
	}
	if err != nil {
		tb.Fatal(err)
	}
	text, err := json.Marshal(response)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}
