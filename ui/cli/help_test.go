package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every command says what it does and shows how it is called; an example calls a command that exists, with flags that it has.
func TestHelp(t *testing.T) {
	root := (&app{}).root()
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" || c.Example == "" {
			t.Errorf("%s: short %q, example %q", c.CommandPath(), c.Short, c.Example)
		}
		for _, example := range strings.Split(c.Example, "\n") {
			words := strings.Fields(example)
			if len(words) < 2 || words[0] != "concordat" {
				continue // the second line of a long one
			}
			called, rest, err := root.Find(words[1:])
			if err != nil || called == root && !strings.HasPrefix(words[1], "--") {
				t.Errorf("%s: %s: %v", c.CommandPath(), example, err)
				continue
			}
			for _, word := range rest {
				name, isFlag := strings.CutPrefix(word, "--")
				name, _, _ = strings.Cut(name, "=")
				if isFlag && called.Flag(name) == nil && root.PersistentFlags().Lookup(name) == nil {
					t.Errorf("%s has no flag --%s: %s", called.CommandPath(), name, example)
				}
			}
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
}
