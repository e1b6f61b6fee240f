package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"concordat.dev/protocol/document"
	"concordat.dev/protocol/statement"
	"concordat.dev/ui/client"
	"concordat.dev/ui/present"
	"github.com/spf13/cobra"
)

func (a *app) manifestCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "manifest",
		Short:   "The document that every organisation of a collaboration signs",
		Long:    "A manifest directory holds manifest.yaml and the policies that it names. All participants sign the same bytes; then it is active.",
		Example: lines("concordat manifest lint room", "concordat manifest propose room --pin --key clinic.key", "concordat manifest sign --key clinic.key --dir room"),
	}
	c.AddCommand(a.manifestNew(), a.manifestLint(), a.manifestShow(), a.manifestDiff(), a.manifestPin(), a.manifestPropose(), a.manifestSign(), a.manifestApprovalPayload(), a.manifestStatus(),
		a.manifestStatement(statement.Pause, "Stop queries until it is resumed; one key of a participant suffices"),
		a.manifestStatement(statement.Resume, "Take this organisation's pause back"),
		a.manifestStatement(statement.Revoke, "End the collaboration for good: all keys of data are destroyed"),
		a.manifestStatement(statement.Reject, "Object to the proposed version; say why by --reason"),
		a.manifestStatement(statement.Leave, "Leave: this organisation's data is destroyed at once, the next version is without it"),
		a.manifestStatement(statement.Offboard, "Take all authority from a person of this organisation at once; one key suffices"),
		a.manifestEnrol())
	return c
}

func (a *app) manifestLint() *cobra.Command {
	var sandbox bool
	c := &cobra.Command{
		Use:   "lint DIR",
		Short: "Check a manifest and its policies; problems as FILE:LINE:COLUMN",
		Long: `Checks form and meaning of manifest.yaml and of every policy. Problems end with exit code 1; warnings, which whoever signs
has to know, do not. Without --draft all that signing needs must be there: keys, people and the mesh.`,
		Example: lines("concordat manifest lint room", "concordat manifest lint --draft room"),
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			mode := document.Signed
			if sandbox {
				mode = document.Draft
			}
			b, err := a.lint(args[0], mode, nil)
			if err == nil {
				a.say("%s version %d: no problems in the manifest and %s", b.Manifest.Collaboration, b.Manifest.Version, present.Count(int64(len(b.Policies)), "policy"))
			}
			return err
		},
	}
	c.Flags().BoolVar(&sandbox, "draft", false, "keys, people and mesh may be missing, as for the sandbox")
	return c
}

// lint loads a directory and prints its problems and warnings, those of one file where only is given.
func (a *app) lint(dir string, mode document.Mode, only func(file string) bool) (*document.Bundle, error) {
	b, err := document.LoadDir(dir)
	if err != nil {
		return nil, err
	}
	n := 0
	for _, p := range b.Validate(mode) {
		if only == nil || only(p.File) {
			fmt.Fprintln(a.Out, p)
			n++
		}
	}
	if n > 0 {
		return nil, fmt.Errorf("%s in %s", present.Count(int64(n), "problem"), dir)
	}
	for _, p := range b.Warnings() {
		if only == nil || only(p.File) {
			a.say("warning: %s", p)
		}
	}
	return b, nil
}

func (a *app) manifestShow() *cobra.Command {
	var version int
	c := &cobra.Command{
		Use:     "show [DIR]",
		Short:   "Summary and digest of a manifest: of a directory, or of the mesh",
		Long:    "Shows who takes part, which data under which policies, and the digest that participants sign. --format json prints the signed bytes.",
		Example: lines("concordat manifest show room", "concordat manifest show", "concordat manifest show --version 1 --format json"),
		Args:    cobra.MaximumNArgs(1),
	}
	format := formatFlag(c, present.Table, present.JSON)
	c.Flags().IntVar(&version, "version", 0, "version to fetch from the mesh, 0: the newest")
	c.RunE = func(c *cobra.Command, args []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		d, err := a.localOrMesh(c.Context(), args, version)
		if err != nil {
			return err
		}
		if f == present.JSON {
			_, err = fmt.Fprintf(a.Out, "%s\n", d.Raw.Manifest)
			return err
		}
		return summary(a.Out, d)
	}
	return c
}

