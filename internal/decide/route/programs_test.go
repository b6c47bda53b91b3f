package route

import (
	"context"
	"testing"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
)

func TestWayToProgram(t *testing.T) {
	known := Programs{"mailman": true}
	for way, want := range map[string]string{"mailman:": "program mailman\tdomain.example", "mailman:hop x": "program mailman\thop x", "mailman:a\tb": "program mailman\ta b", "other:": ""} {
		transport, hop, err := ParseWay(way).plan("domain.example", known)
		got := ""
		if err == nil {
			got = transport.String() + " " + hop
		}
		if got != want {
			t.Errorf("%s: %q, %v", way, got, err)
		}
	}
	if CheckWay("mailman:", known) != nil || CheckFilter("mailman:", known) != nil || CheckWay("mailman:", nil) == nil {
		t.Error("a setting that names a program")
	}
}

// What has the place of a mailbox, and who is asked before whom.
func TestUserMailboxSettings(t *testing.T) {
	command := func(_ context.Context, a address.Address, extension string) (flow.Transport, string, error) {
		if a.Local != "al" {
			return 0, "", nil // no user of the system
		}
		return flow.Pipe, "command " + extension, nil
	}
	x := &walk{Router: &Router{}, query: &Query{}}
	full := address.Address{Local: "al+x", Domain: "host.test"}
	for name, c := range map[string]struct {
		rules  Rules
		user   string
		placed bool
		want   string
	}{
		"nothing":            {Rules{}, "al", false, ""},
		"a command":          {Rules{UserMailbox: command}, "al", true, "pipe command x"},
		"of no user":         {Rules{UserMailbox: command}, "bo", false, ""},
		"a transport before": {Rules{UserMailbox: command, MailboxTransport: "lmtp:unix:/run/x"}, "al", true, "lmtp unix:/run/x"},
		"our own mailstore":  {Rules{UserMailbox: command, MailboxTransport: "virtual:"}, "al", false, ""},
	} {
		x.Router.Rules, x.out = c.rules, nil
		placed, err := x.userMailbox(t.Context(), node{}, full, Target{Account: 1, Address: address.Address{Local: c.user, Domain: "host.test"}, Extension: "x"})
		got := ""
		if len(x.out) == 1 {
			got = x.out[0].Transport.String() + " " + x.out[0].NextHop
		}
		if err != nil || placed != c.placed || got != c.want {
			t.Errorf("%s: %v, %v, %q", name, placed, err, got)
		}
	}
}
