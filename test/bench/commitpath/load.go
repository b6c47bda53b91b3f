package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	bodySize = 10 << 10
	metaSize = 700 // structure, envelope and preview of a typical message
)

// result is one run of one shape.
type result struct {
	shape    string
	sessions int
	rate     float64       // messages filed a second, from the first accept to the last copied page
	cpu      time.Duration // of the whole process, a message
	p50, p99 time.Duration // end of DATA to answer
	packSync float64       // a message
	dbSync   float64
	ckptSync float64
	perGroup float64 // messages a pack sync
	perTx    float64 // functions a commit
	bytes    float64 // KiB sent to the disk, a message
	maxWAL   int64
	probe    diskProbe // before
	after    diskProbe
	noisy    bool // the probes before and after differ by more than 1.5 ×
}

// load is what a run is asked to do.
type load struct {
	dir      string
	sessions int
	accounts int
	pageSize int
	spend    time.Duration
	each     int // at least so many messages a session; with no spend, exactly
}

func fill(b []byte, seed uint64) {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(b) // never fails
}

// measure runs one shape once, between two probes of the levelled disk.
func measure(s shape, l load, runDir string, disk *leveller) (result, error) {
	if err := disk.level(); err != nil {
		return result{}, err
	}
	before, err := probe(l.dir)
	if err != nil {
		return result{}, err
	}
	r, err := timed(s, l, runDir)
	if err != nil {
		return result{}, err
	}
	if err := disk.level(); err != nil {
		return result{}, err
	}
	r.probe = before
	if r.after, err = probe(l.dir); err != nil {
		return result{}, err
	}
	r.noisy = before.differs(r.after, l.sessions)
	return r, nil
}

func timed(s shape, l load, runDir string) (result, error) {
	p, err := startPipeline(s, runDir, l.accounts, l.pageSize)
	if err != nil {
		return result{}, err
	}
	cpu, begin, wrote := cpuTime(), time.Now(), written()
	latencies, err := p.sessions(l)
	if err != nil {
		return result{}, err
	}
	n := int64(len(latencies))
	if err := p.drain(n); err != nil {
		return result{}, err
	}
	took, spent := time.Since(begin), cpuTime()-cpu
	wrote = written() - wrote
	if err := p.check(n); err != nil {
		return result{}, err
	}
	if err := p.close(); err != nil {
		return result{}, err
	}
	slices.Sort(latencies)
	per := func(x int64) float64 { return float64(x) / float64(n) }
	return result{
		shape: s.name, sessions: l.sessions, rate: float64(n) / took.Seconds(), cpu: spent / time.Duration(n),
		p50: latencies[n/2], p99: latencies[n*99/100],
		packSync: per(p.pack.syncs.Load()), dbSync: per(p.db.commits.Load()), ckptSync: per(p.db.ckptSync.Load()),
		perGroup: float64(n) / float64(max(1, p.pack.groups.Load())),
		perTx:    float64(p.db.ops.Load()) / float64(p.db.commits.Load()),
		bytes:    per(wrote) / 1024,
		maxWAL:   p.db.maxWAL.Load(),
	}, nil
}

// sessions runs closed-loop sessions and returns the time of every answer.
func (p *pipeline) sessions(l load) ([]time.Duration, error) {
	var (
		wg    sync.WaitGroup
		ids   atomic.Int64
		times = make([][]time.Duration, l.sessions)
		errs  = make([]error, l.sessions)
		end   = time.Now().Add(l.spend)
	)
	for i := range l.sessions {
		wg.Go(func() {
			s := newSession(uint64(i))
			for now := time.Now(); len(times[i]) < l.each || now.Before(end); {
				id := ids.Add(1)
				if errs[i] = s.send(p, id, 1+id%int64(l.accounts)); errs[i] != nil {
					return
				}
				t := time.Now()
				times[i] = append(times[i], t.Sub(now))
				now = t
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return slices.Concat(times...), nil
}

// session is one client that sends the next message when the last one is answered.
type session struct {
	body   []byte
	meta   []byte
	record []byte
	env    envelope
	done   chan answer
}

func newSession(seed uint64) *session {
	s := &session{body: make([]byte, bodySize), meta: make([]byte, metaSize), done: make(chan answer, 1)}
	fill(s.body, seed)
	fill(s.meta, seed+1)
	s.env = envelope{
		sender: "sender@example.org", recipient: "recipient@example.net", dsn: "ENVID=QQ314159 RET=HDRS NOTIFY=FAILURE,DELAY",
		client: "192.0.2.1 mail.example.org TLS1.3", literals: slices.Clone(s.meta[:400]), index: s.meta,
	}
	return s
}

func (s *session) send(p *pipeline, id, account int64) error {
	j := &job{queueID: id, account: account, meta: slices.Clone(s.meta), done: s.done}
	s.record = appendRecord(s.record[:0], p.pack.nonce, j, s.body, &s.env)
	j.record = s.record
	return p.accept(j)
}

// check counts what a run has left behind.
func (p *pipeline) check(n int64) error {
	for query, want := range map[string]int64{
		`SELECT count(*) FROM email`: n,
		`SELECT count(*) FROM entry`: n,
		`SELECT count(*) FROM queue`: 0,
	} {
		got, _, err := row(p.second, query)
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%s: %s: %d rows, want %d", p.shape.name, query, got, want)
		}
	}
	settled, _, err := row(p.second, `SELECT settled FROM pack WHERE id = 1`)
	if err == nil && p.shape.kind == journal && settled != p.pack.end {
		err = fmt.Errorf("%s: settled at %d, pack ends at %d", p.shape.name, settled, p.pack.end)
	}
	return err
}

func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// written returns how many bytes this process has caused to be sent to a disk, as the kernel counts them; 0 where it
// does not say.
func written() int64 {
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "\nwrite_bytes: ")
	digits, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
