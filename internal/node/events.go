package node

import (
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
)

// delivered turns the queue's outcome of one recipient into the log's.
func (n *Node) delivered(j *flow.Job, r *flow.Recipient, o *flow.Outcome) {
	n.suppression.learn(j, r, o)
	d := obs.Delivery{ID: j.ID, To: r.To, Transport: r.Transport.String(), Relay: o.Relay, Delay: o.At.Sub(j.Received), Delays: o.Delays,
		DSN: o.Status, Class: o.Class.String(), Text: o.Reply}
	if r.Original != r.To {
		d.OrigTo = r.Original
	}
	switch o.Result {
	case flow.Delivered, flow.Relayed:
		d.Outcome = obs.Sent
		if d.DSN.IsZero() {
			d.DSN = status.Enhanced{Class: status.Success}
		}
	case flow.Failed:
		d.Outcome = obs.Bounced
		if o.Status == (status.Enhanced{Class: status.Permanent, Subject: 4, Detail: 7}) {
			d.Outcome = obs.Expired
		}
	default:
		d.Outcome = obs.Deferred
	}
	n.events.Emit(d)
}

// watchMetrics makes the gauges that are read when asked for.
func (n *Node) watchMetrics() {
	for _, state := range []string{"incoming", "active", "deferred", "hold"} {
		n.metrics.GaugeFunc("queue_"+state, "Messages in the queue that are "+state+".", func() float64 { return float64(n.queue.Counts()[state]) })
	}
	n.metrics.GaugeFunc("journal_unsettled", "Accepted messages that only the journal carries.", func() float64 { return float64(n.blobs.Unsettled()) })
	n.metrics.GaugeFunc("db_commits", "Group commits of the database since the start.", func() float64 { return float64(n.db.Stats().Commits) })
	n.metrics.GaugeFunc("db_writes", "Writes in those commits.", func() float64 { return float64(n.db.Stats().Writes) })
	n.metrics.GaugeFunc("db_log_pages", "Pages in the database's write-ahead log.", func() float64 { return float64(n.db.Stats().LogPages) })
	n.metrics.GaugeFunc("pack_commits", "Records acknowledged by the packs since the start.", func() float64 { return float64(n.blobs.Stats().Commits) })
	n.metrics.GaugeFunc("pack_syncs", "Syncs of the packs since the start.", func() float64 { return float64(n.blobs.Stats().Syncs) })
	n.watchCrowds()
	n.watchQueue()
	n.metrics.GaugeFunc("disk_free_bytes", "Free space where the state lies.", func() float64 { return float64(n.space.free()) })
}
