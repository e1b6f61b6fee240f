// Package sandbox runs queries over files of one's own machine: policies, engine and release as in a worker of a mesh, in one
// process, without mesh, signatures or log. Keys are fresh in each process, so the noise differs from run to run.
//
// Invariant: a query is answered, refused or failed exactly as a worker would, budgets included, which here last as long as the process.
//
// Sees: plaintext rows
package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"concordat.dev/policies/budget"
	"concordat.dev/policies/mechanism"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/worker/engine"
	"concordat.dev/worker/ingest"
	"concordat.dev/worker/noise"
	"concordat.dev/worker/query"
	"concordat.dev/worker/token"
)

// Sandbox holds a bundle and its loaded datasets.
type Sandbox struct {
	bundle   *document.Bundle
	analyser *query.Analyser
	executor query.Executor
	root     []byte
	loaded   map[string]query.Dataset
	ledger   *budget.Ledger
	stored   map[canon.Digest]answer.Answer
	log      zerolog.Logger
	now      func() time.Time
	asked    int
}

// Open starts a sandbox. Close it.
func Open(bundle *document.Bundle, cfg engine.Config, log zerolog.Logger, now func() time.Time) (*Sandbox, error) {
	if problems := bundle.Validate(document.Draft); len(problems) > 0 {
		var all []error
		for _, p := range problems {
			all = append(all, errors.New(p.String()))
		}
		return nil, errors.Join(all...)
	}
	analyser, err := query.NewAnalyser()
	if err != nil {
		return nil, err
	}
	e, err := engine.Open(cfg)
	if err != nil {
		return nil, errors.Join(err, analyser.Close())
	}
	s := &Sandbox{bundle: bundle, analyser: analyser, root: make([]byte, 32), loaded: map[string]query.Dataset{}, log: log, now: now}
	s.executor.Engine = e
	_, _ = rand.Read(s.root) // never fails
	s.Renew()
	return s, nil
}

// Renew is as good as a new sandbox with the same data: fresh noise, no stored answers, nothing spent.
func (s *Sandbox) Renew() {
	var key noise.Key
	_, _ = rand.Read(key[:])
	s.executor.Noise, s.ledger, s.stored = key, budget.New(), map[canon.Digest]answer.Answer{}
	for id, p := range s.bundle.Policies {
		if !p.Unit.None {
			s.ledger.Declare(p.Owner, id, p.Unit.Namespace)
		}
	}
}

// Close frees everything.
func (s *Sandbox) Close() error { return errors.Join(s.executor.Engine.Close(), s.analyser.Close()) }

// Load reads a CSV file (gzip too) as a dataset. Errors name rows, columns and values: the files are the caller's own.
func (s *Sandbox) Load(ctx context.Context, dataset, path string) error {
	policy, ok := s.bundle.Policies[dataset]
	if !ok {
		return fmt.Errorf("--data %s: the manifest has no dataset of this name", dataset)
	}
	options := ingest.Options{Policy: *policy, ShowValues: true}
	if !policy.Unit.None {
		var err error
		m := s.bundle.Manifest
		if options.Tokenizer, options.Second, err = token.ForUnit(s.root, m.Collaboration, policy.Unit, m.Namespaces[policy.Unit.Namespace]); err != nil {
			return err
		}
	}
	rows, report, err := ingest.All(ctx, options, ingest.Path(path))
	if err != nil {
		all := []error{fmt.Errorf("--data %s=%s: %w", dataset, path, err)}
		for _, e := range report.Errors {
			all = append(all, errors.New(e.String()))
		}
		return errors.Join(all...)
	}
	defer func() { _ = rows.Reset() }()
	reader, err := rows.Reader()
	if err != nil {
		return err
	}
	defer reader.Release()
	if !policy.Unit.None {
		numbered, err := ingest.Numbered(reader, policy.Unit.Column)
		if err != nil {
			return err
		}
		defer numbered.Release()
		reader = numbered
	}
	if err := s.executor.Engine.Load(ctx, dataset, policy, reader); err != nil {
		return err
	}
	s.loaded[dataset] = query.Dataset{ID: dataset, Loaded: dataset, Digest: canon.Sum([]byte(path))}
	return nil
}

