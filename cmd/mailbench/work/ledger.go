package work

import (
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/load"
	"github.com/postrider/postrider/cmd/mailbench/sink"
)

// delivery is one message to one recipient.
type delivery struct {
	number int64
	rcpt   int32
}

// fate is what happened to it. The message may arrive before the reply that promises it.
type fate struct {
	begun    time.Time // zero: not promised
	came     time.Time
	arrivals int
}

// ledger brings together what was promised and what arrived.
type ledger struct {
	run   uint32
	index map[string]int32 // of recipients, in lower case

	mu        sync.Mutex
	fates     map[delivery]*fate
	promised  int64
	matched   int64 // promised and arrived
	damaged   int64
	strangers int64 // messages that are not of this run, or for someone else
	last      time.Time
	through   load.Histogram // from the first byte sent to the end of the message here
}

func newLedger(run uint32, recipients []string) *ledger {
	l := &ledger{run: run, index: map[string]int32{}, fates: map[delivery]*fate{}}
	for i, r := range recipients {
		l.index[strings.ToLower(r)] = int32(i)
	}
	return l
}

func (l *ledger) of(d delivery) *fate {
	f := l.fates[d]
	if f == nil {
		f = &fate{}
		l.fates[d] = f
	}
	return f
}

// sent notes a promise.
func (l *ledger) sent(s load.Sent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.of(delivery{s.Number, int32(s.Recipient)})
	f.begun = s.Begun
	l.promised++
	if f.arrivals > 0 {
		l.match(f)
	}
}

func (l *ledger) match(f *fate) {
	l.matched++
	l.through.Add(f.came.Sub(f.begun))
}

// arrived notes an arrival.
func (l *ledger) arrived(a sink.Arrival) {
	run, number, ok := load.ParseStamp(a.Stamp)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !ok || run != l.run {
		l.strangers++
		return
	}
	if !a.Intact {
		l.damaged++
	}
	for _, r := range a.Recipients {
		i, known := l.index[strings.ToLower(r)]
		if !known {
			l.strangers++
			continue
		}
		f := l.of(delivery{number, i})
		f.arrivals++
		if f.arrivals == 1 {
			f.came, l.last = a.At, a.At
			if !f.begun.IsZero() {
				l.match(f)
			}
		}
	}
}

// balance is the end of the account.
type balance struct {
	promised, matched, missing, duplicated, unpromised, damaged, strangers int64
	last                                                                   time.Time
}

func (l *ledger) balance() balance {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := balance{promised: l.promised, matched: l.matched, missing: l.promised - l.matched, damaged: l.damaged, strangers: l.strangers, last: l.last}
	for _, f := range l.fates {
		switch {
		case f.begun.IsZero():
			b.unpromised++
		case f.arrivals > 1:
			b.duplicated += int64(f.arrivals - 1)
		}
	}
	return b
}

// progress is how many of how many have come.
func (l *ledger) progress() (promised, matched int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.promised, l.matched
}
