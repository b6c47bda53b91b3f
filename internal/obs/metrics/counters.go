package metrics

import (
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/obs"
)

// counters are what the outcomes add up to.
type counters struct {
	connections func(values ...string) Counter
	accepted    func(values ...string) Counter
	bytes       Counter
	queued      func(values ...string) Counter
	delivery    deliveries
	attempt     attempts
	rejected    func(values ...string) Counter
	logins      func(values ...string) Counter
	screened    func(values ...string) Counter
}

func newCounters(m *Metrics) counters {
	return counters{
		connections: m.CounterVec("connections_total", "Connections taken.", "service"),
		accepted:    m.CounterVec("messages_accepted_total", "Messages accepted from clients.", "service"),
		bytes:       m.Counter("message_bytes_accepted_total", "Bytes of accepted messages."),
		queued:      m.CounterVec("messages_made_total", "Messages that Postrider made: bounces, redirects.", "kind"),
		delivery:    newDeliveries(m),
		attempt:     newAttempts(m),
		rejected:    m.CounterVec("rejections_total", "Commands refused.", "service", "reason", "code"),
		logins:      m.CounterVec("logins_total", "Logins.", "service", "mech", "result"),
		screened:    m.CounterVec("screened_total", "What the tests of unknown clients found.", "found"),
	}
}

// Emit counts an outcome.
func (m *Metrics) Emit(e obs.Event) {
	c := &m.events
	switch e := e.(type) {
	case obs.Connect:
		c.connections(e.Service).Inc()
	case obs.Accepted:
		c.accepted(e.Service).Inc()
		c.bytes.Add(float64(max(0, e.Size)))
	case obs.Submitted:
		c.accepted("sendmail").Inc()
		c.bytes.Add(float64(max(0, e.Size)))
	case obs.Queued:
		c.queued(e.Kind).Inc()
	case obs.Delivery:
		c.delivery.count(&e)
	case obs.Attempt:
		c.attempt.count(&e)
	case obs.Rejected:
		code := ""
		if e.Error != nil {
			code = strconv.Itoa(e.Error.Code)
		}
		c.rejected(e.Service, string(e.Reason), code).Inc()
	case obs.Screened:
		c.screened(strings.ReplaceAll(strings.ToLower(string(e.What)), " ", "_")).Inc()
	case obs.AuthFailed:
		c.logins(e.Service, knownMech(e.Mech), "failed").Inc()
	case obs.Login:
		c.logins(e.Service, knownMech(e.Mech), "ok").Inc()
	case obs.Disconnect, obs.Removed, obs.Logout, obs.Judged: // counted by their beginnings
	}
}

// knownMech bounds the values of the label: the name of a mechanism is the client's choice.
func knownMech(mech string) string {
	switch mech {
	case "PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "OAUTHBEARER", "XOAUTH2", "EXTERNAL":
		return mech
	}
	return "other"
}