// Query answers one text. It never fails: what goes wrong is in the answer.
func (s *Sandbox) Query(ctx context.Context, text string, rho float64, explain bool) answer.Answer {
	s.asked++
	id := fmt.Sprintf("sandbox-%d", s.asked)
	a, err := s.analyser.Analyse(ctx, s.bundle, text, rho)
	if err != nil {
		return s.failed(id, err)
	}
	out := a.Answer(id)
	if a.Refused() {
		return out
	}
	if stored, ok := s.stored[a.Question]; ok && !explain {
		stored.QueryID = id
		return stored
	}
	charges := s.charges(a)
	if explain { // which needs no data: policies are tried before there is any
		out.Price = s.remaining(out.Price, a, charges, true)
		return out
	}
	datasets, missing := s.datasets(a)
	if missing != "" {
		return refused(id, answer.DatasetMissing, missing, "There is no data for "+missing+" yet.", "Give it with --data "+missing+"=FILE.")
	}
	if err := s.ledger.Reserve(id, charges, s.now()); err != nil {
		return s.exhausted(id, err)
	}
	price := s.remaining(out.Price, a, charges, false)
	out, err = s.executor.Execute(ctx, a, datasets)
	if err != nil {
		return s.failed(id, err)
	}
	out.QueryID, out.Price = id, price
	s.stored[a.Question] = out
	return out
}

func refused(id string, code answer.Code, dataset, message, suggestion string) answer.Answer {
	return answer.Answer{QueryID: id, Verdict: answer.Refused, Refusals: []answer.Refusal{{Code: code, Dataset: dataset, Message: message, Suggestion: suggestion}}}
}

// failed is the one constant failure; the cause goes to the log.
func (s *Sandbox) failed(id string, err error) answer.Answer {
	event := s.log.Error().Str("incident", id).Err(err)
	var f *engine.Failure
	if errors.As(err, &f) {
		event = event.AnErr("cause", f.Cause)
	}
	event.Msg("query failed")
	return answer.Answer{QueryID: id, Verdict: answer.Failed, Failure: &answer.Failure{Message: query.FailureMessage, Incident: id}}
}

func (s *Sandbox) datasets(a *query.Analysis) (list []query.Dataset, missing string) {
	for _, id := range a.Decision.Datasets {
		d, ok := s.loaded[id]
		if !ok {
			return nil, id
		}
		list = append(list, d)
	}
	return list, ""
}

func (s *Sandbox) charges(a *query.Analysis) []budget.Charge {
	var out []budget.Charge
	for _, p := range a.Decision.Prices {
		c := budget.Charge{Owner: p.Owner, Key: budget.Key{Owner: p.Owner, Namespace: p.Namespace}.String(), Amount: budget.Amount{Rho: p.Rho, Queries: p.Queries}}
		for _, id := range p.Datasets {
			if limit, ok, err := budget.LimitOf(s.bundle.Policies[id]); ok && err == nil {
				c.Limits = append(c.Limits, limit)
			}
		}
		out = append(out, c)
	}
	return out
}

func (s *Sandbox) exhausted(id string, err error) answer.Answer {
	var short *budget.Shortage
	if !errors.As(err, &short) {
		return s.failed(id, err)
	}
	out := refused(id, answer.BudgetExhausted, "", short.Error(), "Ask for less, choose a smaller --rho, or wait for the next period.")
	out.Refusals[0].Owner = short.Owner
	return out
}

// remaining fills in what the ledger knows. With preview the price is not charged yet.
func (s *Sandbox) remaining(prices []answer.Price, a *query.Analysis, charges []budget.Charge, preview bool) []answer.Price {
	for i := range prices {
		c := charges[i]
		key := budget.Key{Owner: c.Owner, Namespace: a.Decision.Prices[i].Namespace}
		left := s.ledger.Account(key).Remaining(c.Limits, s.now())
		total := s.ledger.Total(key)
		if preview {
			left.Rho, left.Queries, total.Rho = left.Rho-c.Amount.Rho, left.Queries-c.Amount.Queries, total.Rho+c.Amount.Rho
		}
		more := left.More(c.Amount)
		prices[i].AboutMore = &more
		if c.Amount.Queries > 0 {
			prices[i].RemainingQueries = &left.Queries
			continue
		}
		rho, epsilon := left.Rho.Float(), mechanism.Epsilon(total.Rho, delta(s.bundle, a.Decision.Prices[i].Datasets)/2)
		prices[i].RemainingRho, prices[i].EpsilonSpent = &rho, &epsilon
	}
	return prices
}

// delta is the smallest that the owner's policies name; half of it belongs to the selection of groups (PRIVACY.md R7).
func delta(bundle *document.Bundle, datasets []string) float64 {
	out := 1.0
	for _, id := range datasets {
		if b := bundle.Policies[id].Budget; b != nil && b.Delta > 0 {
			out = min(out, b.Delta)
		}
	}
	return out
}
