package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"concordat.dev/protocol/key"
	"concordat.dev/protocol/marble"
	"concordat.dev/ui/mesh"
	"concordat.dev/ui/present"
	"github.com/spf13/cobra"
)

// simulationBanner stands on every screen that shows data, or what a mesh promises, while no hardware protects it.
const simulationBanner = "SIMULATION: no enclave hardware; nothing here is protected from the host it runs on"

func (a *app) banner(mode string) {
	if mode != "sgx" {
		a.say("%s", simulationBanner)
	}
}

func (a *app) upCommand() *cobra.Command {
	var o mesh.Options
	var witnesses []string
	c := &cobra.Command{
		Use:   "up",
		Short: "Start a mesh on this machine; the state is under --home",
		Long: `Starts MarbleRun, coordinators and workers on loopback and waits until they are ready; they run on when this command ends.
A mesh that was set up before comes up again with the same secrets, ledger and addresses, or says what changed.

Founders are the keys that may propose the first manifest: --founder, else all keys in HOME/keys, else a new default key.
Witnesses cosign the ledger's log where a manifest demands them ('concordat witness'): --witness says where each can be asked.

A new build is a new mesh. To go on with the ledger and the data of an old one, start the new one beside it with --succeeds OLDHOME: it waits until
'concordat mesh handover' brings it the ledger.`,
		Example: lines("concordat up", "concordat up --home new --succeeds .concordat", "concordat up --port 7300 --workers 3", `concordat up --founder "$(concordat key show clinic.key)"`),
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.Home = a.home
			var err error
			if o.Witnesses, err = parseWitnesses(witnesses); err != nil {
				return err
			}
			if o.Recover != "" {
				return a.upForRecovery(c.Context(), o)
			}
			return a.up(c.Context(), o)
		},
	}
	flags := c.Flags()
	flags.StringArrayVar(&o.Founders, "founder", nil, "public key that may propose the first manifest, repeatable")
	flags.StringArrayVar(&witnesses, "witness", nil, "VERIFIERKEY=URL of a witness, repeatable (default: those of before)")
	flags.IntVar(&o.Coordinators, "coordinators", 3, "how many coordinators a new mesh gets")
	flags.IntVar(&o.Workers, "workers", 2, "how many workers a new mesh gets")
	flags.IntVar(&o.Port, "port", 0, "first of consecutive ports of a new mesh, 0: free ones")
	flags.StringVar(&o.ObjectStore, "object-store", "", "URL of the object store of a new mesh: file, s3 or azblob (default: a folder under HOME)")
	flags.StringVar(&o.Succeeds, "succeeds", "", "home of a mesh whose ledger a new mesh waits to take over ('concordat mesh handover')")
	flags.StringVar(&o.Recover, "recover", "", "name of the coordinator that waits for 'concordat node recover', from its disk or a backup; the others start empty")
	flags.DurationVar(&o.Timeout, "timeout", 2*time.Minute, "how long all of it may take to be ready")
	return c
}

func (a *app) up(ctx context.Context, o mesh.Options) error {
	for _, f := range o.Founders {
		if _, err := key.ParsePublic(f); err != nil {
			return usagef("up: --founder: %w", err)
		}
	}
	if len(o.Founders) == 0 && o.Succeeds == "" {
		founders, err := a.founders()
		if err != nil {
			return err
		}
		o.Founders = founders
	}
	started := time.Now()
	o.Progress = func(step string) { a.say("%6s  %s", elapsed(started), step) }
	m, err := mesh.Up(ctx, o)
	if err != nil {
		return err
	}
	a.say("%6s  ready", elapsed(started))
	a.banner(m.State().Mode)
	a.addresses(m.State())
	if s := m.State(); s.Succeeds != "" && s.Ledger == "" {
		a.say("it waits for the ledger of %s. next: 'concordat mesh handover --home %s --to %s --draft DIR'", s.Succeeds, s.Succeeds, m.Home())
		return nil
	}
	a.say("next: 'concordat status', 'concordat manifest propose DIR --pin', 'concordat down'")
	return nil
}

// founders are all keys of the home; nil, which keeps those of before, where a mesh has some already.
func (a *app) founders() ([]string, error) {
	if m, err := mesh.Open(a.home); err == nil && len(m.State().Founders) > 0 {
		return nil, nil
	}
	files, err := filepath.Glob(filepath.Join(a.home, keyFolder, "*"+keyEnding))
	if err != nil {
		return nil, fmt.Errorf("look for keys: %w", err)
	}
	if len(files) == 0 {
		file := filepath.Join(a.home, keyFolder, defaultKey+keyEnding)
		if err := a.newKey(file); err != nil {
			return nil, err
		}
		files = []string{file}
	}
	var founders []string
	for _, file := range files {
		k, err := key.Load(file)
		if err != nil {
			return nil, err
		}
		founders = append(founders, k.Public().String())
	}
	return founders, nil
}

