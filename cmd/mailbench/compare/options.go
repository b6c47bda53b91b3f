package compare

import (
	"time"

	"github.com/postrider/postrider/cmd/mailbench/gauge"
	"github.com/postrider/postrider/cmd/mailbench/load"
	"github.com/postrider/postrider/cmd/mailbench/peer"
)

// Options of a comparison. Systems[0] is the one that the report speaks about.
type Options struct {
	Dir      string // a folder on the disk to measure
	Systems  []peer.System
	Sessions []int
	Duration time.Duration // of the load of one run
	Pairs    int           // how often every system has its turn at delivery, for each number of sessions; see rounds
	Users    int
	Size     int
	Retries  int           // how often a run is done again because the disk changed
	Traced   int           // messages to send under strace; 0: none
	Readers  []peer.System // of Systems: those with an IMAP server of their own kind, for reading, crowds, large messages
	Mailers  []peer.System // of Systems: those with an SMTP server of their own kind, for relay and crowds
	Mailbox  int           // messages of the mailbox that they read; 0: no reading
	ReadTime time.Duration // of each workload in each turn
	Relay    bool
	Only     []string // these kinds of trials and nothing else (Kinds); none: everything
	Crowd    int      // idle connections; 0: none
	BigSize  int      // bytes of a large message; 0: none
	BigCount int      // how many
	Stall    time.Duration

	Command string               // what makes the report anew; Before is only taken up if it has the same
	Before  *Outcome             // of a comparison that was ended early; nil: none
	Save    func(*Outcome) error // keeps what there is, after each run; nil: not
	Say     func(string)         // a line that stays
	Show    func(label string, s load.Snapshot)
	filled  map[string]bool // systems whose mailboxes for reading are filled
}

// rounds is how often every system has its turn at all that is not delivery: half as often, since it takes longer, unless nothing else
// is measured.
func (o *Options) rounds() int {
	if len(o.Only) > 0 {
		return o.Pairs
	}
	return (o.Pairs + 1) / 2
}

const (
	probes     = 1000 // appends of one disk probe
	maxRatio   = 1.5  // between the probes before and after a run
	warmUp     = time.Second
	readerPoll = 20 * time.Millisecond

	replyTimeout = time.Minute // a system that says nothing for so long has failed this run; the others go on
)

// Run is one run of one system.
type Run struct {
	System    string      `json:"system"`
	Sessions  int         `json:"sessions"`
	Pair      int         `json:"pair"`
	Load      load.Result `json:"load"`
	Seconds   float64     `json:"seconds"` // from the first connect until the last message was in its mailbox
	Rate      float64     `json:"delivered_per_second"`
	CPU       float64     `json:"cpu_ms_per_message"`
	Generator float64     `json:"generator_cpu_ms_per_message"`
	Idle      int64       `json:"idle_memory_bytes"` // just started
	Memory    int64       `json:"peak_memory_bytes"` // under load, with every user logged in by IMAP
	Others    float64     `json:"others_cpu_share"`  // of the machine
	Before    gauge.Probe `json:"disk_before"`
	After     gauge.Probe `json:"disk_after"`
	Lost      int64       `json:"lost"`  // promised by 250, not in a mailbox
	Extra     int64       `json:"extra"` // in a mailbox more often than promised
	Discarded string      `json:"discarded,omitempty"`
	Error     string      `json:"error,omitempty"`
}

// counts tells whether the run's figures may be used.
func (r *Run) counts() bool { return r.Discarded == "" && r.Error == "" }

// Trace is how often a system synced.
type Trace struct {
	System   string         `json:"system"`
	Sessions int            `json:"sessions"`
	Messages int64          `json:"messages"`
	Calls    map[string]int `json:"calls"`
	Error    string         `json:"error,omitempty"`
}

// PerMessage returns syncs for each message.
func (t *Trace) PerMessage() float64 {
	n := 0
	for _, c := range t.Calls {
		n += c
	}
	return float64(n) / float64(max(t.Messages, 1))
}

// Outcome is all that a comparison found.
type Outcome struct {
	Machine  gauge.Machine     `json:"machine"`
	Date     time.Time         `json:"date"`
	Duration float64           `json:"seconds_of_load"`
	Pairs    int               `json:"pairs"`
	Users    int               `json:"users"`
	Size     int               `json:"size"`
	Sessions []int             `json:"sessions"`
	Systems  []string          `json:"systems"`
	Versions map[string]string `json:"versions"`
	Configs  map[string]string `json:"configurations"`
	Runs     []Run             `json:"runs"`
	Traces   []Trace           `json:"traces"`
	Cut      string            `json:"cut,omitempty"` // why it ended early
	Complete bool              `json:"complete"`
	Command  string            `json:"command"`
	Mailbox  int               `json:"mailbox"`
	Crowd    int               `json:"crowd"`
	BigSize  int               `json:"big_size"`
	Readings []Reading         `json:"readings"`
	Trials   []Trial           `json:"trials"`
	Plots    []string          `json:"-"` // files that Charts were written to, as the report names them
}
