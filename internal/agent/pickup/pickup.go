// Package pickup takes mail from programs of this host, for anybody (a message submission agent without the network, RFC
// 6409): through run_dir/submit.sock, and from the files of data_dir/drop, which sendmail(1) leaves when no server takes
// its message. It is named after Postfix's program for the same work.
//
// The user id is the identity: the kernel's word, written into the log and the Received field. Every user may set any
// envelope sender, as with Postfix: the sender of a cron job is whom its failure concerns. Messages of one user are
// counted (sendmail.max_messages_per_hour), root's are not.
//
// The message is completed like any submission, and further: lines end in CRLF, a header that does not end is ended,
// addresses without a domain get the host's.
//
// On the socket a message for nobody is refused, with the reason. A recipient that cannot be reached among others that
// can is no reason to refuse: the sender gets a delivery status notification. From the drop folder everything that is a
// submission is taken, since its program was told that it would be; what cannot be delivered is reported to the sender.
//
// Durable before it is said: the id goes out, and the file away, after the acceptance is synced. The id is derived from
// the submission's token and the user, so that a file which is read again after a crash is the same message and not
// taken twice; the queue remembers an id as long as its journal or its ledgers do, a minute at least.
//
// Files: pickup.go (the agent) · submit.go (one message) · text.go (its bytes) · rate.go (how many) · drop.go (the drop
// folder) · aside.go (rubbish in it).
package pickup

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/decide/filter"
	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/decide/sieve"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/intake"
	"github.com/postrider/postrider/internal/submit"
)

// Admission bounds what may wait for delivery.
type Admission interface {
	// Admit returns nil when one more message may be taken; it may wait a while.
	Admit(ctx context.Context) error
}

// Settings are what a reload may change.
type Settings struct {
	Hostname    string
	Domain      string // of addresses without one
	MaxSize     int64  // bytes of a message
	MaxPerHour  int    // messages of one user; 0: no limit
	MaxReceived int
	Router      *route.Router
	Admission   Admission
	Gate        gate.Gate // who judges: milters, checks of the content; nil: nobody
	Traced      bool      // what rules find is told to Agent.Events (obs.Judged)
}

// Agent takes mail. It implements submit.Handler.
type Agent struct {
	Intake *intake.Intake
	Quota  route.Quota
	Filter filter.Filter
	Script sieve.Script
	Now    func() time.Time
	Events obs.Events
	Log    *slog.Logger

	settings atomic.Pointer[Settings]
	rates    rates
	refusals rates // that are logged
}

var _ submit.Handler = (*Agent)(nil)

// Set puts settings in force. s must not change any more.
func (a *Agent) Set(s *Settings) { a.settings.Store(s) }
