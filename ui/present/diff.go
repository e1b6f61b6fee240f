package present

import (
	"fmt"
	"io"

	"concordat.dev/policies/change"
)

// Changes prints a diff: removed and added lines, a changed field as both.
func Changes(w io.Writer, changes []change.Field) {
	for _, c := range changes {
		if c.Before != "" {
			fmt.Fprintf(w, "- %s: %s\n", Clean(c.Path), Clean(c.Before))
		}
		if c.After != "" {
			fmt.Fprintf(w, "+ %s: %s\n", Clean(c.Path), Clean(c.After))
		}
	}
}
