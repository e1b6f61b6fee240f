package sandbox

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/document"
	"concordat.dev/worker/engine"
)

// Exit codes of the command line: 0 done, 1 failed, 2 usage, 3 refused.
const (
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3
)

// many is a flag that may be repeated.
type many []string

func (m *many) String() string     { return strings.Join(*m, " ") }
func (m *many) Set(s string) error { *m = append(*m, s); return nil }

type options struct {
	manifest, file, format string
	data, sql              many
	rho                    float64
	explain                bool
	memory                 string
	threads                int
}

// Main is `concordat-worker sandbox`: one JSON answer a line, in the order of the queries. It returns the exit code.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "sandbox:", err)
		return exitUsage
	}
	code, err := o.run(ctx, stdin, stdout, stderr)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "sandbox:", err)
	}
	return code
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("concordat-worker sandbox", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.manifest, "manifest", "", "folder of manifest.yaml and policies; keys, people and mesh may be missing")
	f.Var(&o.data, "data", "DATASET=FILE, repeatable")
	f.Var(&o.sql, "sql", "a query, repeatable")
	f.StringVar(&o.file, "file", "", "file that holds a query; without --sql and --file the query comes from standard input")
	f.Float64Var(&o.rho, "rho", 0, "rho of each aggregate, at most what the policies say; 0: what they say")
	f.BoolVar(&o.explain, "explain", false, "judge and price only")
	f.StringVar(&o.format, "format", "json", "json; other formats are those of `concordat sandbox`")
	f.StringVar(&o.memory, "memory", "", "the engine's memory, such as 4GB")
	f.IntVar(&o.threads, "threads", 0, "the engine's threads; 0: one a core")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case o.manifest == "":
		return o, errors.New("--manifest DIR is missing: the folder of manifest.yaml and policies")
	case o.format != "json":
		return o, fmt.Errorf("--format %s: this binary writes json; `concordat sandbox` writes the others", o.format)
	case o.rho < 0:
		return o, errors.New("--rho is negative")
	case f.NArg() > 0:
		return o, fmt.Errorf("%q is not a flag; queries are given with --sql", f.Arg(0))
	}
	return o, nil
}

func (o options) run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	queries, err := o.queries(stdin)
	if err != nil {
		return exitUsage, err
	}
	bundle, err := document.LoadDir(o.manifest)
	if err != nil {
		return exitFailed, err
	}
	log := zerolog.New(stderr).With().Timestamp().Logger()
	s, err := Open(bundle, engine.Config{Memory: o.memory, Threads: o.threads}, log, time.Now)
	if err != nil {
		return exitFailed, err
	}
	defer func() { _ = s.Close() }()
	for _, d := range o.data {
		dataset, path, ok := strings.Cut(d, "=")
		if !ok || dataset == "" || path == "" {
			return exitUsage, fmt.Errorf("--data %s: write DATASET=FILE", d)
		}
		if err := s.Load(ctx, dataset, path); err != nil {
			return exitFailed, err
		}
	}
	worst := 0
	for _, q := range queries {
		a := s.Query(ctx, q, o.rho, o.explain)
		b, err := a.MarshalJSON()
		if err != nil {
			return exitFailed, err
		}
		if _, err := fmt.Fprintf(stdout, "%s\n", b); err != nil {
			return exitFailed, err
		}
		worst = worse(worst, a.Verdict)
	}
	return worst, nil
}

// worse keeps the worst exit code: a failure is worse than a refusal, which is worse than a release.
func worse(code int, v answer.Verdict) int {
	next := v.ExitCode()
	if code == exitFailed || next == 0 {
		return code
	}
	return next
}

// maxQuery is more than any query may have: longer texts are refused, not cut.
const maxQuery = 1 << 20

func (o options) queries(stdin io.Reader) ([]string, error) {
	queries := append([]string{}, o.sql...)
	if o.file != "" {
		b, err := readLimited(func() (io.ReadCloser, error) { return os.Open(o.file) })
		if err != nil {
			return nil, fmt.Errorf("--file: %w", err)
		}
		queries = append(queries, b)
	}
	if len(queries) == 0 {
		b, err := readLimited(func() (io.ReadCloser, error) { return io.NopCloser(stdin), nil })
		if err != nil {
			return nil, err
		}
		queries = append(queries, b)
	}
	return queries, nil
}

func readLimited(open func() (io.ReadCloser, error)) (string, error) {
	r, err := open()
	if err != nil {
		return "", err
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(io.LimitReader(r, maxQuery))
	return string(b), err
}
