package cli

import (
	"fmt"
	"io"

	"concordat.dev/policies/explain"
	"concordat.dev/protocol/document"
	"concordat.dev/ui/present"
)

// explainPolicy says in sentences what a policy allows, for those who sign it without having written it.
func explainPolicy(w io.Writer, p *document.Policy) error {
	e := explain.Policy(p)
	fmt.Fprintf(w, "Policy of %s, owned by %s\n\n", p.Dataset, p.Owner)
	for _, sentence := range e.Protects {
		fmt.Fprintln(w, sentence)
	}
	grid := present.Grid{Columns: []present.Column{{Name: "column"}, {Name: "type"}, {Name: "role"}, {Name: "what a query may do with it"}}}
	for _, c := range e.Columns {
		grid.Rows = append(grid.Rows, []string{c.Name, c.Type, c.Role, c.Use})
	}
	fmt.Fprintln(w)
	if err := grid.Write(w); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, sentence := range e.Release {
		fmt.Fprintln(w, sentence)
	}
	return nil
}
