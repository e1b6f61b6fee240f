package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"concordat.dev/protocol/key"
	"concordat.dev/ui/mesh"
)

// Config says how the demo runs.
type Config struct {
	Home string
	Once bool // end after the study; else stay up until ctx ends
	Port int  // first of consecutive ports, 0: free ones
	Out  io.Writer
	// Command is one run of `concordat` with these arguments and streams; it returns the exit code.
	Command func(ctx context.Context, out, err io.Writer, args ...string) int
}

// run is one run of the demo.
type run struct {
	Config
	started time.Time
	issuers string // base of their URLs
}

// Run starts a mesh, sets the collaboration up, runs its study and verifies its receipts. What a run before has done is kept: the same
// mesh, manifest and datasets, whose answers are then the same and free. All processes end with it.
func Run(ctx context.Context, cfg Config) (err error) {
	r := &run{Config: cfg, started: time.Now()}
	keys, err := r.keys()
	if err != nil {
		return err
	}
	if m, err := mesh.Open(r.Home); err == nil && m.State().Elsewhere {
		return r.elsewhere(ctx, m.State(), keys)
	}
	r.heading("A mesh on this machine: MarbleRun, three coordinators, two workers")
	people, err := openPeople(r.path("demo", "people.json"), r.Port)
	if err != nil {
		return err
	}
	r.issuers = people.base()
	m, err := mesh.Up(ctx, mesh.Options{
		SignIn: people.signIn(r.path("demo", "client-secret")),
		Home:   r.Home, Attached: true, Port: r.Port, Founders: []string{keys[Organisations[0].ID]},
		Progress: func(step string) { r.say("%s", step) },
	})
	if errors.Is(err, mesh.ErrChanged) {
		return fmt.Errorf("%w\nthe demo's mesh may be given up: 'concordat down --wipe', then start again", err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Down()) }()
	r.say("ready; SIMULATION: no enclave hardware, nothing here is protected from this host")

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if !r.Once {
		if err := people.serve(ctx, m.State(), cancel); err != nil {
			return err
		}
	}
	died := make(chan error, 1)
	go func() {
		failure := m.Wait(ctx)
		if failure != nil {
			cancel(failure)
		}
		died <- failure
	}()
	if err := r.steps(ctx, keys); err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
			return cause
		}
		return err
	}
	r.next(m.State())
	if r.Once {
		return nil
	}
	fmt.Fprintln(r.Out, "\nThe mesh stays up. Ctrl-C ends it.")
	return <-died
}

// steps are the whole demo, on a mesh that is up.
func (r *run) steps(ctx context.Context, keys map[string]string) error {
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return r.agree(ctx, keys) },
		r.upload, r.study, r.receipts, r.refusal, r.budget,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// elsewhere runs the demo on a mesh whose processes other means run, such as docker-compose.yml, and leaves it up. Nobody signs in on its pages.
func (r *run) elsewhere(ctx context.Context, s mesh.State, keys map[string]string) error {
	r.heading(fmt.Sprintf("A mesh that runs elsewhere: coordinators at %s and %d more", s.Coordinators[0].API, len(s.Coordinators)-1))
	r.say("SIMULATION: no enclave hardware, nothing there is protected from its hosts")
	if err := r.steps(ctx, keys); err != nil {
		return fmt.Errorf("%w\nits founder has to be the key of %s in %s", err, Organisations[0].ID, r.keyFile(Organisations[0].ID))
	}
	r.heading(fmt.Sprintf("Done in %s", time.Since(r.started).Round(100*time.Millisecond)))
	return nil
}

func (r *run) heading(text string) { fmt.Fprintf(r.Out, "\n== %s\n", text) }

func (r *run) say(format string, args ...any) {
	fmt.Fprintf(r.Out, "%7s  %s\n", time.Since(r.started).Round(100*time.Millisecond), fmt.Sprintf(format, args...))
}

func (r *run) path(elem ...string) string { return filepath.Join(append([]string{r.Home}, elem...)...) }

func (r *run) keyFile(name string) string { return r.path("keys", name+".key") }

