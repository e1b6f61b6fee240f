package query

import (
	"context"
	"fmt"
	"math"
	"sort"
	"strconv"
	"time"

	"concordat.dev/policies/mechanism"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/canon"
	"concordat.dev/sql/eval"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/render"
	"concordat.dev/worker/engine"
	"concordat.dev/worker/noise"
	"concordat.dev/worker/release"
)

// Dataset is a loaded dataset version.
type Dataset struct {
	ID     string
	Digest canon.Digest // of its sealed file
	Loaded string       // the name it was loaded under
}

// Executor runs decided plans.
type Executor struct {
	Engine *engine.Engine
	Noise  noise.Key // from the workers' secret: the same question has the same release
}

// Execute runs an accepted analysis over loaded datasets, one for each of Decision.Datasets in that order. An error is a fault of the
// engine or a cancelled context; its text may stay in the log of the enclave and nowhere else.
func (x *Executor) Execute(ctx context.Context, a *Analysis, datasets []Dataset) (answer.Answer, error) {
	decided := a.Decision.Release
	names := map[string]string{}
	binding := release.Context{Plan: decided.Cells, Parameters: string(a.Parameters())}
	for i, d := range datasets {
		names[d.ID] = d.Loaded
		binding.Datasets = append(binding.Datasets, d.ID+" "+string(d.Digest))
		binding.Policies = append(binding.Policies, string(a.Policies[i]))
	}
	tables, err := x.Engine.Tables(names)
	if err != nil {
		return answer.Answer{}, err
	}
	// the salt holds no digest: which groups of a unit count is the same for every query and version
	salt := fmt.Sprintf("%x", x.Noise.Derive([]byte("bounding")))
	groups, err := x.Engine.Groups(ctx, &decided.Bounded, decided.Exempt, render.Params{Tables: tables, Salt: salt}, decided.Spec.MinUnits)
	if err != nil {
		return answer.Answer{}, err
	}
	result, err := release.Release(&decided.Spec, declared(&decided.Spec, groups), x.Noise, binding)
	if err != nil {
		return answer.Answer{}, fmt.Errorf("query: release: %w", err)
	}
	return a.released(result), nil
}

// declared leaves out groups whose keys are not among the declared values: the plan can not make them, NULLs of other domains apart.
func declared(spec *mechanism.Spec, groups []release.Group) []release.Group {
	if !spec.PublicKeys || spec.KeyCount == 0 {
		return groups
	}
	known := make([]map[any]bool, spec.KeyCount)
	for i, values := range spec.Domain {
		known[i] = map[any]bool{}
		for _, v := range values {
			known[i][v] = true
		}
	}
	var out []release.Group
	for _, g := range groups {
		all := true
		for i, k := range g.Keys {
			all = all && known[i][k]
		}
		if all {
			out = append(out, g)
		}
	}
	return out
}

// released computes the answer from released rows: HAVING, ORDER BY, LIMIT and all other arithmetic see only these.
func (a *Analysis) released(result release.Result) answer.Answer {
	out := a.Answer("")
	out.Explained, out.Expected, out.Notes = false, nil, append(a.notes(), a.Decision.Notes...)
	out.WithheldPossible = result.WithheldPossible
	spec := &a.Decision.Release.Spec
	source := make([][]any, len(result.Rows))
	for i, r := range result.Rows {
		values := append([]any{}, r.Keys...)
		for _, c := range r.Cells {
			values = append(values, c.Value)
		}
		source[i] = values
	}
	rows := eval.Relation(a.Decision.Release.Outer, func(plan.Relation) [][]any { return source })
	if !ordered(a.Decision.Release.Outer) {
		a.sortByKeys(rows)
	}
	for _, row := range rows {
		values := make([]any, len(row.Values))
		intervals := make([]*answer.Interval, len(row.Values))
		for i, v := range row.Values {
			values[i] = jsonValue(v, plan.Type(a.Columns[i].Type))
			o := a.outputs[i]
			switch {
			case v == nil:
			case o.mix != nil:
				intervals[i] = o.propagated(source[row.From], spec.KeyCount, result.Rows[row.From].Cells, spec.Kind == mechanism.Threshold)
			case o.cell >= 0:
				c := result.Rows[row.From].Cells[o.cell]
				intervals[i] = o.interval(source[row.From], spec.KeyCount, c.Low, c.High)
			}
		}
		out.Rows, out.Intervals = append(out.Rows, values), append(out.Intervals, intervals)
	}
	return out
}

// ordered says that the text asked for an order.
func ordered(r plan.Relation) bool {
	if _, is := r.(*plan.Sort); is {
		return true
	}
	for _, in := range r.Inputs() {
		if ordered(in) {
			return true
		}
	}
	return false
}

// sortByKeys gives rows without ORDER BY the order of their key columns as the answer shows them.
func (a *Analysis) sortByKeys(rows []eval.Row) {
	sort.SliceStable(rows, func(i, j int) bool {
		for c, o := range a.outputs {
			if o.kind != answer.Key {
				continue
			}
			if cmp := eval.Order(rows[i].Values[c], rows[j].Values[c]); cmp != 0 {
				return cmp < 0
			}
		}
		return false
	})
}

// maxExact is the largest integer that every reader of JSON keeps (RFC 8259, section 6).
const maxExact = 1<<53 - 1

func jsonValue(v any, t plan.Type) any {
	switch v := v.(type) {
	case int64:
		if v > maxExact || v < -maxExact {
			return strconv.FormatInt(v, 10)
		}
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
	case time.Time:
		if t == plan.Date {
			return v.Format("2006-01-02")
		}
		return v.Format(time.RFC3339)
	}
	return v
}

// FailureMessage is the one message of every failure (PRIVACY.md section 8): what went wrong stays inside.
const FailureMessage = "The query failed. Nothing more can be said here; the operator finds the incident in the worker's log."
