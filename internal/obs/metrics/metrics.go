// Package metrics is what a node measures of itself, and the pages that show it: /metrics in the form of Prometheus,
// /healthz and /readyz.
//
// Each node has a registry of its own, so two nodes of one process do not mix. Other packages see only the small
// interfaces Counter, Gauge and Histogram. Metrics is itself an obs.Events: outcomes add up to its counters. The package
// reports a wrong metric (two of one name that differ) by Err and never panics for it.
//
//	metrics.go   the registry; making counters, gauges, histograms
//	counters.go  what the outcomes add up to
//	attempts.go  what deliveries and attempts at other hosts add up to
//	set.go       gauges that come and go
//	http.go      the pages
package metrics

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// namespace stands before the name of every metric.
const namespace = "postrider"

// Metrics is one node's measurements. Its methods make a metric or return the one of that name; labels must have few
// values, never ones that a stranger can choose.
type Metrics struct {
	registry *prometheus.Registry
	events   counters
	errs     []error
}

// Counter only rises.
type Counter interface {
	Inc()
	Add(float64)
}

// Gauge goes up and down.
type Gauge interface {
	Set(float64)
	Add(float64)
}

// Histogram sorts observations into buckets.
type Histogram interface{ Observe(float64) }

// New makes the measurements of a node, with those of the Go runtime and the process.
func New(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	info := register(m, prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: "build_info", Help: "The version that runs."}, []string{"version"}))
	info.WithLabelValues(version).Set(1)
	m.events = newCounters(m)
	return m
}

// Err returns what was wrong with the metrics made so far: two of one name that differ. Node checks it at start.
func (m *Metrics) Err() error { return errors.Join(m.errs...) }

// Counter makes a counter without labels.
func (m *Metrics) Counter(name, help string) Counter {
	return register(m, prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}))
}

// CounterVec makes a counter with labels; the returned function picks one by the labels' values, in their order.
func (m *Metrics) CounterVec(name, help string, labels ...string) func(values ...string) Counter {
	v := register(m, prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels))
	return func(values ...string) Counter {
		c, err := v.GetMetricWithLabelValues(values...)
		if err != nil {
			return discard{} // wrong number of values; a test of the caller sees the zero
		}
		return c
	}
}

// Gauge makes a gauge without labels.
func (m *Metrics) Gauge(name, help string) Gauge {
	return register(m, prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}))
}

// GaugeFunc makes a gauge that is asked for its value when metrics are read.
func (m *Metrics) GaugeFunc(name, help string, value func() float64) {
	register(m, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, value))
}

// HistogramVec makes a histogram with labels, as CounterVec does.
func (m *Metrics) HistogramVec(name, help string, buckets []float64, labels ...string) func(values ...string) Histogram {
	v := register(m, prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels))
	return func(values ...string) Histogram {
		h, err := v.GetMetricWithLabelValues(values...)
		if err != nil {
			return discard{} // as in CounterVec
		}
		return h
	}
}

// Histogram makes a histogram; buckets are upper bounds, rising.
func (m *Metrics) Histogram(name, help string, buckets []float64) Histogram {
	return register(m, prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}))
}

// register adds a metric, or returns the one that is there already.
func register[C prometheus.Collector](m *Metrics, c C) C {
	err := m.registry.Register(c)
	if err == nil {
		return c
	}
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if old, ok := already.ExistingCollector.(C); ok {
			return old
		}
	}
	m.errs = append(m.errs, fmt.Errorf("metrics: %w", err))
	return c
}

type discard struct{}

func (discard) Inc()        {}
func (discard) Add(float64) {}

func (discard) Observe(float64) {}
