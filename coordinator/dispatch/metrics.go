package dispatch

import "concordat.dev/observe"

// outcomes name what came of calls to workers, in metrics.
var outcomes = [...]string{meant: "answered", lost: "lost", busy: "busy", tooLarge: "too_large"}

// Metrics tells of the workers that announced themselves here, and of the work that they have. What is loaded is named nowhere.
func (p *Pool) Metrics() *observe.Collector {
	worker := []string{"worker"}
	return observe.NewCollector([]observe.Metric{
		{Name: "concordat_dispatch_workers", Kind: observe.Gauge, Help: "Workers that announced themselves to this coordinator in the last three seconds."},
		{Name: "concordat_dispatch_running", Kind: observe.Gauge, Help: "Pieces of work that this coordinator gave to workers: analyses, executions, ingests."},
		{Name: "concordat_dispatch_waiting", Kind: observe.Gauge, Help: "Pieces of work that no worker takes now."},
		{Name: "concordat_dispatch_calls_total", Kind: observe.Counter, Help: "Calls to workers by what came of them: answered, lost, busy, too_large.", Labels: []string{"outcome"}},
		{Name: "concordat_dispatch_worker_running", Kind: observe.Gauge, Help: "Queries at work on a worker, as it told.", Labels: worker},
		{Name: "concordat_dispatch_worker_queued", Kind: observe.Gauge, Help: "Queries that wait on a worker, as it told.", Labels: worker},
		{Name: "concordat_dispatch_worker_slots", Kind: observe.Gauge, Help: "Queries that may be at work on a worker at once.", Labels: worker},
	}, func(emit observe.Emit) {
		workers := p.Workers()
		given, waiting := p.Load()
		emit("concordat_dispatch_workers", float64(len(workers)))
		emit("concordat_dispatch_running", float64(given))
		emit("concordat_dispatch_waiting", float64(waiting))
		for o, name := range outcomes {
			emit("concordat_dispatch_calls_total", float64(p.calls[o].Load()), name)
		}
		for _, w := range workers {
			emit("concordat_dispatch_worker_running", float64(w.Running), w.ID)
			emit("concordat_dispatch_worker_queued", float64(w.Queued), w.ID)
			emit("concordat_dispatch_worker_slots", float64(w.Slots), w.ID)
		}
	})
}
