package loader

import "concordat.dev/observe"

// memoryStep is how coarsely reserved memory is told: what a small table or query takes, and so its rows, is not to be read off.
const memoryStep = 64 << 20

// Metrics tells of the memory and the tables of a worker. Rows, bytes of a table, and how long loading took are not told.
func (l *Loader) Metrics() *observe.Collector {
	return observe.NewCollector([]observe.Metric{
		{Name: "concordat_worker_memory_budget_bytes", Kind: observe.Gauge, Help: "Memory that tables and running queries may take together."},
		{Name: "concordat_worker_memory_reserved_bytes", Kind: observe.Gauge, Help: "Memory reserved for tables and running queries, by estimate, up to whole steps of 64 MiB."},
		{Name: "concordat_worker_tables", Kind: observe.Gauge, Help: "Dataset versions in memory."},
		{Name: "concordat_worker_loads_total", Kind: observe.Counter, Help: "Dataset versions that were loaded."},
		{Name: "concordat_worker_evictions_total", Kind: observe.Counter, Help: "Dataset versions that had to make room for others."},
		{Name: "concordat_worker_too_large_total", Kind: observe.Counter, Help: "Queries that were told that they need more memory than this worker has."},
	}, func(emit observe.Emit) {
		s := l.Stats()
		emit("concordat_worker_memory_budget_bytes", float64(s.Budget))
		emit("concordat_worker_memory_reserved_bytes", float64((s.Reserved+memoryStep-1)/memoryStep*memoryStep))
		emit("concordat_worker_tables", float64(s.Tables))
		emit("concordat_worker_loads_total", float64(s.Loads))
		emit("concordat_worker_evictions_total", float64(s.Evictions))
		emit("concordat_worker_too_large_total", float64(s.TooLarge))
	})
}
