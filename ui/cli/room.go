package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"concordat.dev/protocol/document"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/upload"
	"concordat.dev/ui/present"
	"concordat.dev/ui/sample"
	"github.com/spf13/cobra"
)

const policyFolder = "policies"

// roomDraft is what `manifest new` was told, and what it found.
type roomDraft struct {
	dir, collaboration, purpose string
	participants                []participantDraft
	policies                    []*document.Policy // of DIR/policies, by dataset
	normalize                   map[string]string  // by namespace, where files told
}

type participantDraft struct{ id, key string }

func (a *app) manifestNew() *cobra.Command {
	var d roomDraft
	var participants, data []string
	c := &cobra.Command{
		Use:   "new DIR [--data OWNER.NAME=FILE]… [--participant ID=KEY]…",
		Short: "Begin a manifest directory: manifest.yaml, and a drafted policy for each data file",
		Long: `Makes DIR with manifest.yaml and, for each --data, a policy drafted from the file's first rows as 'concordat policy new' does. Policies that DIR/policies has
already are taken as they are. Of several files the columns that share most values are taken for the identifier that joins them. Nothing leaves this machine.
Owners are participants; --participant names others, and gives keys: a public key, or a file with one. What has to be confirmed is marked "check me".
The sandbox takes the directory as it is; before it is signed it needs keys, people ('manifest enrol') and a mesh ('manifest pin').`,
		Example: lines("concordat manifest new room --data shop.customers=customers.csv --data bank.payments=payments.csv",
			`concordat manifest new room --collaboration basket --participant shop="$(concordat key show shop)" --participant bank=bank.pub`),
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			d.dir, d.normalize = args[0], map[string]string{}
			if _, err := os.Stat(filepath.Join(d.dir, document.ManifestFile)); err == nil {
				return fmt.Errorf("%s has a manifest already: it is yours to change", d.dir)
			}
			for _, p := range participants {
				if err := d.participant(p); err != nil {
					return err
				}
			}
			if err := a.draftPolicies(&d, data); err != nil {
				return err
			}
			return a.writeRoom(&d, data)
		},
	}
	f := c.Flags()
	f.StringVar(&d.collaboration, "collaboration", "", "id of the collaboration (default: the name of DIR)")
	f.StringVar(&d.purpose, "purpose", "", "what it is for, in words that all participants sign")
	f.StringArrayVar(&participants, "participant", nil, "ID, or ID=KEY, of an organisation; repeatable")
	f.StringArrayVar(&data, "data", nil, "OWNER.NAME=FILE to draft a policy from: CSV or JSON lines; repeatable")
	return c
}

func (d *roomDraft) participant(text string) error {
	id, given, _ := strings.Cut(text, "=")
	if given != "" {
		public, ok := publicFile(given)
		if !ok {
			var err error
			if public, err = key.ParsePublic(given); err != nil {
				return usagef("manifest new: --participant %s: neither a public key nor a file with one ('concordat key show' prints one): %w", id, err)
			}
		}
		given = public.String()
	}
	d.participants = append(d.participants, participantDraft{id, given})
	return nil
}

// draftPolicies writes a policy for each data file, and reads all that the directory then has.
func (a *app) draftPolicies(d *roomDraft, data []string) error {
	var names, files []string
	var tables []*sample.Table
	for _, text := range data {
		name, file, ok := strings.Cut(text, "=")
		if owner, rest, dotted := strings.Cut(name, "."); !ok || !dotted || owner == "" || rest == "" {
			return usagef("manifest new: --data %s: want OWNER.NAME=FILE, such as shop.customers=customers.csv", text)
		}
		t, err := sampleOf(file, upload.Dialect{}, nil)
		if err != nil {
			return err
		}
		names, files, tables = append(names, name), append(files, file), append(tables, t)
	}
	if err := os.MkdirAll(filepath.Join(d.dir, policyFolder), 0o755); err != nil { //nolint:gosec // G301: a manifest is no secret
		return fmt.Errorf("make the manifest directory: %w", err)
	}
	units := sample.Shared(tables)
	joined := slices.ContainsFunc(units, func(u string) bool { return u != "" })
	for i, t := range tables {
		wish := sample.Draft{Dataset: names[i], Unit: units[i]}
		if joined {
			wish.Namespace = "person"
		}
		text, err := t.Policy(wish)
		if err != nil {
			return fmt.Errorf("%s: %w", files[i], err)
		}
		if err := keepDraft(filepath.Join(d.dir, policyFolder, names[i]+".yaml"), text); err != nil {
			return err
		}
		if units[i] != "" {
			a.say("%s: column %s shares values with another file, so it joins them", names[i], units[i])
		}
	}
	if joined {
		d.normalize["person"] = sample.NormalizeOf(tables, units)
	}
	return d.readPolicies()
}

