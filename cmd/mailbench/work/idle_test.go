package work

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/client"
	"github.com/postrider/postrider/cmd/mailbench/load"
	"github.com/postrider/postrider/cmd/mailbench/sink"
)

func TestCrowdsWaitAndAllAnswerAfterwards(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := sink.Serve(l, 0, func(sink.Arrival) {})
	defer s.Close()
	pop := (&liar{greeting: "+OK ready\r\n"}).target(t)
	imap := imapLiar(map[string][]string{"IDLE": {"+ idling\r\n* 4 EXISTS\r\n"}, "DONE": {"b4 OK\r\n"}}).target(t)
	for name, o := range map[string]CrowdOptions{
		"smtp": {Target: client.Target{Addr: l.Addr().String(), Timeout: 20 * time.Second}},
		"pop3": {Target: pop},
		"imap": {Target: imap, Users: []User{{"u", "p"}}, Mailbox: "INBOX"},
	} {
		o.Protocol, o.Connections, o.Width, o.Hold, o.Sources = name, 20, 7, time.Millisecond, 20
		last := load.Snapshot{}
		res, err := Idle(t.Context(), o, func(s load.Snapshot) { last = s })
		if name == "imap" { // DONE has no tag, which is what a liar answers by: that only the goodbye fails is enough here
			if err == nil || !strings.Contains(err.Error(), "after waiting") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || res.Connections != 20 || res.Rate <= 0 || res.Login.P50 <= 0 || res.Protocol != name || (last.Of != 20 && last.Of != 0) {
			t.Errorf("%s: %v %+v", name, err, res)
		}
	}
}

func TestACrowdThatWasSentAwayIsAnError(t *testing.T) {
	o := CrowdOptions{Protocol: "pop3", Connections: 3, Width: 3, Hold: time.Millisecond}
	o.Target = (&liar{greeting: "-ERR too many connections\r\n"}).target(t)
	if _, err := Idle(t.Context(), o, nil); err == nil || !strings.Contains(err.Error(), "too many connections") {
		t.Errorf("%v", err)
	}
	o.Target = (&liar{greeting: "+OK ready\r\n", answers: map[string][]string{"QUIT": {"-ERR autologout\r\n"}}}).target(t)
	if _, err := Idle(t.Context(), o, nil); err == nil || !strings.Contains(err.Error(), "after waiting") {
		t.Errorf("%v", err)
	}
}

func TestCrowdsThatCannotBeAreRefused(t *testing.T) {
	good := CrowdOptions{Protocol: "imap", Users: []User{{"u", "p"}}, Connections: 2, Width: 1}
	for text, change := range map[string]func(*CrowdOptions){
		"there are imap, pop3 and smtp": func(o *CrowdOptions) { o.Protocol = "nntp" },
		"--user":                        func(o *CrowdOptions) { o.Users = nil },
		"each connection needs its own": func(o *CrowdOptions) { o.Protocol = "pop3" },
		"only IMAP tells":               func(o *CrowdOptions) { o.Protocol, o.Notify = "smtp", true },
		"ulimit -n 100064":              func(o *CrowdOptions) { o.Connections = 100_000 },
		"sources":                       func(o *CrowdOptions) { o.Sources = 1 << 30 },
		"at least one":                  func(o *CrowdOptions) { o.Width = 0 },
	} {
		o := good
		change(&o)
		err := o.Check()
		if text == "ulimit -n 100064" && err == nil {
			continue // a machine that allows so many
		}
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
}
