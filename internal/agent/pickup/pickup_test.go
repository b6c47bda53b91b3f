package pickup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/decide/filter"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/decide/sieve"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/db/dbtest"
	"github.com/postrider/postrider/internal/state/intake"
	"github.com/postrider/postrider/internal/state/queue"
	"github.com/postrider/postrider/internal/submit"
	"github.com/postrider/postrider/test/needs"
	"golang.org/x/sys/unix"
)

// world is an agent over a queue that is never started: what is accepted stays in its journal.
type world struct {
	*Agent
	store  *blob.Store
	events []obs.Submitted
	full   error // of every mailbox
	away   error // of the directory
	closed error // of the admission

	mu  sync.Mutex
	log strings.Builder
}

func (w *world) Emit(e obs.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s, ok := e.(obs.Submitted); ok {
		w.events = append(w.events, s)
	}
}

func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := w.log.String()
	w.log.Reset()
	return text
}

func (w *world) Room(context.Context, int64, int64) error                        { return w.full }
func (w *world) Admit(context.Context) error                                     { return w.closed }
func (w *world) Delivered(context.Context, queueid.ID, int) (bool, error)        { return false, nil }
func (w *world) Forget(context.Context, queueid.ID, func(queueid.ID) bool) error { return nil }
func (w *world) Report(context.Context, *queue.Notice) error                     { return nil }
func (w *world) Deliver(context.Context, []*queue.Task) [][]flow.Outcome         { return nil }
func (w *world) Domain(_ context.Context, domain string) (int64, bool, error) {
	return 1, domain == "here.example", w.away
}

func (w *world) Lookup(_ context.Context, a address.Address) ([]route.Target, bool, error) {
	switch {
	case w.away != nil:
		return nil, false, w.away
	case a.Domain != "here.example":
		return nil, false, nil
	case a.Local == "alice":
		return []route.Target{{Account: 1, Address: a}}, true, nil
	case a.Local == "loop":
		return nil, false, status.Temp(451, 3, 5, "Alias expansion failed; try again later")
	case a.Local == "bob":
		return []route.Target{{Account: 2, Address: a}}, true, nil
	}
	return nil, true, status.Perm(550, 1, 1, "No such user here")
}

var start = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)

