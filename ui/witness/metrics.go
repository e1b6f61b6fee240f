package witness

import (
	"context"
	"net/http"
	"os"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"concordat.dev/observe"
	"concordat.dev/protocol/version"
)

// Program names a witness in its metrics.
const Program = "concordat-witness"

// answered notes the status of a response.
type answered struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (a *answered) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

func (w *Witness) count(a *answered) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers[a.status]++
}

func (w *Witness) collectors() []prometheus.Collector {
	log := []string{"log"}
	return append(observe.Process(Program, version.Number), observe.Disk(w.dir), observe.NewCollector([]observe.Metric{
		{Name: "concordat_witness_log_size", Kind: observe.Gauge, Help: "Entries of a log that this witness cosigned last.", Labels: log},
		{Name: "concordat_witness_log_cosigned_timestamp_seconds", Kind: observe.Gauge, Help: "Unix time of its last cosignature of a log since the start.", Labels: log},
		{Name: "concordat_witness_answers_total", Kind: observe.Counter, Help: "Requests to cosign by HTTP status: 200 cosigned, 409 another size or root, 422 no proof that the log only grew.", Labels: []string{"status"}},
	}, func(emit observe.Emit) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, l := range w.logs {
			emit("concordat_witness_log_size", float64(l.head.size), l.verifier.Name())
			if !l.signed.IsZero() {
				emit("concordat_witness_log_cosigned_timestamp_seconds", float64(l.signed.Unix()), l.verifier.Name())
			}
		}
		for status, n := range w.answers {
			emit("concordat_witness_answers_total", float64(n), strconv.Itoa(status))
		}
	}))
}

// Metrics describes all that a witness tells whoever runs it.
func Metrics() []observe.Described { return observe.Describe((&Witness{}).collectors()...) }

// Observed serves metrics and health of a witness. It is ready while it can store what it sees.
func (w *Witness) Observed() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(w.collectors()...)
	return observe.Handler(registry, func(context.Context) error {
		_, err := os.Stat(w.dir)
		return err
	})
}
