package runtime

import (
	"maps"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"kstream/checkpoint"
	"kstream/record"
)

// metrics are the job's figures. Their names are part of what users rely on
// (docs/exactly-once.md).
type metrics struct {
	registry *prometheus.Registry

	starts         prometheus.Counter
	duration       *prometheus.HistogramVec
	epochsFailed   *prometheus.CounterVec
	skipped        *prometheus.CounterVec
	deadLetters    *prometheus.CounterVec
	diverted       *prometheus.CounterVec
	late           *prometheus.CounterVec
	storeWipes     *prometheus.CounterVec
	restoreRecords prometheus.Gauge
	restoreSeconds prometheus.Gauge
	fences         *prometheus.CounterVec
}

func newMetrics(j *Job) *metrics {
	labels := prometheus.Labels{"pipeline": j.plan.Name}
	for k, v := range j.plan.Spec.Metrics.Labels {
		labels[k] = v
	}
	m := &metrics{registry: prometheus.NewRegistry()}
	m.starts = prometheus.NewCounter(opts(labels, "kstream_starts_total", "Passes through start-up that reached the fence."))
	m.duration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "kstream_checkpoint_duration_seconds", Help: "Duration of the parts of a checkpoint.", ConstLabels: labels,
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
	}, []string{"part"})
	m.epochsFailed = counters(labels, "kstream_epochs_failed_total", "Attempts that ended in the failure path.", "class", "step")
	m.skipped = counters(labels, "kstream_records_skipped_total", "Records left out by on_error: skip.", "node", "code")
	m.deadLetters = counters(labels, "kstream_dead_letters_total", "Records written to the dead-letter topic.", "node", "code")
	m.diverted = counters(labels, "kstream_records_diverted_total", "Records handed to a side output of on_error.", "node", "code")
	m.late = counters(labels, "kstream_late_dropped_total", "Records that came behind their window and that nobody takes.", "node")
	m.storeWipes = counters(labels, "kstream_store_wipes_total", "Local stores given up and restored.", "reason")
	m.fences = counters(labels, "kstream_fences_total", "Times another process owned the pipeline.", "by")
	m.restoreRecords = prometheus.NewGauge(prometheus.GaugeOpts(opts(labels, "kstream_restore_records", "Records of the last restore.")))
	m.restoreSeconds = prometheus.NewGauge(prometheus.GaugeOpts(opts(labels, "kstream_restore_seconds", "Duration of the last restore.")))
	m.registry.MustRegister(m.starts, m.duration, m.epochsFailed, m.skipped, m.deadLetters, m.diverted, m.late, m.storeWipes, m.fences,
		m.restoreRecords, m.restoreSeconds)
	for name, g := range m.gauges(j) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts(opts(labels, name, g.help)), g.read))
	}
	for uid, n := range j.unconfirmed {
		o := prometheus.GaugeOpts(opts(labels, "kstream_handles_unconfirmed", "Files of committed checkpoints that have not appeared yet."))
		o.ConstLabels = maps.Clone(labels)
		o.ConstLabels["sink"] = uid
		m.registry.MustRegister(prometheus.NewGaugeFunc(o, func() float64 { return float64(n.Load()) }))
	}
	m.registry.MustRegister(&holders{job: j, desc: prometheus.NewDesc("kstream_watermark_holder",
		"The partition that holds event time back.", []string{"source", "partition"}, labels)})
	return m
}

// holders tells which partitions hold the watermark back.
type holders struct {
	job  *Job
	desc *prometheus.Desc
}

// Describe is prometheus.Collector.
func (h *holders) Describe(out chan<- *prometheus.Desc) { out <- h.desc }

// Collect is prometheus.Collector.
func (h *holders) Collect(out chan<- prometheus.Metric) {
	h.job.lifeMu.Lock()
	defer h.job.lifeMu.Unlock()
	l := h.job.life
	if l == nil || !l.ready {
		return
	}
	for _, s := range l.sources {
		if i := int(s.holder.Load()); i >= 0 && i < len(s.parts) {
			p := s.parts[i]
			out <- prometheus.MustNewConstMetric(h.desc, prometheus.GaugeValue, 1,
				s.source.Spec.UID, record.TopicPartition{Topic: p.Topic, Partition: p.Partition}.String())
		}
	}
}

type gauge struct {
	help string
	read func() float64
}