// localOrMesh takes the documents of a directory where one is named, else those of the mesh.
func (a *app) localOrMesh(ctx context.Context, args []string, version int) (client.Documents, error) {
	if len(args) > 0 {
		return localDocuments(args[0])
	}
	s, err := a.session(ctx)
	if err != nil {
		return client.Documents{}, err
	}
	return a.documents(ctx, s, version)
}

func localDocuments(dir string) (client.Documents, error) {
	b, err := document.LoadDir(dir)
	if err != nil {
		return client.Documents{}, err
	}
	raw, err := b.Signable()
	return client.Documents{Bundle: b, Raw: raw, Digest: raw.Digest()}, err
}

// summary prints what a participant has to know of a manifest before signing it.
func summary(w io.Writer, d client.Documents) error {
	m := d.Manifest
	fmt.Fprintf(w, "%s, version %d\n%s\nexpires %s; releases go to: %s\n\n", m.Collaboration, m.Version, m.Purpose, m.Expires, m.Receivers.Default)
	people := map[string][]string{}
	for _, p := range m.People {
		people[p.Participant] = append(people[p.Participant], p.ID+" ("+strings.Join(p.Roles, ", ")+")")
	}
	participants := present.Grid{Columns: []present.Column{{Name: "participant"}, {Name: "name"}, {Name: "keys"}, {Name: "people"}}}
	for _, p := range m.Participants {
		keys := fmt.Sprintf("%d of %s", p.Threshold, present.Count(int64(len(p.Keys)), "key"))
		switch len(p.Keys) {
		case 0:
			keys = "none"
		case 1:
			keys = p.Keys[0]
		}
		participants.Rows = append(participants.Rows, []string{p.ID, p.Name, keys, strings.Join(people[p.ID], "; ")})
	}
	if err := participants.Write(w); err != nil {
		return err
	}
	fmt.Fprintln(w)
	datasets := present.Grid{Columns: []present.Column{{Name: "dataset"}, {Name: "owner"}, {Name: "protection"}, {Name: "budget"}, {Name: "policy digest"}}}
	signed, err := document.OpenSigned(d.Raw.Manifest, d.Raw.Policies)
	if err != nil {
		return err
	}
	for _, s := range signed.Manifest.Datasets {
		protection, budget := protectionOf(d.Policies[s.ID])
		datasets.Rows = append(datasets.Rows, []string{s.ID, s.Owner, protection, budget, s.PolicyDigest})
	}
	if err := datasets.Write(w); err != nil {
		return err
	}
	if m.Mesh != nil {
		fmt.Fprintf(w, "\nmesh: %s, ledger %s\n  MarbleRun manifest %s\n  root certificate   %s\n", m.Mesh.Mode, m.Mesh.Ledger, m.Mesh.MarbleRunManifest, m.Mesh.RootCertificate)
	}
	for _, warning := range d.Warnings() {
		fmt.Fprintf(w, "warning: %s\n", warning.Message)
	}
	if d.State != "" {
		fmt.Fprintf(w, "state %s; signed by %s; missing: %s\n", d.State, orNone(strings.Join(d.Signed, ", ")), orNone(strings.Join(d.Missing, ", ")))
	}
	_, err = fmt.Fprintf(w, "digest %s\n", d.Digest)
	return err
}

