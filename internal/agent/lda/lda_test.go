package lda

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/decide/aliases"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/queue"
)

type bytesSource []byte

func (b bytesSource) ReadBodyAt(_ recipe.BlobRef, p []byte, off int64) error {
	if b == nil {
		return errors.New("bad sector")
	}
	copy(p, b[off:])
	return nil
}

// taker is a Helper that keeps what it gets.
type taker struct {
	got  []string
	all  []Delivery
	fail error
}

func (k *taker) Deliver(_ context.Context, d Delivery) error {
	text, err := io.ReadAll(d.Message)
	if err == nil && int64(len(text)) != d.Size {
		err = errors.New("the size is wrong")
	}
	if _, werr := d.Message.Write([]byte("x")); werr == nil {
		err = errors.New("it can be written to")
	}
	k.got, k.all = append(k.got, string(text)), append(k.all, d)
	return errors.Join(err, k.fail)
}

func agent(t *testing.T, body string, k *taker) *Agent {
	a := &Agent{Source: bytesSource(body), Helper: k, Dir: t.TempDir(), Now: func() time.Time { return time.Unix(100, 0) }, Log: slog.New(slog.DiscardHandler)}
	if body == "" {
		a.Source = bytesSource(nil)
	}
	return a
}

func task(body string, hops ...string) *queue.Task {
	t := &queue.Task{Job: &flow.Job{Received: time.Date(2026, 11, 2, 3, 4, 5, 0, time.UTC), From: address.Address{Local: "a b", Domain: "far.test"},
		Message: recipe.Recipe{{Blob: recipe.BlobRef{Pack: 1}, Length: int64(max(len(body), 1))}}}}
	for i, hop := range hops {
		t.Recipients = append(t.Recipients, flow.Recipient{No: i, To: address.Address{Local: "al", Domain: "host.test"},
			Original: address.Address{Local: "list", Domain: "host.test"}, Transport: flow.File, NextHop: hop})
	}
	return t
}

func hop(text string) string {
	return aliases.Local{Source: aliases.FromAlias, Path: "/etc/aliases", Text: text}.String()
}

func TestDeliver(t *testing.T) {
	body := "Subject: x\r\n\r\nFrom here\r\nFro\r\n>From\r\nFrom there"
	k := &taker{}
	a := agent(t, body, k)
	owner := address.Address{Local: "owner-list", Domain: "host.test"}
	work := task(body, hop("/mbox"), hop("|/bin/x a"), hop("/dir/"))
	work.Recipients[2].Sender = &owner
	out := a.Deliver(t.Context(), []*queue.Task{work})
	head := "Return-Path: <\"a b\"@far.test>\nX-Original-To: list@host.test\nDelivered-To: al@host.test\n"
	for i, want := range []string{
		"From \"a-b\"@far.test  Mon Nov  2 03:04:05 2026\n" + head + "Subject: x\n\n>From here\nFro\n>From\n>From there\n\n",
		"From \"a-b\"@far.test  Mon Nov  2 03:04:05 2026\n" + head + "Subject: x\n\nFrom here\nFro\n>From\nFrom there\n",
		strings.Replace(head, "\"a b\"@far.test", owner.String(), 1) + "Subject: x\n\nFrom here\nFro\n>From\nFrom there\n",
	} {
		if k.got[i] != want {
			t.Errorf("%d: %q\nwant %q", i, k.got[i], want)
		}
	}
	for i, want := range []string{"delivered to file: /mbox", "delivered to command: /bin/x a", "delivered to maildir"} {
		if o := out[0][i]; o.Result != flow.Delivered || o.Reply != want || o.Recipient != i || o.Relay != "local" {
			t.Errorf("%d: %+v", i, o)
		}
	}
	if k.all[2].Sender != owner || k.all[0].OriginalRecipient.Local != "list" {
		t.Errorf("%+v", k.all)
	}
	if left, err := os.ReadDir(a.Dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestDeliverFailures(t *testing.T) {
	looping := "Delivered-To: AL@host.test\r\n\r\nx\r\n"
	for name, c := range map[string]struct {
		body string
		fail error
		hop  string
		want string
		end  flow.Result
	}{
		"the command says no":    {"x", status.Perm(550, 1, 1, "user unknown"), hop("|/x"), "5.1.1 user unknown", flow.Failed},
		"the command says later": {"x", status.Temp(451, 3, 0, "temporary failure"), hop("|/x"), "4.3.0 temporary failure", flow.Deferred},
		"no helper":              {"x", errors.New("dial: no such file"), hop("|/x"), "4.3.5 Delivery to commands and files is not possible now", flow.Deferred},
		"a loop":                 {looping, nil, hop("/m"), "5.4.6 mail forwarding loop for al@host.test", flow.Failed},
		"an unreadable message":  {"", nil, hop("/m"), "4.3.0 The message cannot be read now", flow.Deferred},
		"not understood":         {"x", nil, "nonsense", "5.3.5 The delivery cannot be understood", flow.Failed},
	} {
		k := &taker{fail: c.fail}
		out := agent(t, c.body, k).Deliver(t.Context(), []*queue.Task{task(c.body, c.hop)})
		if o := out[0][0]; o.Status.String()+" "+o.Reply != c.want || o.Result != c.end {
			t.Errorf("%s: %s %s %s", name, o.Status, o.Reply, o.Result)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if out := agent(t, "x", &taker{fail: ctx.Err()}).Deliver(ctx, []*queue.Task{task("x", hop("|/x"))}); len(out[0]) != 0 {
		t.Errorf("cut off: %+v", out)
	}
}

// FuzzLines: however a message is cut, what comes out is the same, has no line that begins a new message, and loses nothing.
func FuzzLines(f *testing.F) {
	f.Fuzz(func(t *testing.T, message []byte, cut int) {
		write := func(quote bool, pieces ...[]byte) string {
			var b bytes.Buffer
			l := newLines(&b)
			l.quote = quote
			for _, p := range pieces {
				if _, err := l.Write(p); err != nil {
					t.Fatal(err)
				}
			}
			l.end()
			if err := l.flush(); err != nil || int64(b.Len()) != l.size {
				t.Fatalf("%v; %d bytes, and %d counted", err, b.Len(), l.size)
			}
			return b.String()
		}
		whole := write(true, message)
		cut = min(max(cut, 0), len(message))
		if parts := write(true, message[:cut], message[cut:]); parts != whole {
			t.Fatalf("cut at %d: %q, whole: %q", cut, parts, whole)
		}
		if strings.HasPrefix(whole, "From ") || strings.Contains(whole, "\nFrom ") {
			t.Fatalf("a line begins a message: %q", whole)
		}
		want := strings.ReplaceAll(string(message), "\r\n", "\n")
		if want != "" && !strings.HasSuffix(want, "\n") {
			want += "\n"
		}
		if got := write(false, message); got != want {
			t.Fatalf("%q became %q", message, got)
		}
	})
}