// keys makes the keys that are missing and returns all public ones by name. The analyst's becomes the default key of the home.
func (r *run) keys() (map[string]string, error) {
	public := map[string]string{}
	names := []string{Analyst, Auditor}
	for _, o := range Organisations {
		names = append(names, o.ID, o.Steward)
	}
	if err := os.MkdirAll(r.path("keys"), 0o700); err != nil {
		return nil, fmt.Errorf("make keys: %w", err)
	}
	for _, name := range names {
		k, err := key.Load(r.keyFile(name))
		if errors.Is(err, os.ErrNotExist) {
			if k, err = key.Generate(); err == nil {
				err = k.Save(r.keyFile(name))
			}
		}
		if err != nil {
			return nil, fmt.Errorf("make keys: %w", err)
		}
		public[name] = k.Public().String()
	}
	err := os.Symlink(Analyst+".key", r.keyFile("default"))
	if err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("make keys: %w", err)
	}
	return public, nil
}

// quiet runs a command, hides what it says and returns its output; what it said becomes the error where it fails.
func (r *run) quiet(ctx context.Context, args ...string) ([]byte, error) {
	var out, said bytes.Buffer
	if code := r.Command(ctx, &out, &said, append(args, "--home", r.Home)...); code != 0 {
		return nil, fmt.Errorf("concordat %s: exit code %d\n%s%s", strings.Join(args, " "), code, out.String(), said.String())
	}
	return out.Bytes(), nil
}

// agree has the manifest proposed and signed by all three, unless they did so in a run before.
func (r *run) agree(ctx context.Context, keys map[string]string) error {
	r.heading("Three organisations agree: manifest and policies in " + r.path("demo", "room"))
	room := r.path("demo", "room")
	if err := WriteWebRoom(room, keys, r.issuers); err != nil {
		return err
	}
	founder := r.keyFile(Organisations[0].ID)
	var status struct{ State string }
	if raw, err := r.quiet(ctx, "manifest", "status", "-c", Collaboration, "--format", "json", "--key", founder); err == nil {
		if err := json.Unmarshal(raw, &status); err != nil {
			return fmt.Errorf("read the manifest's status: %w", err)
		}
	}
	if status.State == "active" {
		_, err := r.quiet(ctx, "manifest", "pin", room)
		r.say("signed by all in an earlier run, active")
		return err
	}
	if status.State == "" {
		if _, err := r.quiet(ctx, "manifest", "propose", room, "--pin", "--key", founder); err != nil {
			return err
		}
		r.say("proposed by %s", Organisations[0].ID)
	}
	for _, o := range Organisations {
		if _, err := r.quiet(ctx, "manifest", "sign", "-c", Collaboration, "--dir", room, "--yes", "--key", r.keyFile(o.ID)); err != nil {
			return err
		}
		r.say("signed by %s", o.ID)
	}
	return nil
}

// upload has each steward hand in the dataset of the organisation, unless a run before did.
func (r *run) upload(ctx context.Context) error {
	r.heading("Each organisation uploads its data, encrypted to the workers")
	data, err := WriteData(r.path("demo", "data"))
	if err != nil {
		return err
	}
	for _, o := range Organisations {
		versions, err := r.quiet(ctx, "dataset", "versions", o.Dataset, "-c", Collaboration, "--format", "json", "--key", r.keyFile(o.Steward))
		if err != nil {
			return err
		}
		var known []struct{ State string }
		if err := json.Unmarshal(versions, &known); err != nil {
			return fmt.Errorf("read the versions of %s: %w", o.Dataset, err)
		}
		if slices.ContainsFunc(known, func(v struct{ State string }) bool { return v.State == "current" }) {
			r.say("%s is there from an earlier run", o.Dataset)
			continue
		}
		report, err := r.quiet(ctx, "dataset", "upload", o.Dataset, data[o.Dataset], "-c", Collaboration, "--key", r.keyFile(o.Steward))
		if err != nil {
			return err
		}
		first, _, _ := strings.Cut(string(report), "\n")
		r.say("%s", first)
	}
	return nil
}

