// Package observe is what a process tells whoever runs it: metrics for Prometheus, health, traces, and the id of a request.
//
// Invariant: nothing here is told to people who ask queries, and what is told holds ids, counts of calls and bytes of memory in coarse steps:
// never a text, a value, a name of a person, or a number of rows, groups or units. Registries and providers are passed in; none is global.
//
// Sees: metadata
package observe

import (
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Kind is what a series is: a level that goes up and down, or a count since the start of the process.
type Kind = prometheus.ValueType

// The kinds of series that a Collector gives.
const (
	Gauge   = prometheus.GaugeValue
	Counter = prometheus.CounterValue
)

// Metric is a series, as its package describes it.
type Metric struct {
	Name   string
	Kind   Kind
	Help   string
	Labels []string
}

// Emit gives the value of a metric now, with the values of its labels in their order.
type Emit func(name string, value float64, labels ...string)

// Collector reads a snapshot of a package's own counts whenever it is asked. It is safe for concurrent use if read is.
type Collector struct {
	descs map[string]*prometheus.Desc
	kinds map[string]Kind
	order []string
	read  func(Emit)
}

// NewCollector makes a collector. Names that are not among the metrics are a mistake of the program: Emit panics.
func NewCollector(metrics []Metric, read func(Emit)) *Collector {
	c := &Collector{descs: map[string]*prometheus.Desc{}, kinds: map[string]Kind{}, read: read}
	for _, m := range metrics {
		c.descs[m.Name] = prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
		c.kinds[m.Name] = m.Kind
		c.order = append(c.order, m.Name)
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, name := range c.order {
		out <- c.descs[name]
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	c.read(func(name string, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(c.descs[name], c.kinds[name], value, labels...)
	})
}

// Described is what a collector says of one of its metrics.
type Described struct {
	Name   string
	Help   string
	Labels []string
}

// described reads the text form of a description, the only one that the library gives away.
var described = regexp.MustCompile(`^Desc\{fqName: "([^"]*)", help: "((?:[^"\\]|\\.)*)", (?:unit: "[^"]*", )?constLabels: \{([^}]*)\}, variableLabels: \{([^}]*)\}\}$`)

// Describe tells of all metrics of collectors, by name.
func Describe(collectors ...prometheus.Collector) []Described {
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		for _, c := range collectors {
			c.Describe(descs)
		}
	}()
	var out []Described
	for d := range descs {
		m := described.FindStringSubmatch(d.String())
		if m == nil {
			panic("observe: the library describes metrics in another form: " + d.String())
		}
		one := Described{Name: m[1], Help: strings.ReplaceAll(m[2], `\"`, `"`)}
		for _, label := range strings.Split(m[4], ",") {
			if label != "" {
				one.Labels = append(one.Labels, label)
			}
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b Described) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(out, func(a, b Described) bool { return a.Name == b.Name })
}
