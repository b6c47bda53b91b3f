package milters

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
)

func TestParse(t *testing.T) {
	base := Milter{Connect: time.Second, Command: 2 * time.Second, Content: 3 * time.Second, Version: 6, Default: TempFail}
	for item, want := range map[string]Milter{
		"inet:localhost:8891": {"inet:localhost:8891", "tcp", "localhost:8891", base.Connect, base.Command, base.Content, 6, TempFail},
		"inet:[::1]:8891":     {"inet:[::1]:8891", "tcp", "[::1]:8891", base.Connect, base.Command, base.Content, 6, TempFail},
		"inet:8891@localhost": {"inet:8891@localhost", "tcp", "localhost:8891", base.Connect, base.Command, base.Content, 6, TempFail},
		"unix:/run/x.sock":    {"unix:/run/x.sock", "unix", "/run/x.sock", base.Connect, base.Command, base.Content, 6, TempFail},
		"local:/run/x.sock":   {"local:/run/x.sock", "unix", "/run/x.sock", base.Connect, base.Command, base.Content, 6, TempFail},
		"{ unix:/x }":         {"unix:/x", "unix", "/x", base.Connect, base.Command, base.Content, 6, TempFail},
		"{ inet:h:1, connect_timeout = 10s, command_timeout=1m, content_timeout=1h,default_action=accept, protocol=2 }": {
			"inet:h:1", "tcp", "h:1", 10 * time.Second, time.Minute, time.Hour, 2, Accept},
		"{inet:h:1 default_action=quarantine connect_timeout=7}": {"inet:h:1", "tcp", "h:1", 7 * time.Second, base.Command, base.Content, 6, Quarantine},
	} {
		if m, err := Parse(item, base); err != nil || m != want {
			t.Errorf("%s: %+v %v", item, m, err)
		}
	}
	for _, item := range []string{"", "inet:localhost", "inet::25", "inet:h:0", "inet:h:99999", "unix:x.sock", "smtp:x", "{ }", "{ inet:h:1", "{ inet:h:1, nonsense=1 }",
		"{ inet:h:1, default_action=perhaps }", "{ inet:h:1, protocol=7 }", "{ inet:h:1, connect_timeout=never }", "{ inet:h:1, connect_timeout=0 }"} {
		if m, err := Parse(item, base); err == nil {
			t.Errorf("%s: %+v", item, m)
		}
	}
}

// record is a record in memory.
type record []byte

func (r *record) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > int64(len(*r)) {
		return 0, io.ErrUnexpectedEOF
	}
	return copy(p, (*r)[off:]), nil
}

func (r *record) Append(p []byte) (int64, error) {
	at := len(*r)
	*r = append(*r, p...)
	return int64(at), nil
}

func (r *record) Self() recipe.BlobRef {
	ref := flow.Self
	ref.Length = int64(len(*r))
	return ref
}

func message(text string) *gate.Message {
	rec := record(text)
	p := mime.NewParser()
	_, _ = p.Write(rec)
	p.Close()
	head, h, whole := p.Top()
	return gate.NewMessage(&rec, head, h, whole, int64(len(text)))
}

// serve answers every event with "continue", and those of script with what it says: packets without their length.
func serve(conn net.Conn, script map[byte][]string) {
	defer conn.Close()
	for {
		var head [5]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(head[:4]))-1); err != nil {
			return
		}
		answers, special := script[head[4]]
		switch {
		case special:
		case head[4] == 'O':
			answers = []string{"O\x00\x00\x00\x06\x00\x00\x01\xff\x00\x00\x00\x00"}
		case strings.IndexByte("DAQ", head[4]) >= 0:
			continue
		default:
			answers = []string{"c"}
		}
		for _, a := range answers {
			if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(a))), a...)); err != nil {
				return
			}
		}
	}
}

// session leads a message through a gate whose filters answer by the scripts; nil: the filter cannot be reached.
func run(t testing.TB, action Action, text string, scripts ...map[byte][]string) (*gate.Message, *flow.Changes, error) {
	set := &Settings{Hostname: "mx.example", Log: slog.New(slog.DiscardHandler), Macros: DefaultMacros()}
	for range scripts {
		set.Milters = append(set.Milters, Milter{Name: "inet:h:1", Network: "tcp", Address: "h:1", Connect: time.Minute, Command: time.Minute,
			Content: time.Minute, Version: 6, Default: action})
	}
	next := 0
	set.Dial = func(context.Context, string, string) (net.Conn, error) {
		script := scripts[next]
		next++
		if script == nil {
			return nil, errors.New("nobody listens")
		}
		ours, theirs := net.Pipe()
		go serve(theirs, script)
		return ours, nil
	}
	ctx := t.Context()
	from, to := address.Address{Local: "a", Domain: "b.example"}, address.Address{Local: "c", Domain: "d.example"}
	conn := &gate.Conn{Client: flow.Client{Addr: netip.MustParseAddrPort("192.0.2.1:4025"), Helo: "h"}}
	e := &envelope.Envelope{From: from}
	tx := &gate.Transaction{Transaction: &flow.Transaction{ID: queueid.New(1, 1), Client: conn.Client}, Conn: conn, Envelope: e}
	m := message(text)
	s, err := New(set).Connect(ctx, conn)
	if err != nil {
		return m, &tx.Changes, err
	}
	defer s.Close()
	defer s.Reset(ctx)
	r := envelope.Recipient{To: to}
	for _, stage := range []func() error{func() error { return s.Hello(ctx) }, func() error { return s.Mail(ctx, tx) }, func() error { return s.Rcpt(ctx, tx, &r) },
		func() error { return s.Data(ctx, tx) }, func() error { return s.Message(ctx, tx, m) }} {
		if err := stage(); err != nil {
			return m, &tx.Changes, err
		}
	}
	return m, &tx.Changes, nil
}