func (r *run) study(ctx context.Context) error {
	questions, err := Study()
	if err != nil {
		return err
	}
	r.heading(fmt.Sprintf("The study: %d questions of %s@clinic.example", len(questions), Analyst))
	for i, q := range questions {
		fmt.Fprintf(r.Out, "\n-- %d. %s\n%s\n\n", i+1, q.Title, q.SQL)
		if err := r.ask(ctx, q, 0); err != nil {
			return err
		}
	}
	return nil
}

// ask runs a query as the analyst and prints what it gives; any other exit code than want is an error.
func (r *run) ask(ctx context.Context, q Query, want int) error {
	var said bytes.Buffer
	code := r.Command(ctx, r.Out, &said, "query", "-c", Collaboration, "--key", r.keyFile(Analyst), "--home", r.Home, q.SQL)
	if code != want {
		return fmt.Errorf("%s: exit code %d, not %d\n%s", q.Name, code, want, said.String())
	}
	return nil
}

func (r *run) receipts(ctx context.Context) error {
	r.heading("Every receipt is verified offline, from the file and the signed manifest alone")
	files, err := filepath.Glob(r.path("receipts", "*.json"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return errors.New("the study left no receipts")
	}
	for _, file := range files {
		verified, err := r.quiet(ctx, "receipt", "verify", file, "--manifest", r.path("demo", "room"))
		if err != nil {
			return err
		}
		mode, rest, _ := strings.Cut(string(verified), "\n") // then the verdict, then every check
		verdict, _, _ := strings.Cut(rest, "\n")
		r.say("%s (%s)", verdict, mode)
	}
	return nil
}

func (r *run) refusal(ctx context.Context) error {
	r.heading("What the policies do not allow is refused, with every reason")
	questions, err := Refused()
	if err != nil {
		return err
	}
	for _, q := range questions {
		fmt.Fprintf(r.Out, "\n-- %s\n%s\n\n", q.Title, q.SQL)
		if err := r.ask(ctx, q, 3); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) budget(ctx context.Context) error {
	r.heading("What the study has cost")
	table, err := r.quiet(ctx, "budget", "-c", Collaboration, "--key", r.keyFile(Analyst))
	if err != nil {
		return err
	}
	_, err = r.Out.Write(table)
	return err
}

func (r *run) next(s mesh.State) {
	r.heading(fmt.Sprintf("Done in %s", time.Since(r.started).Round(100*time.Millisecond)))
	for _, c := range s.Coordinators {
		fmt.Fprintf(r.Out, "%-15s https://%s\n", c.Name, c.API)
	}
	if !r.Once {
		fmt.Fprintf(r.Out, "%-15s %s\n", "pages", s.Coordinators[0].Page())
		fmt.Fprintln(r.Out, "                hosted by a coordinator: they trust its host, and the certificate is the mesh's own, which browsers do not know. One click\n"+
			"                signs in as a made-up person. Stewards and auditors use 'concordat web' (below), which checks the mesh itself.")
	}
	fmt.Fprintf(r.Out, "%-15s https://%s\n", "marblerun", s.MarbleRun.Clients)
	home := ""
	if r.Home != ".concordat" {
		home = " --home " + r.Home
	}
	up := ""
	if r.Once {
		up = "\n  concordat up" + home + "                  # the mesh again, with all of this"
	}
	fmt.Fprintf(r.Out, `
Next, in another terminal (bin/ in the PATH):%[2]s
  concordat status%[1]s
  concordat query%[1]s 'SELECT status, count(DISTINCT id) AS patients FROM clinic.patients GROUP BY status'
  concordat query%[1]s --explain --format json 'SELECT avg(bmi) AS bmi FROM clinic.patients'
  concordat policy explain clinic.patients%[1]s
  concordat manifest status%[1]s
  concordat log verify%[1]s --key %[3]s
  concordat web%[1]s --key %[4]s
`, home, up, r.keyFile(Auditor), r.keyFile(Organisations[0].Steward))
}
