package decide

import (
	"fmt"
	"sort"

	"concordat.dev/policies/mechanism"
	"concordat.dev/protocol/document"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/refusal"
)

// owners asks the policies about joins: required, or blocked.
func (d *decider) owners(root plan.Relation) {
	in := d.input
	if in == nil {
		return
	}
	spans := map[string]refusal.Span{}
	scanSpans(root, spans)
	others := map[string]bool{}
	for _, p := range in.policies {
		others[p.Owner] = true
	}
	for _, p := range d.budgets(in) {
		who := []origin{{p.Owner, p.Dataset, ""}}
		switch {
		case p.Joins == "blocked" && len(others) > 1:
			d.refuse(refusal.JoinBlocked, spans[p.Dataset], who, "joins: blocked", fmt.Sprintf("%s does not let %s be joined with data of others.", p.Owner, p.Dataset), "Query it by itself.")
		case p.Joins == "required" && in.alone[p.Dataset]:
			d.refuse(refusal.JoinRequired, spans[p.Dataset], who, "joins: required", fmt.Sprintf("%s lets %s be queried only in a join with another owner's data.", p.Owner, p.Dataset), "Join it with another owner's dataset on the identifier (INNER JOIN, EXISTS or IN).")
		}
	}
}

func scanSpans(r plan.Relation, out map[string]refusal.Span) {
	if s, ok := r.(*plan.Scan); ok {
		out[s.Dataset] = s.Span
	}
	for _, in := range r.Inputs() {
		scanSpans(in, out)
	}
}

// prices is what each owner's namespace pays (R7): every owner that is touched, whatever the mechanism of the release.
func (d *decider) prices(r *Release) []Price {
	at := map[string]*Price{}
	var order []string
	for _, p := range d.budgets(d.input) {
		key := p.Owner + "\x00" + p.Unit.Namespace
		price := at[key]
		if price == nil {
			price = &Price{Owner: p.Owner, Namespace: p.Unit.Namespace}
			at[key], order = price, append(order, key)
		}
		price.Datasets = append(price.Datasets, p.Dataset)
		d.charge(price, p, r)
	}
	sort.Strings(order)
	var out []Price
	for _, key := range order {
		sort.Strings(at[key].Datasets)
		out = append(out, *at[key])
	}
	return out
}

func (d *decider) charge(price *Price, p *document.Policy, r *Release) {
	if p.Release.Mechanism == string(mechanism.DifferentialPrivacy) {
		price.Rho = r.Spec.Price()
	} else {
		price.Queries = 1
	}
}