func newWorld(t *testing.T) *world {
	t.Helper()
	store, err := blob.NewMemory(t.Context(), blob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{store: store}
	t.Cleanup(func() {
		if err := store.Close(context.Background()); err != nil && !errors.Is(err, status.ErrShutdown) {
			t.Error(err)
		}
	})
	in := &intake.Intake{Blobs: store, Queue: queue.New(queue.Options{DB: dbtest.Open(t), Journal: store, Ledger: w, Reporter: w})}
	w.Agent = &Agent{Intake: in, Quota: w, Filter: filter.Accept{}, Script: sieve.Keep{}, Now: func() time.Time { return start }, Events: w,
		Log: slog.New(slog.NewTextHandler(w, nil))}
	w.Set(&Settings{Hostname: "mail.here.example", Domain: "here.example", MaxSize: 100_000, MaxReceived: 5, Router: &route.Router{Directory: w}, Admission: w})
	return w
}

func (w *world) configure(change func(*Settings)) {
	s := *w.settings.Load()
	change(&s)
	w.Set(&s)
}

// jobs are what the journal has, in order.
func (w *world) jobs(t *testing.T) (jobs []*flow.Job) {
	t.Helper()
	var ids []queueid.ID
	err := w.Intake.Queue.Select(t.Context(), queue.Filter{}, func(i queue.Info) error {
		id, err := queueid.Parse(i.ID)
		ids = append(ids, id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		j, err := w.Intake.Queue.Job(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, j)
	}
	return jobs
}

func (w *world) text(t *testing.T, j *flow.Job) string {
	t.Helper()
	text, err := io.ReadAll(recipe.NewReader(w.store, j.Message))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func head(text string, to ...string) *submit.Head {
	return &submit.Head{Token: submit.NewToken(start.Add(-time.Minute)), Sender: "carol", Name: "Carol Cron", Recipients: to, Size: int64(len(text))}
}

func (w *world) submit(uid uint32, text string, to ...string) (string, error) {
	return w.Submit(context.Background(), uid, head(text, to...), strings.NewReader(text))
}

func TestMessage(t *testing.T) {
	const trace = "Received: by mail.here.example (from user id 1000) with local id ID\r\n\tfor <alice@here.example>; Sun, 22 Nov 2026 04:00:00 +0000\r\n"
	const date, id = "Date: Sun, 22 Nov 2026 03:59:00 +0000\r\n", "Message-ID: <ID@mail.here.example>\r\n"
	const from = "From: Carol Cron <carol@here.example>\r\n"
	for name, c := range map[string]struct{ in, want string }{
		"nothing":     {"", from + date + id + "\r\n"},
		"no header":   {"disk full\n/dev/sda1 99%\n", from + date + id + "\r\ndisk full\r\n/dev/sda1 99%\r\n"},
		"header only": {"Subject: x", from + date + id + "Subject: x\r\n\r\n"},
		"LF":          {"Subject: x\n\nbody\n", from + date + id + "Subject: x\r\n\r\nbody\r\n"},
		"CRLF":        {"Subject: x\r\n\r\nbody\r\n", from + date + id + "Subject: x\r\n\r\nbody\r\n"},
		"stray":       {"Subject: x\n\na\rb\x00c", from + date + id + "Subject: x\r\n\r\na b c\r\n"},
		"dots":        {"Subject: x\n\n.\n..\n", from + date + id + "Subject: x\r\n\r\n.\r\n..\r\n"},
		"no field":    {"Subject: x\noh\nTo: y\n", from + date + id + "Subject: x\r\n\r\noh\r\nTo: y\r\n"},
		"complete": {"Message-ID: <1@x>\nDate: Sat, 21 Nov 2026 03:59:00 +0000\nFrom: a@x.example\nBcc: hidden@x.example\n\nb\n",
			"Message-ID: <1@x>\r\nDate: Sat, 21 Nov 2026 03:59:00 +0000\r\nFrom: a@x.example\r\n\r\nb\r\n"},
		"cron": {"From: root (Cron Daemon)\nTo: root, bob@x.example\nSubject: Cron <root@h> t\n\nout\n",
			date + id + "From: Cron Daemon <root@here.example>\r\nTo: root@here.example, bob@x.example\r\nSubject: Cron <root@h> t\r\n\r\nout\r\n"},
		"8 bit": {"Subject: Grüße\n\nä\n", from + date + id + "Subject: Grüße\r\n\r\nä\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			qid, err := w.submit(1000, c.in, "alice")
			if err != nil {
				t.Fatal(err)
			}
			jobs := w.jobs(t)
			if len(jobs) != 1 || jobs[0].ID.String() != qid || jobs[0].From.String() != "carol@here.example" || jobs[0].UTF8 {
				t.Fatalf("%d jobs, %+v", len(jobs), jobs[0])
			}
			if eight := jobs[0].Body == envelope.Body8BitMIME; eight != strings.Contains(c.in, "ü") {
				t.Errorf("8BITMIME %v", eight)
			}
			want := strings.ReplaceAll(trace+c.want, "ID\r\n\tfor", qid+"\r\n\tfor")
			if text := w.text(t, jobs[0]); text != strings.ReplaceAll(want, "<ID@", "<"+qid+"@") {
				t.Errorf("%q\nwant %q", text, want)
			}
			if len(w.events) != 1 || w.events[0].UID != 1000 || w.events[0].Via != "socket" || w.events[0].ID != jobs[0].ID {
				t.Errorf("%+v", w.events)
			}
		})
	}
}

func TestRecipients(t *testing.T) {
	for _, c := range []struct {
		to     []string
		ways   string
		reason string
	}{
		{[]string{"alice", "x@far.example"}, "mailbox alice@here.example, smtp x@far.example", ""},
		{[]string{"alice", "alice@here.example", "nosuch"}, "mailbox alice@here.example, error nosuch@here.example 5.1.1 No such user here", ""},
		{[]string{"nosuch", "nobody"}, "", "550 5.1.1 nosuch@here.example: No such user here"},
	} {
		w := newWorld(t)
		_, err := w.submit(1000, "Subject: x\n\n", c.to...)
		if (err != nil) != (c.reason != "") || err != nil && !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%v: %v", c.to, err)
		}
		var ways []string
		for _, j := range w.jobs(t) {
			for _, r := range j.Recipients {
				ways = append(ways, strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Transport, r.To, r.NextHop)))
			}
		}
		if got := strings.Join(ways, ", "); got != c.ways {
			t.Errorf("%v: %s", c.to, got)
		}
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	refused := func(name, text, want string, to ...string) {
		t.Helper()
		if _, err := w.submit(1000, text, to...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
		if log := w.logged(); !strings.Contains(log, "uid=1000") {
			t.Errorf("%s: log %q", name, log)
		}
	}
	refused("too large", strings.Repeat("x", 100_001), "552 5.3.4", "alice")
	refused("too large with its line ends", strings.Repeat("\n", 60_000), "552 5.3.4", "alice")
	refused("a loop", strings.Repeat("Received: x\n", 6)+"\n", "554 5.4.6", "alice")
	w.configure(func(s *Settings) { s.MaxSize = 1 << 20 })
	refused("a header without end", strings.Repeat("X: "+strings.Repeat("y", 96)+"\n", 3000), "552 5.3.4", "alice")
	w.full = status.ErrQuota
	refused("full", "x", "452 4.2.2", "alice", "bob")
	w.full, w.closed = nil, status.ErrNoSpace
	refused("no space", "x", "452 4.3.1", "alice")
	w.closed, w.away = nil, status.Temp(451, 3, 0, "away")
	refused("directory", "x", "451 4.3.0", "alice")
	w.away = nil
	if jobs := w.jobs(t); len(jobs) != 0 {
		t.Errorf("%d jobs", len(jobs))
	}
}

func TestRate(t *testing.T) {
	w := newWorld(t)
	w.configure(func(s *Settings) { s.MaxPerHour = 3 })
	now := start
	w.Now = func() time.Time { return now }
	taken := func(uid uint32) (n int) {
		for range 10 {
			_, err := w.submit(uid, "x", "alice")
			if err == nil {
				n++
			} else if e := status.Of(err); e.Enhanced != (status.Enhanced{Class: 4, Subject: 7, Detail: 1}) || !strings.Contains(e.Public, "max_messages_per_hour") {
				t.Fatal(err)
			}
		}
		return n
	}
	if a, b, root := taken(1), taken(2), taken(0); a != 3 || b != 3 || root != 10 {
		t.Fatal(a, b, root)
	}
	if now = now.Add(20 * time.Minute); taken(1) != 1 {
		t.Fatal("after a third of an hour")
	}
	if now = now.Add(5 * time.Hour); taken(1) != 3 {
		t.Fatal("after a rest")
	}
	// Users whose allowance is whole are forgotten.
	for uid := range uint32(2 * maxIdle) {
		w.rates.take(uid, 1, now.Add(time.Duration(uid)*time.Hour))
	}
	if len(w.rates.full) > maxIdle+2 {
		t.Errorf("%d users remembered", len(w.rates.full))
	}
}

// A program in a loop filled the log at some thousand lines a second.
func TestRefusalsBeyondTheRateAreFewLines(t *testing.T) {
	w := newWorld(t)
	w.configure(func(s *Settings) { s.MaxPerHour = 10 })
	for range 1000 {
		_, _ = w.submit(1000, "x", "nosuch")
	}
	if n := strings.Count(w.logged(), "was refused"); n != 10+refusalLines {
		t.Errorf("%d lines", n)
	}
	w.closed = status.ErrNoSpace
	for range 1000 {
		_, _ = w.submit(1001, "x", "alice")
	}
	if n := strings.Count(w.logged(), "was refused"); n != refusalLines {
		t.Errorf("%d lines while there is no space", n)
	}
}

// folder is a drop folder of a world.
func folder(t *testing.T, w *world) *Drop {
	t.Helper()
	dir := t.TempDir()
	d := &Drop{Agent: w.Agent, Dir: filepath.Join(dir, "drop"), Aside: filepath.Join(dir, "aside")}
	for _, path := range []string{d.Dir, d.Aside} {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func (d *Drop) put(t *testing.T, text string, to ...string) {
	t.Helper()
	if err := submit.Drop(d.Dir, head(text, to...), strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
}

func (d *Drop) pass(t *testing.T) bool {
	t.Helper()
	more, err := d.Pass(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return more
}

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestDropIsTaken(t *testing.T) {
	w := newWorld(t)
	d := folder(t, w)
	for range 30 {
		d.put(t, "Subject: x\n\nbody\n", "alice")
	}
	if d.pass(t) || len(w.jobs(t)) != 30 || len(names(t, d.Dir)) != 0 || len(w.events) != 30 || w.events[0].Via != "drop" ||
		w.events[0].UID != uint32(os.Getuid()) {
		t.Fatalf("%d jobs, left %v", len(w.jobs(t)), names(t, d.Dir))
	}
}

// A file that is there again after its message was taken is not taken twice, and the socket's copy counts too.
func TestDropOfATakenMessage(t *testing.T) {
	w := newWorld(t)
	d := folder(t, w)
	h := head("Subject: x\n\n", "alice")
	if _, err := w.Submit(t.Context(), uint32(os.Getuid()), h, strings.NewReader("Subject: x\n\n")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := submit.Drop(d.Dir, h, strings.NewReader("Subject: x\n\n")); err != nil {
			t.Fatal(err)
		}
		if d.pass(t); len(w.jobs(t)) != 1 || len(names(t, d.Dir)) != 0 {
			t.Fatalf("%d jobs, left %v", len(w.jobs(t)), names(t, d.Dir))
		}
	}
}

// A header that must be cut into thousands of pieces is written anew, behind the bytes that came. Once it was refused.
func TestDropOfManyBccs(t *testing.T) {
	w := newWorld(t)
	d := folder(t, w)
	d.put(t, strings.Repeat("Bcc: b\nX: y\n", 2000)+"\nText\n", "alice")
	d.pass(t)
	jobs := w.jobs(t)
	if len(jobs) != 1 || jobs[0].Recipients[0].Transport != flow.Mailbox || len(jobs[0].Message) != 2 {
		t.Fatalf("%+v %s", jobs, w.logged())
	}
	if size := jobs[0].Size(); size < 2000*6 || size > 2000*6+1000 {
		t.Errorf("%d bytes", size)
	}
}

// What would be refused on the socket is taken from the folder, and goes back to its sender.
func TestDropOfWhatCannotBeDelivered(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		to     string
		full   error
		reason string
	}{
		"unknown":   {"Subject: x\n\n", "nosuch", nil, "5.1.1 No such user here"},
		"full":      {"Subject: x\n\n", "alice", status.ErrQuota, "5.2.2 Mailbox full"},
		"loop":      {strings.Repeat("Received: x\n", 6) + "\n", "alice", nil, "5.4.6 Too many hops"},
		"too large": {"Subject: x\n\n" + strings.Repeat("line\n", 30_000), "alice", nil, "5.3.4 Message size"},
		// It was put aside as rubbish: only its line ends make it too large.
		"too large with its line ends": {"Subject: x\n\n" + strings.Repeat("\n", 60_000), "alice", nil, "5.3.4 Message size"},
	} {
		w := newWorld(t)
		w.full = c.full
		d := folder(t, w)
		d.put(t, c.text, c.to)
		d.pass(t)
		jobs := w.jobs(t)
		if len(jobs) != 1 || len(names(t, d.Dir)) != 0 || len(jobs[0].Recipients) != 1 || jobs[0].Recipients[0].Transport != flow.Error ||
			!strings.HasPrefix(jobs[0].Recipients[0].NextHop, c.reason) {
			t.Errorf("%s: %d jobs, %+v, left %v: %s", name, len(jobs), jobs, names(t, d.Dir), w.logged())
		}
		if len(jobs) == 1 && jobs[0].Size() > 130_000 {
			t.Errorf("%s: %d bytes kept", name, jobs[0].Size())
		}
	}
}

// A server that cannot take mail now leaves the files where they are.
func TestDropWaits(t *testing.T) {
	w := newWorld(t)
	d := folder(t, w)
	for range 5 {
		d.put(t, "Subject: x\n\n", "alice")
	}
	w.closed = status.ErrNoSpace
	if d.pass(t) || len(names(t, d.Dir)) != 5 || len(w.jobs(t)) != 0 || !strings.Contains(w.logged(), "cannot be taken now") {
		t.Fatal(names(t, d.Dir))
	}
}

// give makes the files of the folder another user's, which only root can.
func (d *Drop) give(t *testing.T, uid int) {
	t.Helper()
	for _, name := range names(t, d.Dir) {
		if err := os.Chown(filepath.Join(d.Dir, name), uid, -1); err != nil && os.Getuid() == 0 {
			t.Fatal(err)
		}
	}
}

// Messages beyond their user's rate were removed without being taken.
func TestDropBeyondTheRateStays(t *testing.T) {
	w := newWorld(t)
	d := folder(t, w)
	for range 5 {
		d.put(t, "Subject: x\n\n", "alice")
	}
	d.give(t, 1000)
	now := start
	w.Now = func() time.Time { return now }
	w.configure(func(s *Settings) { s.MaxPerHour = 2 })
	for jobs := 2; jobs <= 5; jobs++ {
		for range 3 {
			d.pass(t)
		}
		if len(w.jobs(t)) != jobs || len(names(t, d.Dir)) != 5-jobs || len(names(t, d.Aside)) != 0 {
			t.Fatalf("%d jobs, not %d; left %q, aside %q: %s", len(w.jobs(t)), jobs, names(t, d.Dir), names(t, d.Aside), w.logged())
		}
		now = now.Add(30 * time.Minute)
	}
}

// A message that was taken before a crash does not wait for the rate: its id would be forgotten meanwhile.
func TestDropOfATakenMessageBeyondTheRate(t *testing.T) {
	w := newWorld(t)
	d := folder(t, w)
	w.configure(func(s *Settings) { s.MaxPerHour = 1 })
	const uid = 1000
	owner := uint32(uid)
	if os.Getuid() != 0 {
		owner = uint32(os.Getuid())
	}
	h := head("Subject: x\n\n", "alice")
	if _, err := w.Submit(t.Context(), owner, h, strings.NewReader("Subject: x\n\n")); err != nil {
		t.Fatal(err)
	}
	if err := submit.Drop(d.Dir, h, strings.NewReader("Subject: x\n\n")); err != nil {
		t.Fatal(err)
	}
	d.give(t, uid)
	if d.pass(t); len(w.jobs(t)) != 1 || len(names(t, d.Dir)) != 0 {
		t.Fatalf("%d jobs, left %v", len(w.jobs(t)), names(t, d.Dir))
	}
}

// What cannot be taken now is tried every few seconds; that used up its user's rate.
func TestWaitingCostsNoRate(t *testing.T) {
	w := newWorld(t)
	d := folder(t, w)
	w.configure(func(s *Settings) { s.MaxPerHour = 2 })
	d.put(t, "Subject: x\n\n", "alice")
	d.give(t, 1000)
	w.closed = status.ErrNoSpace
	for range 5 {
		d.pass(t)
		if _, err := w.submit(1000, "x", "alice"); !errors.Is(err, status.ErrNoSpace) {
			t.Fatal(err)
		}
	}
	w.closed = nil
	if d.pass(t); len(w.jobs(t)) != 1 {
		t.Fatalf("%d jobs: %s", len(w.jobs(t)), w.logged())
	}
	if _, err := w.submit(1000, "x", "alice"); err != nil {
		t.Fatal(err)
	}
}

// A user's lease on a file of his own (fcntl(2)) kept the files of all others waiting.
func TestLeaseStopsNobodyElse(t *testing.T) {
	w := newWorld(t)
	d := folder(t, w)
	for range 30 {
		d.put(t, "Subject: x\n\n", "alice")
	}
	leased := names(t, d.Dir)[:10]
	for _, name := range leased {
		f, err := os.OpenFile(filepath.Join(d.Dir, name), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
			t.Fatal(err)
		}
	}
	if d.pass(t); len(w.jobs(t)) != 20 || len(names(t, d.Dir)) != 10 {
		t.Fatalf("%d jobs, %d left: %s", len(w.jobs(t)), len(names(t, d.Dir)), w.logged())
	}
}

// A failure of one message's recipient (an alias that leads to itself) kept all other files waiting.
func TestFailureOfOneStopsNobodyElse(t *testing.T) {
	w := newWorld(t)
	d := folder(t, w)
	for range 10 {
		d.put(t, "Subject: x\n\n", "loop")
		d.put(t, "Subject: x\n\n", "alice")
	}
	if d.pass(t); len(w.jobs(t)) != 10 || len(names(t, d.Dir)) != 10 {
		t.Fatalf("%d jobs, %d left: %s", len(w.jobs(t)), len(names(t, d.Dir)), w.logged())
	}
}

// A file that gets shorter while it is read is not taken in part.
func TestShrinkingFileIsRubbish(t *testing.T) {
	w := newWorld(t)
	m := &message{agent: w.Agent, settings: w.settings.Load(), head: head("Subject: x\n\nbody\n", "alice"), via: "drop", now: start}
	var bad *rubbish
	if err := m.take(t.Context(), strings.NewReader("Subject: x\n\nbo")); !errors.As(err, &bad) || len(w.jobs(t)) != 0 {
		t.Fatalf("%v, %d jobs", err, len(w.jobs(t)))
	}
}

// With a drop folder that is a file system of its own, rubbish can only be removed.
func TestRubbishOfAnotherFileSystem(t *testing.T) {
	w := newWorld(t)
	d := folder(t, w)
	dir, err := os.MkdirTemp("/dev/shm", "postrider-drop-")
	needs.Kernel(t, "a file system at /dev/shm", err == nil)
	defer os.RemoveAll(dir)
	d.Dir = dir
	if err := os.Symlink("/nowhere", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if d.pass(t); len(names(t, dir)) != 0 || !strings.Contains(w.logged(), "was ") {
		t.Fatalf("left %q", names(t, dir))
	}
}

func TestRubbish(t *testing.T) {
	w := newWorld(t)
	d := folder(t, w)
	outside := filepath.Join(t.TempDir(), "secret")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(outside, head("x", "alice").Append(nil), 0o600))
	path := func(name string) string { return filepath.Join(d.Dir, name) }
	ready := func() string { return submit.NewToken(start).String() + ".msg" }
	whole := head("Hello", "alice")
	text := string(whole.Append(nil))

	must(os.Symlink(outside, path(ready())))
	must(os.Link(outside, path(ready())))
	must(syscall.Mkfifo(path(ready()), 0o666))
	must(os.Mkdir(path("empty"), 0o700))
	must(os.MkdirAll(path("folder/inside"), 0o700))
	must(os.WriteFile(path(ready()), nil, 0o600))
	must(os.WriteFile(path(ready()), []byte("Subject: not a head\n\n"), 0o600))
	must(os.WriteFile(path(whole.Token.String()+".msg"), []byte(text+"Hell"), 0o600))         // too short
	must(os.WriteFile(path(ready()), []byte(text+"Hello"), 0o600))                            // of another name
	must(os.WriteFile(path("no\nsuch name"), []byte(text+"Hello"), 0o600))                    //
	must(os.WriteFile(path("new."+ready()), []byte(text+"He"), 0o600))                        // being written
	must(os.WriteFile(path("new.old.msg"), []byte(text+"He"), 0o600))                         // of a dead writer
	must(os.Chtimes(path("new.old.msg"), start.Add(-48*time.Hour), start.Add(-48*time.Hour))) //
	must(os.Chtimes(path("folder"), start, start))
	d.put(t, "Subject: good\n\n", "alice")
	w.Now = func() time.Time { return start }

	d.pass(t)
	left := names(t, d.Dir)
	if len(w.jobs(t)) != 1 || len(left) != 2 || left[0] != "folder" || !submit.IsDraft(left[1]) {
		t.Fatalf("%d jobs, left %q", len(w.jobs(t)), left)
	}
	if aside := names(t, d.Aside); len(aside) != 9 {
		t.Errorf("%d moved aside: %q", len(aside), aside)
	}
	log := w.logged()
	for _, part := range []string{"hard link", "not a regular file", "a folder", "not as long", "writer died", "stays there", fmt.Sprintf("uid=%d", os.Getuid())} {
		if !strings.Contains(log, part) {
			t.Errorf("the log lacks %q:\n%s", part, log)
		}
	}
	if text, err := os.ReadFile(outside); err != nil || len(text) == 0 {
		t.Errorf("what a link led to: %q, %v", text, err)
	}
	if d.pass(t); strings.Contains(w.logged(), "folder=") || w.logged() != "" {
		t.Errorf("reported again: %s", w.logged())
	}
}

func TestMuchRubbish(t *testing.T) {
	w := newWorld(t)
	d := folder(t, w)
	for i := range passLimit + 500 {
		if err := os.Symlink("/nowhere", filepath.Join(d.Dir, fmt.Sprint("link", i))); err != nil {
			t.Fatal(err)
		}
	}
	d.put(t, "Subject: good\n\n", "alice")
	if !d.pass(t) || d.pass(t) {
		t.Fatal("the folder should take two passes")
	}
	if len(w.jobs(t)) != 1 || len(names(t, d.Dir)) != 0 || len(names(t, d.Aside)) != maxAside {
		t.Fatalf("%d jobs, %d left, %d aside", len(w.jobs(t)), len(names(t, d.Dir)), len(names(t, d.Aside)))
	}
	if n := strings.Count(w.logged(), "\n"); n > 2*(passLines+1) {
		t.Errorf("%d lines logged", n)
	}
}

// FuzzText: the result is a message with a header, in CRLF lines, however the bytes come; and a fixed point.
func FuzzText(f *testing.F) {
	f.Fuzz(func(t *testing.T, in string) {
		convert := func(in string, step int) string {
			var b strings.Builder
			w := newText(&b, 1<<40)
			for i := 0; i < len(in); i += step {
				if _, err := w.Write([]byte(in[i:min(i+step, len(in))])); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			return b.String()
		}
		out := convert(in, len(in)+1)
		if bare := strings.ReplaceAll(out, "\r\n", ""); strings.ContainsAny(bare, "\r\n\x00") || !strings.HasSuffix(out, "\r\n") {
			t.Fatalf("%q became %q", in, out)
		}
		if head, _, _ := strings.Cut("\r\n"+out, "\r\n\r\n"); head != "" {
			for line := range strings.SplitSeq(head[2:], "\r\n") {
				if line == "" || line[0] != ' ' && line[0] != '\t' && strings.IndexByte(line, ':') < 1 {
					t.Fatalf("%q became %q: %q is no field", in, out, line)
				}
			}
		}
		if one, again := convert(in, 1), convert(out, 7); one != out || again != out {
			t.Fatalf("%q became %q, %q by bytes, %q again", in, out, one, again)
		}
	})
}
