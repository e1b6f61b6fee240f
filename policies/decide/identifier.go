package decide

import (
	"fmt"
	"slices"

	"concordat.dev/sql/plan"
	"concordat.dev/sql/refusal"
)

// knows says by which identifiers of its namespace the units of a dataset are known (docs/adr/0023-two-identifiers.md). Tokens of the first
// and of the second never agree.
type knows struct{ first, second bool }

// knows is that of the datasets which a unit's column comes from; name is the second identifier's, where a policy says it.
func (d *decider) knows(f fact) (k knows, name string) {
	for _, o := range f.from {
		p := d.policies[o.dataset]
		if p == nil {
			continue
		}
		if p.Unit.Identifier != "" {
			k.second, name = true, p.Unit.Identifier
			continue
		}
		k.first, k.second = true, k.second || p.Unit.Then != ""
	}
	return k, name
}

// meet judges a join of units by how each side knows them: where they can never be the same it is refused, since its answer is known and would
// be charged all the same; where some can't, the answer says so.
func (d *decider) meet(c *plan.Call, a, b fact) {
	left, name := d.knows(a)
	right, other := d.knows(b)
	if name == "" {
		name = other
	}
	switch none := (knows{}); {
	case left == none || right == none || left == right:
	case left.first && right.first || left.second && right.second:
		note := "Some datasets that are joined know a unit by the second identifier where others may know it by the first: such a unit is missed."
		if !slices.Contains(d.notes, note) {
			d.notes = append(d.notes, note)
		}
	default:
		d.refuse(refusal.NamespaceMismatch, c.Span, append(append([]origin{}, a.from...), b.from...), "unit.identifier",
			fmt.Sprintf("One side knows units by %s alone and the other by the first identifier alone: no unit of one is a unit of the other, and nothing here links them.", name),
			fmt.Sprintf("Whoever knows both can upload a second dataset whose unit says identifier: %s: join that one.", name))
	}
}