func (a *app) addresses(s mesh.State) {
	for _, c := range s.Coordinators {
		fmt.Fprintf(a.Out, "%-16s https://%s\n", c.Name, c.API)
	}
	fmt.Fprintf(a.Out, "%-16s https://%s\n", "marblerun", s.MarbleRun.Clients)
	fmt.Fprintf(a.Out, "%-16s %s\n", "root to pin", s.RootCertificate)
}

func (a *app) downCommand() *cobra.Command {
	var wipe bool
	c := &cobra.Command{
		Use:     "down",
		Short:   "End the mesh of this machine; its data stays",
		Long:    "Ends all processes of the mesh under --home. With --wipe its state goes too: secrets, and with them all data sealed under them.\nKeys in HOME/keys stay.",
		Example: lines("concordat down", "concordat down --wipe"),
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			m, err := mesh.Open(a.home)
			if errors.Is(err, mesh.ErrNone) {
				a.say("no mesh under %s", a.home)
				return nil
			}
			if err != nil {
				return err
			}
			if err := m.Down(); err != nil {
				return err
			}
			a.say("down")
			if !wipe {
				return nil
			}
			if err := m.Wipe(); err != nil {
				return err
			}
			a.say("wiped")
			return nil
		},
	}
	c.Flags().BoolVar(&wipe, "wipe", false, "remove the mesh's state and all its data for good")
	return c
}

func (a *app) statusCommand() *cobra.Command {
	var formatName string
	c := &cobra.Command{
		Use:     "status",
		Short:   "Processes of the mesh, its leader, workers and collaborations",
		Long:    "Looks at the processes of the mesh under --home and asks each coordinator over the verified channel. Exit code 1 where none answers, or none leads.",
		Example: lines("concordat status", "concordat status --format json"),
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			format, err := present.ParseFormat(formatName, present.Table, present.JSON)
			if err != nil {
				return usagef("--format: %w", err)
			}
			m, err := mesh.Open(a.home)
			if err != nil {
				return err
			}
			return a.status(c.Context(), m.Status(c.Context()), format)
		},
	}
	c.Flags().StringVar(&formatName, "format", "table", "table or json")
	return c
}

func (a *app) status(ctx context.Context, r mesh.Report, format present.Format) error {
	var err error
	if format == present.JSON {
		err = a.statusJSON(ctx, r)
	} else {
		a.banner(r.State.Mode)
		page := *a
		var text bytes.Buffer
		page.Out = &text
		if err = page.statusTable(ctx, r, narrow(a.Out)); err == nil {
			err = a.tint(text.Bytes())
		}
	}
	if err != nil {
		return err
	}
	return a.verdict(r)
}

func (a *app) statusJSON(ctx context.Context, r mesh.Report) error {
	type coordinator struct {
		Name    string `json:"name"`
		API     string `json:"api"`
		Flight  string `json:"flight,omitempty"` // Flight SQL
		Page    string `json:"page"`
		Metrics string `json:"metrics,omitempty"`
		Version string `json:"version,omitempty"`
		Node    string `json:"node,omitempty"`   // its key
		Leader  string `json:"leader,omitempty"` // the key of the one that leads, as this one knows
		Error   string `json:"error,omitempty"`
	}
	type process struct {
		Name    string `json:"name"`
		PID     int    `json:"pid"`
		Running bool   `json:"running"`
	}
	out := struct {
		Mode           string          `json:"mode"`
		Ledger         string          `json:"ledger"`
		Pins           json.RawMessage `json:"pins"`
		Processes      []process       `json:"processes"`
		Coordinators   []coordinator   `json:"coordinators"`
		Workers        []string        `json:"workers"`
		Collaborations []string        `json:"collaborations"`
		Log            *logStatus      `json:"log,omitempty"`
		WorkerDetails  []workerStatus  `json:"worker_details"`
		Budgets        []budgetLevel   `json:"budgets,omitempty"` // that the key of this home may see, the fullest first
	}{Mode: r.State.Mode, Ledger: r.State.Ledger, Processes: []process{}, Coordinators: []coordinator{}, Workers: []string{}, Collaborations: []string{}}
	pins, err := json.Marshal(r.State.Pins())
	if err != nil {
		return err
	}
	out.Pins = pins
	for _, p := range r.Processes {
		out.Processes = append(out.Processes, process{p.Name, p.PID, p.Running})
	}
	for _, c := range r.Coordinators {
		one := coordinator{Name: c.Name, API: c.API, Page: c.Page(), Flight: c.Flight, Metrics: c.Metrics}
		if c.Err != nil {
			one.Error = c.Err.Error()
		}
		if c.Status != nil {
			one.Node, one.Leader, one.Version = c.Status.GetNode(), c.Status.GetLeader(), c.Status.GetVersion()
			out.Collaborations = append([]string{}, c.Status.GetCollaborations()...)
			out.Workers = out.Workers[:0]
			for _, w := range c.Status.GetWorkers() {
				out.Workers = append(out.Workers, w.GetId())
			}
		}
		out.Coordinators = append(out.Coordinators, one)
	}
	out.Log, out.WorkerDetails, out.Budgets = ledgerStatus(r), workersOf(ctx, r), a.levels(ctx, r)
	return present.Object(a.Out, out)
}

