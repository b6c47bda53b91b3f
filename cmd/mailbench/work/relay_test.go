package work

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/load"
	"github.com/postrider/postrider/cmd/mailbench/sink"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// relayTo is a system that takes a message and hands it on as fate says: so many copies, perhaps with changed bytes.
func relayTo(t *testing.T, next string, fate func(message string) (copies int, changed string)) string {
	l := listen(t)
	forward := func(rcpts []string, message string) error {
		c, err := net.Dial("tcp", next)
		if err != nil {
			return err
		}
		defer c.Close()
		fmt.Fprintf(c, "EHLO relay\r\nMAIL FROM:<a@b>\r\n%sDATA\r\n%s.\r\nQUIT\r\n", strings.Join(rcpts, ""), message)
		for r := bufio.NewScanner(c); r.Scan(); { // until it is closed
		}
		return nil
	}
	serve := func(c net.Conn) {
		defer c.Close()
		r := bufio.NewReader(c)
		var rcpts []string
		fmt.Fprint(c, "220 relay\r\n")
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			switch {
			case strings.HasPrefix(line, "MAIL"):
				rcpts = nil
			case strings.HasPrefix(line, "RCPT"):
				rcpts = append(rcpts, line)
			case strings.HasPrefix(line, "DATA"):
				fmt.Fprint(c, "354 go on\r\n")
				message := ""
				for line, _ = r.ReadString('\n'); line != ".\r\n"; line, _ = r.ReadString('\n') {
					message += line
				}
				copies, message := fate(message)
				for range copies {
					if err := forward(rcpts, message); err != nil {
						t.Error(err)
					}
				}
			}
			fmt.Fprint(c, "250 ok\r\n")
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().String()
}

func TestRelayCountsWhatBecameOfEachMessage(t *testing.T) {
	n := 0
	for _, c := range []struct {
		name  string
		fate  func(string) (int, string)
		want  Relayed
		words string
	}{
		{"each once", func(m string) (int, string) { return 1, m }, Relayed{Arrived: 16}, ""},
		{"one lost", func(m string) (int, string) { n++; return min(n-1, 1), m }, Relayed{Arrived: 14, Missing: 2}, "2 deliveries are missing"},
		{"all twice", func(m string) (int, string) { return 2, m }, Relayed{Arrived: 16, Duplicated: 16}, "16 came again"},
		{"damaged", func(m string) (int, string) { return 1, m + "more\r\n" }, Relayed{Arrived: 16, Damaged: 8}, "8 messages were damaged"},
		{"another's", func(m string) (int, string) { return 1, strings.ReplaceAll(m, "@mailbench.invalid", "@x.example") },
			Relayed{Missing: 16, Strangers: 8}, "16 deliveries are missing"},
	} {
		n = 0
		l := listen(t)
		r, err := Relay(t.Context(), RelayOptions{Sink: l, Stall: 50 * time.Millisecond, Load: load.Config{
			Addr: relayTo(t, l.Addr().String(), c.fate), Sessions: 1, Messages: 8, Sizes: []int{600, 900}, PerMessage: 2,
			Recipients: []string{"A@far.example", "b@far.example", "c@far.example"},
		}}, nil)
		if (err == nil) != (c.words == "") || err != nil && !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v, want %q", c.name, err, c.words)
		}
		got := Relayed{Arrived: r.Arrived, Missing: r.Missing, Duplicated: r.Duplicated, Damaged: r.Damaged, Strangers: r.Strangers}
		if fmt.Sprint(got) != fmt.Sprint(c.want) || r.Promised != 16 {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
}

// A message may be here before its sender has the reply, and the reply may be lost.
func TestLedgerDoesNotMindTheOrder(t *testing.T) {
	l := newLedger(10, []string{"a@far.example"})
	arrive := func(number int) {
		l.arrived(sink.Arrival{Stamp: fmt.Sprintf("0000000a0000%012x", number), Intact: true, Recipients: []string{"a@FAR.example"}, At: time.Unix(5, 0)})
	}
	arrive(1)
	l.sent(load.Sent{Number: 1, Begun: time.Unix(3, 0)})
	l.sent(load.Sent{Number: 2, Begun: time.Unix(3, 0)})
	arrive(2)
	arrive(3)
	b := l.balance()
	if b.promised != 2 || b.matched != 2 || b.missing != 0 || b.unpromised != 1 || b.duplicated != 0 {
		t.Errorf("%+v", b)
	}
	if lat := l.through.Latency(); lat.Max != 2000 || l.through.Count() != 2 {
		t.Errorf("%+v", lat)
	}
}
