package admission

import "concordat.dev/observe"

// Metrics tells of gates, each by the name of its work, which is the one label. How long work waited is not told: that depends on how long
// other work took, and so on data.
func Metrics(gates map[string]func() Counts) *observe.Collector {
	work := []string{"work"}
	return observe.NewCollector([]observe.Metric{
		{Name: "concordat_admission_running", Kind: observe.Gauge, Help: "Pieces of work that go on.", Labels: work},
		{Name: "concordat_admission_queued", Kind: observe.Gauge, Help: "Pieces of work that wait for their turn, or for memory.", Labels: work},
		{Name: "concordat_admission_admitted_total", Kind: observe.Counter, Help: "Pieces of work that began.", Labels: work},
		{Name: "concordat_admission_waited_total", Kind: observe.Counter, Help: "Pieces of work that began and had to wait before.", Labels: work},
		{Name: "concordat_admission_turned_away_total", Kind: observe.Counter, Help: "Pieces of work that were sent to other workers, since too much waited here.", Labels: work},
		{Name: "concordat_admission_left_total", Kind: observe.Counter, Help: "Pieces of work whose caller went away while they waited.", Labels: work},
	}, func(emit observe.Emit) {
		for name, counts := range gates {
			c := counts()
			emit("concordat_admission_running", float64(c.Running), name)
			emit("concordat_admission_queued", float64(c.Queued), name)
			emit("concordat_admission_admitted_total", float64(c.Admitted), name)
			emit("concordat_admission_waited_total", float64(c.Waited), name)
			emit("concordat_admission_turned_away_total", float64(c.TurnedAway), name)
			emit("concordat_admission_left_total", float64(c.Left), name)
		}
	})
}