const text = "Subject: s\r\n\r\nbody\r\n"

// What takes the place of a filter that cannot be reached, or breaks the protocol at any stage.
func TestDefaultAction(t *testing.T) {
	for action, want := range map[Action]int{Accept: 0, Quarantine: 0, TempFail: 451, Reject: 550, Shutdown: 421} {
		for _, script := range []map[byte][]string{nil, {'O': {"c"}}, {'C': {"?"}}, {'H': {"?"}}, {'M': {"y250 ok\x00"}}, {'R': {"O"}}, {'T': {"?"}}, {'L': {"?"}}, {'N': {"?"}},
			{'B': {"?"}}, {'E': {"b", "hX-A"}}, {'E': {"?"}}} {
			m, changes, err := run(t, action, text, script)
			code := 0
			if err != nil {
				code = status.Of(err).Code
			}
			if code != want || (changes.Hold != "") != (action == Quarantine) {
				t.Errorf("%s, %q: %v, hold %q", action, script, err, changes.Hold)
			}
			if b, _ := io.ReadAll(m.Open()); string(b) != text {
				t.Errorf("%s, %q: changed by half: %q", action, script, b)
			}
		}
	}
}

// broken is a record whose body cannot be read back.
type broken struct{ record }

func (*broken) ReadAt([]byte, int64) (int, error) { return 0, errors.New("input/output error") }

// full is a record that takes nothing more.
type full struct{ record }

func (*full) Append([]byte) (int64, error) { return 0, status.ErrNoSpace }

// A disk that fails is not the filter's failure: with the default action accept the message would pass unseen, with reject it
// would be refused for good.
func TestOwnFailure(t *testing.T) {
	for action, b := range map[Action]gate.Bytes{Accept: &broken{record(text)}, Reject: &full{record(text)}} {
		ownFailure(t, action, b)
	}
}

func ownFailure(t *testing.T, action Action, b gate.Bytes) {
	ours, theirs := net.Pipe()
	go serve(theirs, map[byte][]string{'E': {"bnew body\r\n", "c"}})
	ctx := t.Context()
	conn := &gate.Conn{Client: flow.Client{Addr: netip.MustParseAddrPort("192.0.2.1:4025")}}
	s, err := New(&Settings{Log: slog.New(slog.DiscardHandler), Milters: []Milter{{Connect: time.Minute, Command: time.Minute, Content: time.Minute, Version: 6, Default: action}},
		Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil }}).Connect(ctx, conn)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tx := &gate.Transaction{Transaction: &flow.Transaction{}, Conn: conn, Envelope: &envelope.Envelope{}}
	m := gate.NewMessage(b, nil, &header.Header{}, true, int64(len(text)))
	if err := s.Message(ctx, tx, m); !status.IsTemporary(err) {
		t.Errorf("%v", err)
	}
}

// Answers at each stage.
func TestAnswers(t *testing.T) {
	for stage := range strings.SplitSeq("C H M R T L N B E", " ") {
		at := stage[0]
		for answer, want := range map[string]int{"r": 550, "t": 451, "4": 421, "y554 5.7.0 no\x00": 554, "a": 0, "d": 0} {
			_, changes, err := run(t, TempFail, text, map[byte][]string{at: {answer}})
			code := 0
			if err != nil {
				code = status.Of(err).Code
			}
			if code != want || answer == "d" && at != 'C' && at != 'H' && changes.Discard == "" {
				t.Errorf("%c %q: %v %+v", at, answer, err, changes)
			}
		}
	}
}

// The second filter sees what the first has made of the message.
func TestSeveral(t *testing.T) {
	first := map[byte][]string{'E': {"hX-One\x00 1\x00", "bnew\n", "bbody\r\n", "i\x00\x00\x00\x01X-Top\x00 2\x00", "i\x00\x00\x00\x00X-Above\x00 3\x00", "a"}}
	second := map[byte][]string{'E': {"m\x00\x00\x00\x01X-One\x00 changed\x00", "+<x@y.example>\x00", "2<z@y.example>\x00NOTIFY=NEVER\x00", "-<c@d.example>\x00",
		"-<x@y.example>\x00", "e<>\x00", "qodd\x00", "p", "c"}}
	m, changes, err := run(t, TempFail, text, first, second)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(m.Open()); string(b) != "X-Top:2\r\nSubject: s\r\nX-One:changed\r\n\r\nnew\r\nbody\r\n" && string(b) != "X-Top:  2\r\nSubject: s\r\nX-One:  changed\r\n\r\nnew\r\nbody\r\n" {
		t.Errorf("%q", b)
	}
	if changes.From == nil || !changes.From.IsZero() || len(changes.Add) != 1 || changes.Add[0].Notify != envelope.NotifyNever || len(changes.Remove) != 2 ||
		!strings.Contains(changes.Hold, "odd") {
		t.Errorf("%+v", changes)
	}
}

// What a filter costs: a session with one message of 10 KiB and a dozen fields, to a filter that wants to hear and answers
// everything; its own part is in it.
func BenchmarkMessage10KiB(b *testing.B) {
	mail := strings.Repeat("X-Field: some value that is as long as most\r\n", 12) + "\r\n" + strings.Repeat("a line of the body, of a usual length, as it is\r\n", 200)
	for name, steps := range map[string]string{"all-answers": "\x00\x00\x00\x00", "no-replies": "\x00\x0f\xf0\x80"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			script := map[byte][]string{'O': {"O\x00\x00\x00\x06\x00\x00\x01\xff" + steps}}
			if name == "no-replies" {
				for _, c := range []byte("CHMRTLNB") {
					script[c] = nil
				}
			}
			for b.Loop() {
				if _, _, err := run(b, TempFail, mail, script); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