func (d *roomDraft) readPolicies() error {
	files, err := filepath.Glob(filepath.Join(d.dir, policyFolder, "*.yaml"))
	if err != nil {
		return fmt.Errorf("look for policies: %w", err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read the policy: %w", err)
		}
		p, _, err := document.ParsePolicy(file, raw)
		if err != nil {
			return err
		}
		if want := p.Dataset + ".yaml"; filepath.Base(file) != want {
			return fmt.Errorf("%s is the policy of %s: name the file %s", file, p.Dataset, want)
		}
		d.policies = append(d.policies, p)
		if !slices.ContainsFunc(d.participants, func(q participantDraft) bool { return q.id == p.Owner }) {
			d.participants = append(d.participants, participantDraft{id: p.Owner})
		}
	}
	return nil
}

func (a *app) writeRoom(d *roomDraft, data []string) error {
	if d.collaboration == "" {
		full, err := filepath.Abs(d.dir)
		if err != nil {
			return fmt.Errorf("name the collaboration: %w", err)
		}
		d.collaboration = filepath.Base(full)
	}
	file := filepath.Join(d.dir, document.ManifestFile)
	if err := keepDraft(file, d.manifest(time.Now().AddDate(1, 0, 0))); err != nil {
		return err
	}
	if _, err := a.lint(d.dir, document.Draft, nil); err != nil {
		return err
	}
	a.say("%s is drafted, with %s; look for \"check me\" in it", d.dir, present.Count(int64(len(d.policies)), "policy"))
	if len(data) > 0 {
		a.say("try it: concordat sandbox --manifest %s --data %s --sql '%s'", d.dir, strings.Join(data, " --data "), firstQuery(d.policies))
	}
	a.say("then:   concordat manifest enrol %s FILE --role ROLE, concordat manifest propose %s --pin", d.dir, d.dir)
	return nil
}

// firstQuery counts the units that two datasets have in common, or those of the only one.
func firstQuery(policies []*document.Policy) string {
	first := policies[0]
	for _, p := range policies[1:] {
		if p.Unit.Namespace == first.Unit.Namespace && p.Owner != first.Owner {
			return fmt.Sprintf("SELECT count(DISTINCT a.%q) AS in_both FROM %s a JOIN %s b ON b.%q = a.%q",
				first.Unit.Column, first.Dataset, p.Dataset, p.Unit.Column, first.Unit.Column)
		}
	}
	return fmt.Sprintf("SELECT count(DISTINCT %q) AS units FROM %s", first.Unit.Column, first.Dataset)
}

// manifest is the text of a first version. What the participants have to agree on is marked.
func (d *roomDraft) manifest(expires time.Time) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# What all participants sign. Whatever is marked \"check me\" is a guess. Then: concordat manifest lint --draft %s", d.dir)
	line("apiVersion: concordat.dev/v1\nkind: Manifest\ncollaboration: %s\nversion: 1", d.collaboration)
	if d.purpose == "" {
		line("purpose: Say what the data may be asked for # check me")
	} else {
		line("purpose: %q", d.purpose)
	}
	line("expires: %s # check me: the last day on which anything runs", expires.Format(time.DateOnly))
	line("participants:")
	for _, p := range d.participants {
		keys := ""
		if p.key != "" {
			keys = fmt.Sprintf(", keys: [%q], threshold: 1", p.key)
		}
		line("  - {id: %s, name: %s%s}", p.id, p.id, keys)
	}
	namespaces := d.namespaces()
	if len(namespaces) > 0 {
		line("namespaces:")
	}
	for _, n := range slices.Sorted(maps.Keys(namespaces)) {
		line("  %s: {normalize: %s} # check me: none, trim, lower, email or phone_e164; the same for all owners, so that identifiers meet", n, namespaces[n])
	}
	line("datasets:")
	for _, p := range d.policies {
		line("  - {id: %s, owner: %s, policy: %s/%s.yaml}", p.Dataset, p.Owner, policyFolder, p.Dataset)
	}
	line("release: {time_grid: 500ms}\nwitnesses: {keys: [], quorum: 0} # check me: without witnesses whoever runs all coordinators can set budgets back")
	line("receivers: {default: runner}")
	return b.String()
}

// namespaces are those of the policies' units, with a rule for each: what the files showed, else what the names of the columns say.
func (d *roomDraft) namespaces() map[string]string {
	out := map[string]string{}
	for _, p := range d.policies {
		if p.Unit.None {
			continue
		}
		n, rule := p.Unit.Namespace, "trim"
		if strings.Contains(strings.ToLower(p.Unit.Column), "mail") {
			rule = "email"
		}
		if before, ok := out[n]; ok && before != rule {
			rule = "trim"
		}
		out[n] = rule
	}
	for n, rule := range d.normalize {
		out[n] = rule
	}
	return out
}

// sampleOf reads the beginning of a file.
func sampleOf(file string, dialect upload.Dialect, columns []string) (*sample.Table, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("open the sample: %w", err)
	}
	defer func() { _ = f.Close() }()
	t, err := sample.Read(f, dialect, columns)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}

// keepDraft writes a draft where no file is yet: what a steward has changed is not lost to a second draft.
func keepDraft(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // a policy is read by all participants
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write the draft: %w; move it away, or leave its data out", err)
	}
	if err != nil {
		return fmt.Errorf("write the draft: %w", err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the draft: %w", err)
	}
	return nil
}
