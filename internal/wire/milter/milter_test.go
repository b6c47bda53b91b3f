package milter

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// filter answers each packet with what the script says, and writes down what it heard.
func filter(t *testing.T, script map[byte][]packet) (net.Conn, <-chan []string) {
	t.Helper()
	ours, theirs := net.Pipe()
	heard := make(chan []string, 1)
	go func() {
		var all []string
		defer func() { heard <- all }()
		r, w := bufio.NewReader(theirs), bufio.NewWriter(theirs)
		for {
			p, err := readPacket(r)
			if err != nil {
				return
			}
			all = append(all, string(p.code)+strings.ReplaceAll(string(p.data), "\x00", "|"))
			for _, a := range script[p.code] {
				_ = writePacket(w, a.code, a.data)
			}
			if w.Flush() != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { _ = ours.Close(); _ = theirs.Close() })
	return ours, heard
}

func options(version, actions, steps string) packet {
	return packet{'O', []byte(version + actions + steps)}
}

func TestSession(t *testing.T) {
	ok := []packet{{code: 'c'}}
	conn, heard := filter(t, map[byte][]packet{
		'O': {options("\x00\x00\x00\x06", "\x00\x00\x01\xff", "\x00\x10\x00\x82")}, // no HELO, no replies to headers, leading space
		'C': ok, 'M': ok, 'R': {{'y', []byte("550 5.1.1 nobody\x00")}}, 'T': ok, 'N': ok, 'B': {{code: 's'}},
		'E': {{code: 'p'}, {'h', []byte("X-A\x00 1\x00")}, {'b', []byte("new")}, {code: 'a'}},
	})
	macros := map[string]string{"j": "mx.example", "i": "ID"}
	var set Macros
	set[AtConnect], set[AtMail], set[AtEnd] = []string{"j", "{none}"}, []string{"i"}, []string{"i"}
	c, err := Open(t.Context(), conn, Options{Command: time.Minute, Content: time.Minute, Macros: set,
		Value: func(name string) (string, bool) { v, ok := macros[name]; return v, ok }})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	expect := func(r Response, err error) func(Verdict) {
		return func(v Verdict) {
			t.Helper()
			if err != nil || r.Verdict != v {
				t.Fatalf("%c, not %c: %v", r.Verdict, v, err)
			}
		}
	}
	expect(c.Connect(ctx, Peer{"client.example", netip.MustParseAddrPort("[2001:db8::1]:4025")}))(Continue)
	expect(c.Hello(ctx, "unheard"))(Continue)
	expect(c.Mail(ctx, "<a@b.example>", "SIZE=5"))(Continue)
	expect(c.Rcpt(ctx, "<c@d.example>"))(Reply)
	expect(c.Data(ctx))(Continue)
	expect(c.Header(ctx, "Subject", " hi"))(Continue)
	expect(c.EndOfHeader(ctx))(Continue)
	expect(c.Body(ctx, []byte("text\r\n")))(Skip)
	var mods []Modification
	expect(c.End(ctx, func(m Modification) error { mods = append(mods, m); return nil }))(Accept)
	if len(mods) != 2 || mods[0].Name != "X-A" || mods[0].Value != " 1" || string(mods[1].Body) != "new" {
		t.Errorf("%+v", mods)
	}
	if err := errors.Join(c.Abort(ctx), c.Quit(ctx)); err != nil {
		t.Fatal(err)
	}
	want := []string{"DCj|mx.example|", "Cclient.example|6\x0f\xb92001:db8::1|", "DMi|ID|", "M<a@b.example>|SIZE=5|", "R<c@d.example>|", "T", "LSubject| hi|", "N",
		"Btext\r\n", "DEi|ID|", "E", "A", "Q"}
	got := (<-heard)[1:]
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("heard %q, not %q", got, want)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, answer := range map[string]packet{
		"a version that was not offered":  options("\x00\x00\x00\x07", "\x00\x00\x00\x01", "\x00\x00\x00\x00"),
		"a version too old":               options("\x00\x00\x00\x01", "\x00\x00\x00\x01", "\x00\x00\x00\x00"),
		"actions that were not offered":   options("\x00\x00\x00\x06", "\x00\x00\x04\x00", "\x00\x00\x00\x00"),
		"steps that were not offered":     options("\x00\x00\x00\x06", "\x00\x00\x00\x01", "\x10\x00\x00\x00"),
		"cut off":                         {'O', []byte("\x00\x00\x00\x06")},
		"another answer":                  {code: 'c'},
		"macros of a stage there is not":  options("\x00\x00\x00\x06", "\x00\x00\x01\x00", "\x00\x00\x00\x00\x00\x00\x00\x63j\x00"),
		"a list of macros without an end": options("\x00\x00\x00\x06", "\x00\x00\x01\x00", "\x00\x00\x00\x00\x00\x00\x00\x00jjjj"),
	} {
		conn, _ := filter(t, map[byte][]packet{'O': {answer}})
		if _, err := Open(t.Context(), conn, Options{Command: time.Minute}); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A filter that does not answer holds nobody longer than its time, or than the session.
func TestSilence(t *testing.T) {
	conn, _ := filter(t, nil)
	if _, err := Open(t.Context(), conn, Options{Command: time.Millisecond}); err == nil {
		t.Error("no time-out")
	}
	conn, _ = filter(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, conn, Options{Command: time.Hour}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// What a filter sends without end, or without having said that it would, ends it.
func TestBounds(t *testing.T) {
	var flood []packet
	for range 300 {
		flood = append(flood, packet{'b', make([]byte, 1000)})
	}
	for name, c := range map[string]struct {
		actions string
		answer  []packet
		err     error
	}{
		"a body without end":     {"\x00\x00\x00\x02", flood, ErrTooMuch},
		"what it may not":        {"\x00\x00\x00\x01", []packet{{'b', nil}}, ErrProtocol},
		"an answer that is none": {"\x00\x00\x00\x01", []packet{{'Z', nil}}, ErrProtocol},
		"a reply that is none":   {"\x00\x00\x00\x01", []packet{{'y', []byte("250 fine\x00")}}, ErrProtocol},
	} {
		conn, _ := filter(t, map[byte][]packet{'O': {options("\x00\x00\x00\x06", c.actions, "\x00\x00\x00\x00")}, 'E': c.answer})
		f, err := Open(t.Context(), conn, Options{Command: time.Minute, Content: time.Minute, MaxBytes: 100_000})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.End(t.Context(), func(Modification) error { return nil }); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
