// Package query takes a text to an answer: parse, bind, decide, price, execute, release, and what is computed on the released rows.
// The worker of a mesh and the sandbox run the same code.
//
// Invariant: only a plan that was decided on here is executed, and only what worker/release released is put into an answer.
//
// Sees: plaintext sums of groups, never rows
package query

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"

	"concordat.dev/policies/decide"
	"concordat.dev/policies/mechanism"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/sql/bind"
	"concordat.dev/sql/parse"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/refusal"
)

// Analysis is a text judged under the policies of a bundle.
type Analysis struct {
	SQL      string
	Decision decide.Decision
	Columns  []answer.Column
	// Question names the answer that may be stored: plan with its column names, policies and parameters, not dataset versions.
	Question canon.Digest
	Policies []canon.Digest // of the datasets that the plan reads, in the order of Decision.Datasets
	outputs  []output
	words    []string // the plan and its owners' verdicts, for explanations
}

// Refused says that the text may not run.
func (a *Analysis) Refused() bool { return len(a.Decision.Refusals) > 0 }

// ErrDefect says that judging a text met a defect of this program. The text is refused to run, and the defect goes to the log.
var ErrDefect = errors.New("query: defect while judging")

// Analyser judges texts; it is safe for concurrent use.
type Analyser struct{ parser *parse.Parser }

// NewAnalyser opens the parser. Close it.
func NewAnalyser() (*Analyser, error) {
	p, err := parse.New()
	if err != nil {
		return nil, err
	}
	return &Analyser{p}, nil
}

// Close frees the parser.
func (a *Analyser) Close() error { return a.parser.Close() }

// Analyse judges a text. Rho is the analyst's choice for each aggregate, 0 for the owners'. An error is a fault, never a refusal.
func (a *Analyser) Analyse(ctx context.Context, bundle *document.Bundle, text string, rho float64) (analysis *Analysis, err error) {
	defer func() {
		if r := recover(); r != nil { // a defect of ours must not end a worker that others use; nothing was decided
			analysis, err = nil, fmt.Errorf("%w: %v", ErrDefect, r)
		}
	}()
	tree, refused, err := a.parser.Parse(ctx, text)
	if err != nil {
		return nil, err
	}
	out := &Analysis{SQL: text}
	if tree == nil {
		out.Decision.Refusals = refused.All()
		return out, nil
	}
	root := bind.Bind(tree, catalog(bundle), refused)
	out.Decision = decide.Decide(decide.Request{Plan: root, Policies: bundle.Policies, Rho: rho}, refused)
	if out.Refused() {
		return out, nil
	}
	out.describe()
	out.words = out.explain(bundle.Policies)
	return out, out.digests(bundle)
}

// catalog lists the columns of every dataset of the manifest, hidden ones too: they are refused by name.
func catalog(bundle *document.Bundle) bind.Catalog {
	out := bind.Catalog{Name: bundle.Manifest.Collaboration, Datasets: map[string][]plan.Column{}}
	for _, d := range bundle.Manifest.Datasets {
		p := bundle.Policies[d.ID]
		var columns []plan.Column
		for name, c := range p.Columns {
			columns = append(columns, plan.Column{Name: name, Type: columnType(c)})
		}
		sort.Slice(columns, func(i, j int) bool { return columns[i].Name < columns[j].Name })
		out.Datasets[d.ID] = columns
	}
	return out
}

// columnType is the type of a column in plans. An identifier is a token there, whatever it was made of, so that all identifiers compare.
func columnType(c document.Column) plan.Type {
	switch {
	case c.Role == "identifier", c.Type == "uuid":
		return plan.Varchar
	case c.Type == "decimal":
		return plan.Double
	}
	return plan.Type(c.Type)
}

func (a *Analysis) digests(bundle *document.Bundle) error {
	for _, id := range a.Decision.Datasets {
		b, err := bundle.Policies[id].Canonical()
		if err != nil {
			return fmt.Errorf("query: policy of %s: %w", id, err)
		}
		a.Policies = append(a.Policies, canon.Sum(b))
	}
	question, err := canon.Marshal(map[string]any{
		"type": "concordat.dev/question/v1", "collaboration": bundle.Manifest.Collaboration, "plan": a.Decision.Release.Digest,
		"columns": a.Columns, "policies": a.Policies, "parameters": a.Parameters(),
	})
	if err != nil {
		return err
	}
	a.Question = canon.Sum(question)
	return nil
}

