package cli

import (
	"fmt"
	"io"

	judge "concordat.dev/policies/approval"
	"concordat.dev/policies/change"
	"concordat.dev/ui/client"
	"concordat.dev/ui/present"
)

// printDiff says what the changes from one version to the next mean, then shows them field by field.
func (a *app) printDiff(w io.Writer, before, after client.Documents) error {
	raw, err := fields(before, after)
	if err != nil {
		return err
	}
	if len(raw) == 0 {
		a.say("no difference: %s", after.Digest)
		return nil
	}
	printMeaning(w, change.Between(before.Bundle, after.Bundle))
	if owner, ok := judge.Tightening(after.Bundle, before.Bundle); ok {
		fmt.Fprintf(w, "\n%s alone may bring this version into force: it only tightens its policies.\n", owner)
	}
	fmt.Fprintln(w, "\nfield by field:")
	present.Changes(w, raw)
	return nil
}

// printMeaning lists changes by what they do to protection, weaker ones first.
func printMeaning(w io.Writer, changes []change.Change) {
	count := map[change.Effect]int{}
	for _, c := range changes {
		count[c.Effect]++
	}
	fmt.Fprintf(w, "%d weaker, %d neutral, %d tighter, %d text\n", count[change.Weaker], count[change.Neutral], count[change.Tighter], count[change.TextOnly])
	for _, c := range changes {
		subject := ""
		if c.Subject != "" {
			subject = c.Subject + ": "
		}
		fmt.Fprintf(w, "  %-7s  %s\n", c.Effect, present.Clean(subject+c.What))
	}
}

// fields are all differences of manifests and policies.
func fields(before, after client.Documents) ([]change.Field, error) {
	changes, err := change.Fields(before.Raw.Manifest, after.Raw.Manifest)
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for _, d := range append(before.Manifest.Datasets, after.Manifest.Datasets...) {
		if ids[d.ID] {
			continue
		}
		ids[d.ID] = true
		policy, err := change.Fields(policyBytes(before, d.ID), policyBytes(after, d.ID))
		if err != nil {
			return nil, err
		}
		for _, c := range policy {
			c.Path = "policy of " + d.ID + ": " + c.Path
			changes = append(changes, c)
		}
	}
	return changes, nil
}

func policyBytes(d client.Documents, dataset string) []byte {
	for i, s := range d.Manifest.Datasets {
		if s.ID == dataset && i < len(d.Raw.Policies) {
			return d.Raw.Policies[i]
		}
	}
	return nil
}
