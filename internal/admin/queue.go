package admin

import "time"

// JobFilter says which messages in the queue are meant: those that have all of what is said. The zero value takes all.
type JobFilter struct {
	IDs []string `json:"queue_ids,omitempty"`
	// States are incoming, active, deferred, hold and corrupt.
	States []string `json:"states,omitempty"`
	// Sender and Recipient are an address, @domain, or a pattern with * and ?; "<>" is the null reverse-path. Letter case
	// does not matter.
	Sender    string `json:"sender,omitempty"`
	Recipient string `json:"recipient,omitempty"`
	Site      string `json:"site,omitempty"` // as QueueStats names it
	Transport string `json:"transport,omitempty"`
	// Classes are reasons for waiting: greylisted, throttled, full …
	Classes []string  `json:"classes,omitempty"`
	Reason  string    `json:"reason,omitempty"`    // part of the words of the last attempt
	Before  time.Time `json:"before,omitzero"`     // arrival
	After   time.Time `json:"after,omitzero"`      // arrival
	Limit   int       `json:"limit,omitempty"`     // 0: no limit
	Offset  string    `json:"behind_id,omitempty"` // only those behind this one in a list
}

// IsZero tells whether the filter takes all.
func (f JobFilter) IsZero() bool {
	return len(f.IDs)+len(f.States)+len(f.Classes)+f.Limit == 0 && f.Before.IsZero() && f.After.IsZero() &&
		f.Sender+f.Recipient+f.Site+f.Transport+f.Reason+f.Offset == ""
}

// MaxJobIDs bounds JobFilter.IDs.
const MaxJobIDs = 10_000

// Job is a message in the queue. The keys are those of Postfix's `postqueue -j` where it has them.
type Job struct {
	ID         string      `json:"queue_id"`
	State      string      `json:"state"` // incoming, active, deferred, hold, corrupt
	Arrival    time.Time   `json:"arrival_time"`
	Held       string      `json:"hold_reason,omitempty"` // why it is on hold, if a rule put it there
	Size       int64       `json:"message_size"`
	Sender     string      `json:"sender"` // empty: the null reverse-path
	Recipients []Recipient `json:"recipients"`
	Envelope   *Envelope   `json:"envelope,omitempty"` // only of API.Job, and not of a corrupt one
}

// Recipient is a recipient that is not done with.
type Recipient struct {
	Address   string     `json:"address"`
	Transport string     `json:"transport"`
	Route     string     `json:"route,omitempty"`
	Site      string     `json:"site,omitempty"`
	Attempts  int        `json:"attempts"`
	Next      *time.Time `json:"next_attempt,omitempty"`
	Status    string     `json:"status,omitempty"`
	Class     string     `json:"class,omitempty"`
	Relay     string     `json:"relay,omitempty"`
	Reason    string     `json:"delay_reason,omitempty"`
}

// Envelope is what a message was accepted with.
type Envelope struct {
	Client     EnvelopeClient `json:"client"`
	EnvID      string         `json:"envelope_id,omitempty"`
	Ret        string         `json:"ret,omitempty"`  // full, hdrs
	Body       string         `json:"body,omitempty"` // 8bitmime, binarymime
	UTF8       bool           `json:"smtputf8,omitempty"`
	RequireTLS bool           `json:"require_tls,omitempty"`
	Priority   int            `json:"priority,omitempty"`
	Bulk       bool           `json:"bulk,omitempty"`
	NotBefore  time.Time      `json:"not_before,omitzero"`
	DeliverBy  time.Time      `json:"deliver_by,omitzero"`
	Cause      string         `json:"caused_by,omitempty"` // the queue id of the message whose delivery made this one
	Recipients []EnvelopeTo   `json:"recipients"`          // also those that are done with
}

// EnvelopeClient is who handed a message over.
type EnvelopeClient struct {
	Name     string `json:"name,omitempty"`
	Address  string `json:"address,omitempty"`
	Port     int    `json:"port,omitempty"`
	Helo     string `json:"helo,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	TLS      string `json:"tls,omitempty"`
	Login    string `json:"login,omitempty"`
}

// EnvelopeTo is a recipient as a message was accepted with it.
type EnvelopeTo struct {
	Address  string   `json:"address"`
	Original string   `json:"original"`
	ORcpt    string   `json:"orcpt,omitempty"`
	Notify   []string `json:"notify,omitempty"` // never; or some of success, failure, delay
	Done     bool     `json:"done,omitempty"`
}

// JobAction is what ChangeJobs does.
type JobAction string

// The actions.
const (
	Delete  JobAction = "delete" // for good, without a notification
	Hold    JobAction = "hold"
	Release JobAction = "release"
	Flush   JobAction = "flush"   // what waits is due now
	Requeue JobAction = "requeue" // routing is asked anew, attempts are counted from none
	Bounce  JobAction = "bounce"  // it fails now, and its sender is told
	Reroute JobAction = "reroute" // to another next hop
)

// JobsChange says what is to be done with which messages.
type JobsChange struct {
	Action    JobAction `json:"action"`
	Filter    JobFilter `json:"filter,omitzero"`
	All       bool      `json:"all,omitempty"`       // required where the filter takes all
	Transport string    `json:"transport,omitempty"` // Reroute: smtp, lmtp; empty: smtp
	NextHop   string    `json:"next_hop,omitempty"`  // Reroute: host[:port]; empty: the MX of each recipient's domain
	Text      string    `json:"text,omitempty"`      // Bounce: what the sender is told
}

// JobsChanged tells what was changed.
type JobsChanged struct {
	Messages int      `json:"messages"`
	IDs      []string `json:"queue_ids,omitempty"` // those of them that the filter named
}

// QueueStats are sizes and ages of the queue. A message to several sites counts at each.
type QueueStats struct {
	At     time.Time    `json:"at"` // of a long queue, what is not due soon may have been counted up to a minute before
	Total  QueueGroup   `json:"total"`
	States []QueueGroup `json:"states"`
	Sites  []QueueGroup `json:"sites"` // the largest first
	// Limits are those of the sites that have mail under way or due, or rest; these first.
	Limits []SiteLimit `json:"site_limits,omitempty"`
	// AgeBounds are the upper bounds of Ages in minutes; the last of Ages is what is older.
	AgeBounds []int `json:"age_bounds"`
}

// SiteLimit is how much a site gets at present, and why it gets nothing (docs/queue.md). A unit is up to 100 recipients of one message.
type SiteLimit struct {
	Site      string    `json:"site"`
	Transport string    `json:"transport"`
	UnderWay  int       `json:"under_way"` // units
	Due       int       `json:"due"`       // units
	Limit     int       `json:"limit"`     // connections now
	Ceiling   int       `json:"ceiling"`   // and at most
	RestSince time.Time `json:"rests_since,omitzero"`
	RestUntil time.Time `json:"rests_until,omitzero"` // when it is probed
	Reason    string    `json:"reason,omitempty"`     // of the rest: the last attempt's reply
}

// QueueGroup is what has one state, or waits for one site.
type QueueGroup struct {
	Name       string    `json:"name,omitempty"`
	Messages   int       `json:"messages"`
	Recipients int       `json:"recipients"`
	Bytes      int64     `json:"bytes"`
	Oldest     time.Time `json:"oldest,omitzero"`
	Ages       []int     `json:"ages"` // messages
}