func (a *app) statusTable(ctx context.Context, r mesh.Report, narrow bool) error {
	processes := processGrid{}
	names := map[string]string{} // of coordinators by node id
	for _, c := range r.Coordinators {
		if c.Status != nil {
			names[c.Status.GetNode()] = c.Name
		}
	}
	about := map[string][2]string{"marblerun": {"https://" + r.State.MarbleRun.Clients, marbleRunState(r.MarbleRun)}}
	for _, c := range r.Coordinators {
		says := ""
		switch {
		case c.Self != nil && c.Self.GetPhase() != servingPhase:
			says = "is " + c.Self.GetPhase()
		case c.Err != nil:
			says = "does not answer"
			if !slices.Contains(ended(r), c.Name) {
				a.say("%v", c.Err)
			}
		case c.Status.GetLeader() == c.Status.GetNode() && c.Status.GetLeader() != "":
			says = "leader"
		case c.Status.GetLeader() == "":
			says = "no leader known"
		default:
			says = "follows " + cmp.Or(names[c.Status.GetLeader()], c.Status.GetLeader())
		}
		about[c.Name] = [2]string{"https://" + c.API, says}
	}
	for i, w := range workersOf(ctx, r) {
		about[w.Name] = [2]string{r.State.Workers[i].Mesh, w.says()}
	}
	for _, p := range r.Processes {
		runs, says := "yes", about[p.Name][1]
		if !p.Running {
			runs, says = "no", "ended: see "+filepath.Join(p.Name, filepath.Base(p.Log))
		}
		processes.add(p.Name, fmt.Sprint(p.PID), runs, about[p.Name][0], says)
	}
	if r.State.Elsewhere {
		for _, c := range r.Coordinators {
			processes.add(c.Name, "", "elsewhere", about[c.Name][0], about[c.Name][1])
		}
		for _, w := range r.State.Workers {
			processes.add(w.Name, "", "elsewhere", about[w.Name][0], about[w.Name][1])
		}
	}
	if err := processes.grid(narrow).Write(a.Out); err != nil {
		return err
	}
	fmt.Fprintf(a.Out, "\nledger          %s\nroot to pin     %s\n", r.State.Ledger, r.State.RootCertificate)
	for _, c := range r.Coordinators {
		if c.Status != nil {
			fmt.Fprintf(a.Out, "collaborations  %s\n", orNone(strings.Join(c.Status.GetCollaborations(), ", ")))
			break
		}
	}
	var flight []string
	for _, c := range r.Coordinators {
		if c.Flight != "" {
			flight = append(flight, c.Flight)
		}
	}
	if !r.State.Elsewhere { // whose addresses only its operator tells
		fmt.Fprintf(a.Out, "Flight SQL      %s\n", orNone(strings.Join(flight, ", ")))
	}
	for _, l := range a.levels(ctx, r) {
		fmt.Fprintf(a.Out, "budget          [%s] %3.0f %% of %s, %s in %s\n", bar(l.Used), 100*l.Used, l.Owner, l.Namespace, l.Collaboration)
	}
	a.statusLog(ledgerStatus(r))
	a.statusRecoveries(r)
	return nil
}

func marbleRunState(s marble.State) string {
	switch s {
	case 0:
		return "does not answer"
	case marble.AcceptingMarbles:
		return "accepts marbles"
	}
	return fmt.Sprintf("state %d", s)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func elapsed(since time.Time) string { return time.Since(since).Round(100 * time.Millisecond).String() }
