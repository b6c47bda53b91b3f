package metrics

import "github.com/prometheus/client_golang/prometheus"

// GaugeSet makes gauges of one name that differ in a label and come and go: values is asked for all of them when metrics
// are read.
func (m *Metrics) GaugeSet(name, help, label string, values func() map[string]float64) {
	register(m, &gaugeSet{prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, []string{label}, nil), values})
}

type gaugeSet struct {
	desc   *prometheus.Desc
	values func() map[string]float64
}

// Describe implements prometheus.Collector.
func (g *gaugeSet) Describe(c chan<- *prometheus.Desc) { c <- g.desc }

// Collect implements prometheus.Collector.
func (g *gaugeSet) Collect(c chan<- prometheus.Metric) {
	for value, v := range g.values() {
		if m, err := prometheus.NewConstMetric(g.desc, prometheus.GaugeValue, v, value); err == nil {
			c <- m
		}
	}
}
