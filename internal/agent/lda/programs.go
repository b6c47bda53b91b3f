package lda

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/queue"
)

// Settings are what the agent must know of a [pipes.NAME].
type Settings struct {
	Flags      string // letters as pipe(8) has them
	Size       int64  // the largest message, bytes; 0: any
	CRLF       bool   // ends of lines
	Recipients int    // at most, for one start of the program
	AtOnce     int    // programs
}

func (s *Settings) has(flag byte) bool { return strings.IndexByte(s.Flags, flag) >= 0 }

// Run is a delivery for the helper.
type Run struct {
	Name, NextHop string
	Sender        address.Address
	Recipients    []flow.Recipient
	Macros        map[string]string // without control characters
	Message       *os.File          // a regular file, at its start
	Size          int64
}

// Runner runs programs. A *status.Error is for the sender; any other error is temporary, and for the log.
type Runner interface {
	Run(ctx context.Context, r Run) error
}

// Programs implements queue.Agent for the programs of [pipes.NAME].
type Programs struct {
	Source recipe.Source
	Runner Runner
	// Find returns a program's settings; false when there is none of that name.
	Find func(name string) (Settings, bool)
	Dir  string // for messages while they are delivered; it is there, and nobody else's
	Now  func() time.Time
	Log  *slog.Logger

	mu      sync.Mutex
	running map[string]int
	changed chan struct{} // closed when a program ends; nil when nobody waits
}

var (
	errNoProgram = status.Temp(451, 3, 5, "mail transport unavailable")
	errTooLarge  = status.Perm(552, 2, 3, "message too large")
	errAddress   = status.Perm(553, 1, 3, "the address has characters that no program can be given")
)

// maxGiven bounds what is told of the recipients of one start, bytes.
const maxGiven = 8 << 10

// Deliver starts the program of each task, with as many of its recipients as it takes.
func (a *Programs) Deliver(ctx context.Context, tasks []*queue.Task) [][]flow.Outcome {
	out := make([][]flow.Outcome, len(tasks))
	for i, t := range tasks {
		for rest := t.Recipients; len(rest) > 0; {
			name, hop, ok := flow.ParseProgramHop(rest[0].NextHop)
			s, found := a.Find(name)
			n := together(rest, s.Recipients)
			started, err := a.Now(), error(errNoProgram.With("program", errors.New("there is no [pipes."+name+"]")))
			if ok && found {
				if a.enter(ctx, name, s.AtOnce) {
					err = a.run(ctx, s, Run{Name: name, NextHop: hop, Recipients: rest[:n]}, t.Job)
					a.leave(name)
				}
			}
			if ctx.Err() != nil && err != nil {
				return out // cut off: no attempt
			}
			for j := range rest[:n] {
				o := a.outcome(t, &rest[j], s, err)
				o.Delays = [4]time.Duration{t.Due.Sub(t.Job.Received), started.Sub(t.Due), 0, o.At.Sub(started)}
				out[i] = append(out[i], o)
			}
			rest = rest[n:]
		}
	}
	return out
}

// together is how many of the recipients, from the first one on, one start of the program may have.
func together(rs []flow.Recipient, most int) int {
	size := 0
	for i := range rs {
		r := &rs[i]
		size += len(r.To.Local) + len(r.To.Domain) + len(r.Original.Local) + len(r.Original.Domain) + 4
		same := r.NextHop == rs[0].NextHop && (r.Sender == nil) == (rs[0].Sender == nil) && (r.Sender == nil || *r.Sender == *rs[0].Sender)
		if i > 0 && (i >= most || size > maxGiven || !same) {
			return i
		}
	}
	return len(rs)
}

func (a *Programs) run(ctx context.Context, s Settings, run Run, job *flow.Job) error {
	for i := range run.Recipients {
		r := &run.Recipients[i]
		if strings.ContainsFunc(r.To.Local+r.To.Domain+r.Original.Local+r.Original.Domain, control) {
			return errAddress
		}
	}
	first := &run.Recipients[0]
	if s.Size > 0 && job.Size() > s.Size {
		return errTooLarge
	}
	if s.has('D') {
		if err := loops(a.Source, job, first); err != nil {
			return err
		}
	}
	wanted := form{from: s.has('F'), returnPath: s.has('R'), originalTo: s.has('O'), deliveredTo: s.has('D'), quote: s.has('>'), dots: s.has('.'),
		blank: s.has('B'), crlf: s.CRLF}
	file, size, err := written{a.Source, a.Dir, job, first, wanted}.write()
	if err != nil {
		return errMessage.With("copy", err)
	}
	defer file.Close()
	run.Sender, run.Macros, run.Message, run.Size = job.Sender(first), macros(job), file, size
	err = a.Runner.Run(ctx, run)
	if _, isStatus := errors.AsType[*status.Error](err); err != nil && !isStatus {
		err = errHelper.With("helper", err)
	}
	return err
}

// macros are those of the message.
func macros(job *flow.Job) map[string]string {
	c := &job.Client
	m := map[string]string{"queue_id": job.ID.String(), "envid": job.EnvID, "client_helo": c.Helo, "client_hostname": c.Name,
		"client_protocol": c.Protocol, "sasl_username": c.Login}
	if c.Addr.IsValid() {
		m["client_address"], m["client_port"] = c.Addr.Addr().Unmap().String(), strconv.Itoa(int(c.Addr.Port()))
	}
	for name, value := range m {
		const most = 512
		m[name] = strings.Map(func(r rune) rune {
			if control(r) {
				return '?'
			}
			return r
		}, strings.ToValidUTF8(value[:min(len(value), most)], "?"))
	}
	return m
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

func (a *Programs) outcome(t *queue.Task, r *flow.Recipient, s Settings, err error) flow.Outcome {
	name, _, _ := flow.ParseProgramHop(r.NextHop)
	if err != nil {
		o := flow.Failure(r.No, err, a.Now())
		o.Relay = name
		a.Log.Warn("delivery to a program failed", "id", t.Job.ID.String(), "recipient", r.To.String(), "pipe", name, "err", err)
		return o
	}
	o := flow.Outcome{Recipient: r.No, Result: flow.Relayed, Status: status.Enhanced{Class: status.Success}, Relay: name,
		Reply: "delivered via " + name + " service", At: a.Now()}
	if s.has('X') {
		o.Result = flow.Delivered
	}
	return o
}

// enter waits until a program more of a name may run; false when ctx ends before.
func (a *Programs) enter(ctx context.Context, name string, most int) bool {
	for {
		a.mu.Lock()
		if a.running[name] < most {
			if a.running == nil {
				a.running = map[string]int{}
			}
			a.running[name]++
			a.mu.Unlock()
			return true
		}
		if a.changed == nil {
			a.changed = make(chan struct{})
		}
		changed := a.changed
		a.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

func (a *Programs) leave(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running[name]--; a.running[name] == 0 {
		delete(a.running, name)
	}
	if a.changed != nil {
		close(a.changed)
		a.changed = nil
	}
}