// gauges are read when they are asked for.
func (m *metrics) gauges(j *Job) map[string]gauge {
	ofLife := func(read func(l *life) float64) func() float64 {
		return func() float64 {
			j.lifeMu.Lock()
			defer j.lifeMu.Unlock()
			if j.life == nil {
				return 0 // asked before the job runs
			}
			return read(j.life)
		}
	}
	return map[string]gauge{
		"kstream_checkpoint_epoch": {"The last committed epoch.", func() float64 { return float64(j.status.epoch.Load()) }},
		"kstream_checkpoint_age_seconds": {"Time since the last commit.", func() float64 {
			return time.Since(time.UnixMilli(j.status.at.Load())).Seconds()
		}},
		"kstream_commit_stall_seconds":     {"Time sinks could not hand on a record during commits.", ofLife(func(l *life) float64 { return l.stall.seconds() })},
		"kstream_uncommitted_bytes":        {"Changed state of the running epoch.", ofLife(func(l *life) float64 { return float64(l.dirty.Load()) })},
		"kstream_hold_bytes":               {"Output held while a transaction commits.", ofLife(func(l *life) float64 { return float64(l.held.Load()) })},
		"kstream_source_lag_records":       {"Records behind the last stable offset.", ofLife((*life).lag)},
		"kstream_source_lso_lag":           {"Records of the inputs that are written and not decided.", ofLife((*life).lsoLag)},
		"kstream_source_partitions":        {"Partitions of the inputs that are read.", ofLife((*life).partitions)},
		"kstream_source_stalled_seconds":   {"Time since the last records came, while there is lag.", ofLife((*life).stalled)},
		"kstream_transaction_open_seconds": {"Age of the open transaction, from its first record.", ofLife((*life).transactionAge)},
		"kstream_store_unflushed_bytes":    {"Applied state that is not on disk yet.", ofLife((*life).unflushed)},
		"kstream_records_total":            {"Records taken in.", func() float64 { return float64(j.status.records.Load()) }},
		"kstream_backpressure_seconds":     {"Time tasks waited for room downstream.", ofLife((*life).backpressure)},
	}
}

func opts(labels prometheus.Labels, name, help string) prometheus.CounterOpts {
	return prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}
}

func counters(labels prometheus.Labels, name, help string, names ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(opts(labels, name, help), names)
}

// MetricsHandler serves the job's figures to Prometheus.
func (j *Job) MetricsHandler() http.Handler {
	return promhttp.HandlerFor(j.metrics.registry, promhttp.HandlerOpts{})
}

func (m *metrics) storeWipe(reason string) { m.storeWipes.WithLabelValues(reason).Inc() }

func (m *metrics) restored(records int64, took time.Duration) {
	m.restoreRecords.Set(float64(records))
	m.restoreSeconds.Set(took.Seconds())
}

func (m *metrics) failed(class checkpoint.Class, step string) {
	m.epochsFailed.WithLabelValues(class.String(), step).Inc()
}

var parts = map[checkpoint.EffectKind]string{
	checkpoint.EffectFlush: "flush", checkpoint.EffectOffsets: "offsets", checkpoint.EffectRecord: "record",
	checkpoint.EffectEnd: "end", checkpoint.EffectApply: "apply",
}

func (m *metrics) part(k checkpoint.EffectKind, took time.Duration) {
	if name, ok := parts[k]; ok {
		m.duration.WithLabelValues(name).Observe(took.Seconds())
	}
}

func (m *metrics) aligned(took time.Duration) {
	m.duration.WithLabelValues("align").Observe(took.Seconds())
}

func (m *metrics) committed(took time.Duration) {
	m.duration.WithLabelValues("all").Observe(took.Seconds())
}

// lsoLag is how much of the inputs is held back by open transactions.
func (l *life) lsoLag() float64 {
	var n int64
	if !l.ready {
		return 0
	}
	for _, s := range l.sources {
		for _, p := range s.parts {
			n += p.undecided.Load()
		}
	}
	return float64(n)
}

// partitions is how many partitions are read.
func (l *life) partitions() float64 {
	if !l.ready {
		return 0
	}
	n := 0
	for _, s := range l.sources {
		n += len(s.parts)
	}
	return float64(n)
}

// stalled is how long a partition with lag has had no records, at the most.
func (l *life) stalled() float64 {
	if !l.ready {
		return 0
	}
	longest := 0.0
	for _, s := range l.sources {
		for _, p := range s.parts {
			if at := p.fetchedAt.Load(); at > 0 && p.lag.Load() > 0 {
				longest = max(longest, time.Since(time.UnixMilli(at)).Seconds())
			}
		}
	}
	return longest
}

func (l *life) transactionAge() float64 {
	if at := l.openSince.Load(); at > 0 {
		return time.Since(time.UnixMilli(at)).Seconds()
	}
	return 0
}

func (l *life) unflushed() float64 {
	if !l.ready {
		return 0
	}
	return float64(l.db.UnflushedBytes())
}

// lag is how far the sources are behind what may be read.
func (l *life) lag() float64 {
	var n int64
	if !l.ready {
		return 0
	}
	for _, s := range l.sources {
		for _, p := range s.parts {
			n += p.lag.Load()
		}
	}
	return float64(n)
}

func (l *life) backpressure() float64 {
	var s float64
	for _, t := range l.made() {
		s += t.busy.seconds()
	}
	return s
}