func protectionOf(p *document.Policy) (protection, budget string) {
	if p == nil || p.Release == nil || p.Budget == nil {
		return "public data", "none"
	}
	if p.Release.Mechanism == document.Threshold {
		return fmt.Sprintf("threshold, k = %d", p.Release.MinUnits), present.Count(p.Budget.Queries, "query") + " per " + p.Budget.Period
	}
	return fmt.Sprintf("differential privacy, k = %d", p.Release.MinUnits),
		fmt.Sprintf("rho %s per %s, %s for good", present.Short(p.Budget.Rho), p.Budget.Period, present.Short(p.Budget.LifetimeRho))
}

func (a *app) manifestDiff() *cobra.Command {
	return &cobra.Command{
		Use:   "diff DIR [DIR]",
		Short: "What a directory changes against the mesh's newest version, or against another directory",
		Long: `Says first what the changes mean: what protects less (weaker), more (tighter), as much (neutral), or changes words only (text). Then the
signed forms field by field. With one DIR, the mesh's version is the old one. Exit code 0 also where they differ.`,
		Example: lines("concordat manifest diff room", "concordat manifest diff room room-2"),
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			before, err := a.localOrMesh(c.Context(), args[:len(args)-1], 0)
			if err != nil {
				return err
			}
			after, err := localDocuments(args[len(args)-1])
			if err != nil {
				return err
			}
			return a.printDiff(a.Out, before, after)
		},
	}
}

func (a *app) manifestPin() *cobra.Command {
	return &cobra.Command{
		Use:   "pin DIR",
		Short: "Write the pins of the running mesh into a manifest",
		Long: `Asks the mesh over the pinned channel what it is and writes the mesh section of DIR/manifest.yaml; the rest of the file stays.
Every participant should compare these pins before signing: 'concordat mesh verify DIR'.`,
		Example: lines("concordat manifest pin room"),
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			anonymous, err := a.anonymous()
			if err != nil {
				return err
			}
			status, err := anonymous.Status(c.Context())
			if err != nil {
				return err
			}
			if err := pinFile(args[0], client.Running(status)); err != nil {
				return err
			}
			a.say("pinned:")
			fmt.Fprint(a.Out, pinSection(client.Running(status)))
			return nil
		},
	}
}

func (a *app) manifestStatus() *cobra.Command {
	c := &cobra.Command{
		Use:     "status",
		Short:   "State of the newest version, and whose signature is missing",
		Long:    "Fetches the newest version and checks digests and signatures here, not by the coordinator's word.",
		Example: lines("concordat manifest status", "concordat manifest status --format json"),
		Args:    cobra.NoArgs,
	}
	format := formatFlag(c, present.Table, present.JSON)
	c.RunE = func(c *cobra.Command, _ []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		s, err := a.session(c.Context())
		if err != nil {
			return err
		}
		d, err := a.documents(c.Context(), s, 0)
		if err != nil {
			return err
		}
		return a.printState(d, f)
	}
	return c
}

func (a *app) printState(d client.Documents, f present.Format) error {
	if f == present.JSON {
		return present.Object(a.Out, map[string]any{
			"collaboration": d.Manifest.Collaboration, "version": d.Manifest.Version, "digest": d.Digest, "state": d.State,
			"signed": orEmpty(d.Signed), "missing": orEmpty(d.Missing), "paused_by": orEmpty(d.PausedBy), "off_boarded": orEmpty(d.Off), "left": orEmpty(d.Left),
		})
	}
	for _, more := range []struct {
		list []string
		text string
	}{{d.PausedBy, "paused by"}, {d.Off, "without authority:"}, {d.Left, "left:"}} {
		if len(more.list) > 0 {
			a.say("%s %s", more.text, strings.Join(more.list, ", "))
		}
	}
	if d.By != "" {
		a.say("brought into force by %s alone: it only tightens policies of %s", d.By, d.By)
	}
	_, err := fmt.Fprintf(a.Out, "%s version %d: %s\nsigned   %s\nmissing  %s\ndigest   %s\n", d.Manifest.Collaboration, d.Manifest.Version, d.State,
		orNone(strings.Join(d.Signed, ", ")), orNone(strings.Join(d.Missing, ", ")), d.Digest)
	return err
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
