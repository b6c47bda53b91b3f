package work

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/client"
	"github.com/postrider/postrider/cmd/mailbench/gauge"
	"github.com/postrider/postrider/cmd/mailbench/load"
)

const (
	maxSessions = 100_000
	maxBatch    = 1_000_000
)

// User is who a session logs in as.
type User struct{ Name, Password string }

// Options of Run. Zero values of the optional fields are useful.
type Options struct {
	Protocol string // imap or pop3
	Workload string // one of Workloads
	Target   client.Target
	Users    []User // sessions use them in turn
	Sessions int

	Duration   time.Duration // either this
	Operations int64         // or this: in all, over all sessions

	Mailbox string // INBOX
	To      string // copy: where to; mailbench-copies
	Batch   int    // messages of one operation; 0: what suits the workload
	Query   string // search-subject, search-text: the word; SubjectWord or TextWord
	Expect  int64  // search: messages that must be found; 0: whatever the first search finds
	Size    int    // append: bytes of a message

	ServerPIDs []int // processes whose CPU time and memory are measured
}

// Workloads are the names that Run knows.
func Workloads(protocol string) []string {
	if protocol == "pop3" {
		return []string{"login", "list", "retr"}
	}
	return []string{"login", "select", "fetch-flags", "fetch-envelope", "fetch-structure", "fetch-bodies",
		"search-unseen", "search-subject", "search-text", "store", "append", "copy"}
}

// Check tells what is wrong with the options; Run begins with it.
func (o *Options) Check() error {
	switch {
	case o.Target.Addr == "":
		return errors.New("no address to connect to")
	case !slices.Contains(Workloads(o.Protocol), o.Workload):
		return fmt.Errorf("no workload %q; there are %s", o.Workload, strings.Join(Workloads(o.Protocol), ", "))
	case len(o.Users) == 0:
		return errors.New("no user to log in as: --user")
	case o.Sessions < 1 || o.Sessions > maxSessions:
		return fmt.Errorf("sessions: %d is not between 1 and %d", o.Sessions, maxSessions)
	case (o.Duration > 0) == (o.Operations > 0):
		return errors.New("give either a time or a number of operations")
	case o.Batch < 0 || o.Batch > maxBatch:
		return fmt.Errorf("batch: %d is not between 0 and %d", o.Batch, maxBatch)
	case o.Protocol == "pop3" && o.Sessions > len(o.Users):
		return fmt.Errorf("%d sessions, %d users: POP3 locks a mailbox (RFC 1939 §3), so each session needs its own user", o.Sessions, len(o.Users))
	case o.Workload == "append" && (o.Size < load.MinSize || o.Size > load.MaxSize):
		return fmt.Errorf("size: %d is not between %d and %d bytes", o.Size, load.MinSize, load.MaxSize)
	}
	return checkNames(o.Users, o.Mailbox, o.To, o.Query)
}

// checkNames refuses what would be a second command.
func checkNames(users []User, more ...string) error {
	for _, u := range users {
		more = append(more, u.Name, u.Password)
	}
	for _, s := range more {
		if strings.ContainsAny(s, "\r\n\x00") {
			return errors.New("a name, password or word with a line break")
		}
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Mailbox == "" {
		o.Mailbox = "INBOX"
		if o.Workload == "append" {
			o.Mailbox = "mailbench-appends"
		}
	}
	if o.To == "" {
		o.To = "mailbench-copies"
	}
	if o.Query == "" {
		o.Query = SubjectWord
		if o.Workload == "search-text" {
			o.Query = TextWord
		}
	}
	return o
}

// Result is what came of a run; all of it was checked.
type Result struct {
	Protocol   string       `json:"protocol"`
	Workload   string       `json:"workload"`
	Sessions   int          `json:"sessions"`
	Seconds    float64      `json:"seconds"`
	Operations int64        `json:"operations"`
	Rate       float64      `json:"operations_per_second"`
	Messages   int64        `json:"messages"` // that the operations were about, found ones for a search
	PerSecond  float64      `json:"messages_per_second"`
	Octets     int64        `json:"octets,omitempty"` // of message texts
	Latency    load.Latency `json:"latency"`          // of an operation

	Server *gauge.Usage `json:"server,omitempty"` // of Options.ServerPIDs
}
