package witness

import (
	"strings"

	"concordat.dev/observe"
)

// Metrics tells of the log and its witnesses. Sizes are entries of the log, which is public.
func (c *Collector) Metrics() *observe.Collector {
	collaboration, witness := []string{"collaboration"}, []string{"witness"}
	return observe.NewCollector([]observe.Metric{
		{Name: "concordat_log_size", Kind: observe.Gauge, Help: "Entries of the transparency log."},
		{Name: "concordat_log_cosigned_size", Kind: observe.Gauge, Help: "Entries that the quorum of a collaboration's manifest in force cosigned.", Labels: collaboration},
		{Name: "concordat_log_cosigned_timestamp_seconds", Kind: observe.Gauge, Help: "Unix time, by the witnesses' clocks, of a collaboration's newest cosigned checkpoint.", Labels: collaboration},
		{Name: "concordat_log_unprotected", Kind: observe.Gauge, Help: "Collaborations whose manifest demands no witness: their ledger is not rollback-protected."},
		{Name: "concordat_witness_size", Kind: observe.Gauge, Help: "Entries of the log that a witness cosigned last, as this coordinator saw; only the leader asks.", Labels: witness},
		{Name: "concordat_witness_failing", Kind: observe.Gauge, Help: "1 if a witness did not cosign when it was asked last.", Labels: witness},
	}, func(emit observe.Emit) {
		emit("concordat_log_size", float64(c.State.Tree().Size()))
		emit("concordat_log_unprotected", float64(len(c.State.Unprotected())))
		for _, d := range c.State.Demands() {
			if !d.InForce {
				continue
			}
			emit("concordat_log_cosigned_size", float64(d.Size), d.Collaboration)
			if !d.At.IsZero() {
				emit("concordat_log_cosigned_timestamp_seconds", float64(d.At.Unix()), d.Collaboration)
			}
		}
		for _, w := range c.Status() {
			name, _, _ := strings.Cut(w.Key, "+")
			emit("concordat_witness_size", float64(w.Size), name)
			failing := 0.0
			if w.Fault != nil {
				failing = 1
			}
			emit("concordat_witness_failing", failing, name)
		}
	})
}
