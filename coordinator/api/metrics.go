package api

import (
	"context"
	"math"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

	"concordat.dev/observe"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/fault"
)

// counts are what this coordinator counts of calls. Labels are words of the program: no person, text, dataset or owner.
type counts struct {
	calls   *prometheus.CounterVec
	denied  *prometheus.CounterVec
	queries *prometheus.CounterVec
	phases  *prometheus.HistogramVec
	uploads *prometheus.CounterVec
}

// notAnswered stands for the verdict of a query that ended in an error of the call.
const notAnswered = "error"

func newCounts() *counts {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	c := &counts{
		calls:   counter("concordat_calls_total", "Calls of people and workers by the code of their outcome; ok without an error.", "service", "method", "code"),
		denied:  counter("concordat_calls_denied_total", "Calls that were refused since the caller is nobody, or may not do that.", "operation"),
		queries: counter("concordat_queries_total", "Queries and explanations by verdict: released, refused, failed, or error where there was none.", "kind", "verdict"),
		uploads: counter("concordat_uploads_total", "Uploads that were opened and completed. Whether the data was accepted is told to its owner alone.", "step"),
		phases: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "concordat_query_phase_seconds",
			Help:    "How long a query was in a phase. Execution counts until its release may leave, on the time grid: it tells no more than an analyst sees.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900},
		}, []string{"phase"}),
	}
	for _, verdict := range []string{string(answer.Released), string(answer.Refused), string(answer.Failed), notAnswered} {
		c.queries.WithLabelValues("query", verdict)
	}
	return c
}

// budgetStep is how coarsely the fullest budget of a collaboration is told.
const budgetStep = 0.05

// Metrics tells of the calls that this coordinator serves, and of what it works with. It also takes the zero API, to be described.
func (a *API) Metrics() []prometheus.Collector {
	c := a.counts
	if c == nil {
		c = newCounts()
	}
	return []prometheus.Collector{c.calls, c.denied, c.queries, c.phases, c.uploads, observe.NewCollector([]observe.Metric{
		{Name: "concordat_caught_up", Kind: observe.Gauge, Help: "1 if this coordinator holds all that was acknowledged; 0 if it can not tell within half a second."},
		{Name: "concordat_storage_failing", Kind: observe.Gauge, Help: "1 if the object store did not answer when it was asked last, every ten seconds at most."},
		{Name: "concordat_collaborations", Kind: observe.Gauge, Help: "Collaborations of the ledger."},
		{Name: "concordat_budget_used_ratio", Kind: observe.Gauge, Help: "The fullest budget or quota of any owner in a collaboration, from 0 to 1 in steps of 0.05. " +
			"Whose it is, the people of the collaboration see.", Labels: []string{"collaboration"}},
	}, func(emit observe.Emit) {
		f := a.fitness(context.Background())
		emit("concordat_caught_up", truth(f.caughtUp))
		emit("concordat_storage_failing", truth(f.storage != storageOK))
		all := a.State.Collaborations()
		emit("concordat_collaborations", float64(len(all)))
		for _, id := range all {
			used := 0.0
			for _, b := range a.State.Balances(id, "") {
				used = max(used, b.Used)
			}
			emit("concordat_budget_used_ratio", math.Floor(used/budgetStep+1e-9)*budgetStep, id)
		}
	})}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// watched measures the phases of a query as it tells them. Execution, whose length depends on data, ends with the phase that is told on the
// time grid; where it ends otherwise, it is not measured.
type watched struct {
	counts *counts
	now    func() time.Time
	phase  string
	since  time.Time
}

func (w *watched) enter(phase string) {
	w.end(phase == phaseRecord)
	w.phase, w.since = phase, w.now()
}

func (w *watched) end(onGrid bool) {
	if w.phase == "" || w.phase == phaseRecord || w.phase == phaseExecute && !onGrid {
		return
	}
	w.counts.phases.WithLabelValues(w.phase).Observe(w.now().Sub(w.since).Seconds())
}

// leave ends the last phase, where that is none of execution.
func (w *watched) leave() {
	if w.phase != phaseExecute {
		w.end(false)
		w.phase = ""
	}
}

// asked counts a query by what came of it.
func (c *counts) asked(explain bool, a answer.Answer, err error) {
	kind, verdict := "query", string(a.Verdict)
	if explain {
		kind = "explanation"
	}
	if err != nil {
		verdict = notAnswered
	}
	c.queries.WithLabelValues(kind, verdict).Inc()
}

// judged counts what the gate denied.
func (c *counts) judged(op operation, err error) {
	if kind := fault.KindOf(err); kind == fault.Forbidden || kind == fault.Unauthenticated {
		c.denied.WithLabelValues(string(op)).Inc()
	}
}

// counted is an interceptor that counts calls.
type counted struct{ *counts }

func (c counted) call(spec connect.Spec, err error) {
	service, method, _ := strings.Cut(strings.TrimPrefix(spec.Procedure, "/concordat.v1."), "/")
	code := "ok"
	if err != nil {
		code = connect.CodeOf(err).String()
	}
	c.calls.WithLabelValues(service, method, code).Inc()
}

// WrapUnary implements connect.Interceptor.
func (c counted) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		res, err := next(ctx, req)
		c.call(req.Spec(), err)
		return res, err
	}
}

// WrapStreamingHandler implements connect.Interceptor.
func (c counted) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		err := next(ctx, conn)
		c.call(conn.Spec(), err)
		return err
	}
}

// WrapStreamingClient implements connect.Interceptor.
func (counted) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}