// Parameters is the digest of what shapes the release besides plan, policies and data: see ParametersJSON.
func (a *Analysis) Parameters() canon.Digest { return canon.Sum(a.ParametersJSON()) }

// ParametersJSON is the mechanism's Spec, with the rho that was chosen, as canonical JSON. Sensitivities are texts: they may have more
// digits than a number of JSON carries.
func (a *Analysis) ParametersJSON() []byte {
	type column struct {
		mechanism.Column
		Sensitivity string `json:"sensitivity"`
	}
	spec := a.Decision.Release.Spec
	columns := make([]column, len(spec.Columns))
	for i, c := range spec.Columns {
		columns[i] = column{c, c.Sensitivity.String()}
	}
	type plain mechanism.Spec
	b, err := canon.Marshal(struct {
		plain
		Columns []column `json:"columns"`
	}{plain(spec), columns})
	if err != nil {
		panic("query: a spec is always canonical JSON: " + err.Error())
	}
	return b
}

// Answer is the analysis as an answer without rows: refused, or explained with price and expected intervals.
func (a *Analysis) Answer(id string) answer.Answer {
	out := answer.Answer{QueryID: id, Verdict: answer.Released, Notes: a.Decision.Notes}
	if a.Refused() {
		out.Verdict = answer.Refused
		for _, r := range a.Decision.Refusals {
			out.Refusals = append(out.Refusals, told(r))
		}
		return out
	}
	spec := &a.Decision.Release.Spec
	out.Explained = true
	out.Columns, out.Mechanism = a.Columns, string(spec.Kind)
	out.WithheldPossible = spec.Kind == mechanism.Threshold || spec.Selects() || spec.MinUnits > 0
	out.Price = a.Price()
	out.Notes = append(append(append([]string{}, a.words...), a.notes()...), out.Notes...)
	for _, o := range a.outputs {
		out.Expected = append(out.Expected, o.expected(spec))
	}
	return out
}

// Price lists what each owner's namespace pays; what remains is for the ledger to say.
func (a *Analysis) Price() []answer.Price {
	var out []answer.Price
	for _, p := range a.Decision.Prices {
		out = append(out, answer.Price{Owner: p.Owner, Namespace: p.Namespace, Rho: p.Rho.Float(), Queries: p.Queries})
	}
	return out
}

func told(r refusal.Refusal) answer.Refusal {
	return answer.Refusal{Code: answer.Code(r.Code), Owner: r.Owner, Dataset: r.Dataset, Column: r.Column, Rule: r.Rule,
		Span: &answer.Span{Start: r.Span.Start, End: r.Span.End}, Message: r.Message, Suggestion: r.Suggestion}
}

// notes tell, in plain words, what the query counts and which bounds can bite. They follow from plan and policies alone.
func (a *Analysis) notes() []string {
	release := a.Decision.Release
	spec, b := &release.Spec, &release.Bounded
	out := []string{"Reads " + strings.Join(a.Decision.Datasets, ", ") + "."}
	if !b.OneRow {
		rows, count := counted(spec.RowsPerGroup, "row")
		out = append(out, fmt.Sprintf("At most %s of one unit %s in a group; a unit with more counts as %s of its own mean.", rows, count, rows))
	}
	if !b.OneGroup {
		groups, count := counted(spec.GroupsPerUnit, "group")
		out = append(out, fmt.Sprintf("At most %s of one unit %s.", groups, count))
	}
	switch {
	case spec.KeyCount == 0:
	case spec.PublicKeys && spec.Kind == mechanism.DifferentialPrivacy:
		out = append(out, fmt.Sprintf("The groups are declared; each whose noisy count of units reaches %d is shown.", spec.MinUnits))
	default:
		out = append(out, fmt.Sprintf("Groups are shown from about %d units; some groups may be withheld.", spec.MinUnits))
	}
	for _, c := range spec.Cells {
		if c.Kind != mechanism.CellCount {
			out = append(out, fmt.Sprintf("Values are clamped to [%g, %g].", c.Low, c.High))
		}
	}
	for _, o := range a.outputs {
		if o.mix != nil {
			out = append(out, "Intervals of columns that are computed from several aggregates are first-order approximations.")
		}
	}
	return unique(out)
}

// counted is n things, and the verb that goes with them: "1 row", "counts".
func counted(n int64, noun string) (things, verb string) {
	if n == 1 {
		return "1 " + noun, "counts"
	}
	return fmt.Sprintf("%d %ss", n, noun), "count"
}

func unique(list []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}
