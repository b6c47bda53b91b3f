package sched

import (
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
)

// Unit is what is scheduled: the recipients of one job that share a route.
type Unit struct {
	ID         queueid.ID
	Turn       uint64 // the caller's, to tell units apart
	Transport  flow.Transport
	Route      string // SMTP: the domain; else the next hop or whose command or file it is; "" for mailboxes
	MX         bool   // Route is a domain whose mail exchangers say which site it belongs to
	Payer      string // who takes turns with others: an account, a sender's domain
	Class      Class
	Recipients []int // recipient numbers
	Due        time.Time
	Expire     time.Time // when it comes up also where its site rests; zero: never for that reason

	flight flight
}

// flight is what Ready notes in a unit for Done.
type flight struct {
	site *site
	no   uint64 // counts units that took off
	at   time.Time
}

// Class is how urgent a unit is among its payer's and others'.
type Class uint8

// The classes. Each gets a share of what may run, Urgent the largest; none starves.
const (
	Normal Class = iota
	Urgent       // notifications, mail that asks for priority
	Bulk         // lists, newsletters
	classes
)

// weight is the share of a class where all three have something to run.
func (c Class) weight() int {
	switch c {
	case Urgent:
		return 8
	case Bulk:
		return 1
	}
	return 4
}

// Pick is a unit whose turn it is. With Rest it is not to be tried: its site rests, and the unit has expired meanwhile.
type Pick struct {
	Unit
	Rest *Rest
}

// Rest is why a site is not tried at present.
type Rest struct {
	Until  time.Time // when it is probed
	Since  time.Time
	Reason flow.Outcome // the last attempt's
}

// Feedback is what an attempt said about its site. Its zero value says that there was none.
type Feedback struct {
	Signal  flow.Signal
	Outcome flow.Outcome // of the last recipient, the reason of a Rest
}
