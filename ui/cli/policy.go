package cli

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"concordat.dev/policies/change"
	"concordat.dev/protocol/document"
	"concordat.dev/ui/client"
	"concordat.dev/ui/present"
	"github.com/spf13/cobra"
)

func (a *app) policyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "policy",
		Short:   "The analysis rule of one dataset",
		Long:    "A policy is named by its file inside a manifest directory (room/policies/clinic.patients.yaml), or by directory and dataset.",
		Example: lines("concordat policy lint room clinic.patients", "concordat policy explain room/policies/clinic.patients.yaml"),
	}
	c.AddCommand(a.policyNew(), a.policyLint(), a.policyShow(), a.policyDiff(), a.policyExplain())
	return c
}

// policyAt finds a policy: FILE inside a manifest directory, or DIR DATASET.
func policyAt(args []string) (*document.Bundle, string, error) {
	if len(args) == 2 {
		b, err := document.LoadDir(args[0])
		if err != nil {
			return nil, "", err
		}
		if b.Policies[args[1]] == nil {
			return nil, "", usagef("%s has no dataset %q: one of %v", args[0], args[1], slices.Sorted(maps.Keys(b.Policies)))
		}
		return b, args[1], nil
	}
	dir, file, err := roomOf(args[0])
	if err != nil {
		return nil, "", err
	}
	b, err := document.LoadDir(dir)
	if err != nil {
		return nil, "", err
	}
	for _, d := range b.Manifest.Datasets {
		if d.Policy == file {
			return b, d.ID, nil
		}
	}
	return nil, "", usagef("the manifest of %s names no policy %s", dir, file)
}

// roomOf walks up from a policy's file to the folder that holds the manifest.
func roomOf(file string) (dir, relative string, err error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", "", fmt.Errorf("read the policy: %w", err)
	}
	if info.IsDir() {
		return "", "", usagef("%s is a folder: name a policy's file, or folder and dataset", file)
	}
	for dir := filepath.Dir(filepath.Clean(file)); ; {
		if _, err := os.Stat(filepath.Join(dir, document.ManifestFile)); err == nil {
			relative, err := below(dir, file)
			return dir, relative, err
		}
		above := filepath.Dir(dir)
		if dir == "." || strings.HasPrefix(dir, "..") {
			above = filepath.Join("..", dir)
		}
		if full, err := filepath.Abs(dir); err != nil || full == filepath.Dir(full) {
			return "", "", usagef("%s is in no manifest directory: no %s in a folder above it", file, document.ManifestFile)
		}
		dir = above
	}
}

// below is the path of a file in a folder above it, with slashes.
func below(dir, file string) (string, error) {
	fullDir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("read the policy: %w", err)
	}
	fullFile, err := filepath.Abs(file)
	if err != nil {
		return "", fmt.Errorf("read the policy: %w", err)
	}
	relative, err := filepath.Rel(fullDir, fullFile)
	return filepath.ToSlash(relative), err
}

func (a *app) policyLint() *cobra.Command {
	return &cobra.Command{
		Use:     "lint FILE | DIR DATASET",
		Short:   "Check one policy; problems as FILE:LINE:COLUMN",
		Example: lines("concordat policy lint room/policies/clinic.patients.yaml", "concordat policy lint room clinic.patients"),
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			b, id, err := policyAt(args)
			if err != nil {
				return err
			}
			d, _ := b.Manifest.Dataset(id)
			dir := args[0]
			if len(args) == 1 {
				if dir, _, err = roomOf(args[0]); err != nil {
					return err
				}
			}
			if _, err := a.lint(dir, document.Draft, func(file string) bool { return strings.HasSuffix(filepath.ToSlash(file), d.Policy) }); err != nil {
				return err
			}
			a.say("policy of %s: no problems", id)
			return nil
		},
	}
}

func (a *app) policyShow() *cobra.Command {
	return &cobra.Command{
		Use:     "show FILE | DIR DATASET",
		Short:   "The signed form of a policy: canonical JSON with every default written out",
		Example: lines("concordat policy show room clinic.patients"),
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			b, id, err := policyAt(args)
			if err != nil {
				return err
			}
			raw, err := b.Policies[id].WithDefaults().Canonical()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Out, "%s\n", raw)
			return err
		},
	}
}

func (a *app) policyDiff() *cobra.Command {
	return &cobra.Command{
		Use:     "diff FILE FILE",
		Short:   "What differs between two policies, defaults included",
		Example: lines("concordat policy diff old/policies/clinic.patients.yaml room/policies/clinic.patients.yaml"),
		Args:    cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			var sides [2][]byte
			var policies [2]*document.Policy
			for i, file := range args {
				raw, err := os.ReadFile(file)
				if err != nil {
					return fmt.Errorf("read the policy: %w", err)
				}
				p, _, err := document.ParsePolicy(file, raw)
				if err != nil {
					return err
				}
				policies[i] = p
				if sides[i], err = p.WithDefaults().Canonical(); err != nil {
					return err
				}
			}
			changes, err := change.Fields(sides[0], sides[1])
			if err != nil {
				return err
			}
			if len(changes) == 0 {
				a.say("no difference")
				return nil
			}
			printMeaning(a.Out, change.Policies(policies[0], policies[1]))
			fmt.Fprintln(a.Out, "\nfield by field:")
			present.Changes(a.Out, changes)
			return nil
		},
	}
}

func (a *app) policyExplain() *cobra.Command {
	return &cobra.Command{
		Use:     "explain FILE | DIR DATASET | DATASET",
		Short:   "What a policy allows, in sentences",
		Long:    "Says for each column what a query may do with it, and what release and budget mean. DATASET alone is taken from the mesh.",
		Example: lines("concordat policy explain room clinic.patients", "concordat policy explain clinic.patients"),
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				if _, err := os.Stat(args[0]); err != nil {
					return a.explainFromMesh(c, args[0])
				}
			}
			b, id, err := policyAt(args)
			if err != nil {
				return err
			}
			return explainPolicy(a.Out, b.Policies[id])
		},
	}
}

func (a *app) explainFromMesh(c *cobra.Command, dataset string) error {
	var d client.Documents
	s, err := a.session(c.Context())
	if err == nil {
		d, err = a.documents(c.Context(), s, 0)
	}
	if err != nil {
		return err
	}
	p := d.Policies[dataset]
	if p == nil {
		return usagef("%s has no dataset %q: one of %v", s.collaboration, dataset, slices.Sorted(maps.Keys(d.Policies)))
	}
	return explainPolicy(a.Out, p)
}
