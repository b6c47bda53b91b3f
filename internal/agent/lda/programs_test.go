package lda

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/queue"
)

// runs is a Runner that keeps what it gets.
type runs struct {
	all  []Run
	text []string
	fail error
}

func (k *runs) Run(_ context.Context, r Run) error {
	text, err := io.ReadAll(r.Message)
	if err == nil && int64(len(text)) != r.Size {
		err = errors.New("the size is wrong")
	}
	k.all, k.text = append(k.all, r), append(k.text, string(text))
	return errors.Join(err, k.fail)
}

func programs(t *testing.T, body string, k Runner, s Settings) *Programs {
	return &Programs{Source: bytesSource(body), Runner: k, Dir: t.TempDir(), Now: func() time.Time { return time.Unix(100, 0) },
		Log: slog.New(slog.DiscardHandler), Find: func(name string) (Settings, bool) { return s, name == "x" }}
}

func programTask(body string, hops ...string) *queue.Task {
	w := task(body, hops...)
	for i := range w.Recipients {
		r := &w.Recipients[i]
		r.Transport, r.To.Local = flow.Program, fmt.Sprint("al", i)
	}
	return w
}

func TestPrograms(t *testing.T) {
	body := "Subject: x\r\n\r\n.dot\r\nFrom here\r\n"
	hop := flow.ProgramHop("x", "there")
	for name, c := range map[string]struct {
		settings Settings
		want     []string // one for each start of the program
		result   flow.Result
	}{
		"plain":  {Settings{Recipients: 50}, []string{"Subject: x\n\n.dot\nFrom here\n"}, flow.Relayed},
		"by two": {Settings{Recipients: 2, Flags: "X"}, []string{"Subject: x\n\n.dot\nFrom here\n", "Subject: x\n\n.dot\nFrom here\n"}, flow.Delivered},
		"all flags": {Settings{Recipients: 50, Flags: "FRO.>B", CRLF: true}, []string{"From \"a-b\"@far.test  Mon Nov  2 03:04:05 2026\r\nReturn-Path: <\"a b\"@far.test>\r\n" +
			"X-Original-To: list@host.test\r\nSubject: x\r\n\r\n..dot\r\n>From here\r\n\r\n"}, flow.Relayed},
		"D": {Settings{Recipients: 1, Flags: "D"}, []string{"Delivered-To: al0@host.test\nSubject: x\n\n.dot\nFrom here\n",
			"Delivered-To: al1@host.test\nSubject: x\n\n.dot\nFrom here\n", "Delivered-To: al2@host.test\nSubject: x\n\n.dot\nFrom here\n"}, flow.Relayed},
	} {
		c.settings.AtOnce = 1
		k := &runs{}
		a := programs(t, body, k, c.settings)
		w := programTask(body, hop, hop, hop)
		w.Job.Client = flow.Client{Addr: netip.MustParseAddrPort("192.0.2.1:77"), Helo: "a\nb=c"}
		out := a.Deliver(t.Context(), []*queue.Task{w})
		if len(out[0]) != 3 || fmt.Sprintf("%q", k.text) != fmt.Sprintf("%q", c.want) {
			t.Errorf("%s: %+v\n%q\nwant %q", name, out, k.text, c.want)
			continue
		}
		for i, o := range out[0] {
			if o.Result != c.result || o.Relay != "x" || o.Reply != "delivered via x service" || o.Recipient != i {
				t.Errorf("%s: %+v", name, o)
			}
		}
		if r := k.all[0]; r.Name != "x" || r.NextHop != "there" || r.Macros["client_helo"] != "a?b=c" || r.Macros["client_address"] != "192.0.2.1" {
			t.Errorf("%s: %+v", name, r)
		}
		if left, err := os.ReadDir(a.Dir); err != nil || len(left) > 0 {
			t.Errorf("%s: left: %v, %v", name, left, err)
		}
	}
}

func TestProgramFailures(t *testing.T) {
	long := address.Address{Local: strings.Repeat("a", maxGiven/2), Domain: "host.test"}
	for name, c := range map[string]struct {
		hop    string
		fail   error
		change func(*flow.Recipient)
		want   string
		starts int
	}{
		"no such program": {flow.ProgramHop("y", ""), nil, nil, "4.3.5 mail transport unavailable", 0},
		"no name":         {"x", nil, nil, "4.3.5 mail transport unavailable", 0},
		"no helper":       {flow.ProgramHop("x", ""), errors.New("dial"), nil, "4.3.5 Delivery to commands and files is not possible now", 1},
		"it says no":      {flow.ProgramHop("x", ""), status.Perm(550, 1, 1, "user unknown"), nil, "5.1.1 user unknown", 1},
		"control":         {flow.ProgramHop("x", ""), nil, func(r *flow.Recipient) { r.To.Local = "a\tb" }, "5.1.3 " + errAddress.Public, 0},
		"large":           {flow.ProgramHop("x", "large"), nil, nil, "5.2.3 " + errTooLarge.Public, 0},
		"long addresses":  {flow.ProgramHop("x", ""), nil, func(r *flow.Recipient) { r.To = long }, "2.0.0 delivered via x service", 2},
	} {
		k := &runs{fail: c.fail}
		s := Settings{Recipients: 50, AtOnce: 1, Flags: "D"}
		if name == "large" {
			s.Size = 1
		}
		w := programTask("xx", c.hop, c.hop)
		for i := range w.Recipients {
			if c.change != nil {
				c.change(&w.Recipients[i])
			}
		}
		out := programs(t, "xx", k, s).Deliver(t.Context(), []*queue.Task{w})
		if len(out[0]) != 2 || len(k.all) != c.starts {
			t.Errorf("%s: %d starts, %+v", name, len(k.all), out)
			continue
		}
		if o := out[0][1]; o.Status.String()+" "+o.Reply != c.want {
			t.Errorf("%s: %s %s", name, o.Status, o.Reply)
		}
	}
}

// slow is a Runner that takes a second, and counts how many do at once.
type slow struct{ now, most chan int }

func (k slow) Run(ctx context.Context, _ Run) error {
	n := <-k.now + 1
	m := <-k.most
	k.most <- max(m, n)
	k.now <- n
	time.Sleep(time.Second)
	k.now <- <-k.now - 1
	return ctx.Err()
}

func TestProgramsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := slow{make(chan int, 1), make(chan int, 1)}
		k.now <- 0
		k.most <- 0
		a := programs(t, "x", k, Settings{Recipients: 1, AtOnce: 2})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan int, 10)
		for range 10 {
			go func() {
				out := a.Deliver(ctx, []*queue.Task{programTask("x", flow.ProgramHop("x", ""))})
				done <- len(out[0])
			}()
		}
		time.Sleep(2500 * time.Millisecond) // four are done, two run, four wait
		cancel()
		all := 0
		for range 10 {
			all += <-done
		}
		if most := <-k.most; most != 2 || all != 4 || len(a.running) != 0 {
			t.Errorf("%d at once, %d outcomes, %v", most, all, a.running)
		}
	})
}
