// Package access proves access control with the whole system: nobody relays who may not.
package access

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/test/interop/system"
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }

// forms are the ways in which open relays were found since there are any: each names far.example, or has us carry it there.
// Ours are here.example, the host's name and its address.
func forms() []string {
	const far, ours, host, ip = "far.example", "here.example", "mail.here.example", "[127.0.0.1]"
	list := []string{
		"x@" + far, "x@" + far + ".", "X@FAR.EXAMPLE", "x@sub." + far, `"x"@` + far, `"x y"@` + far, "x+y@" + far, "x@[192.0.2.7]", "x@[IPv6:2001:db8::7]",
		"x@192.0.2.7", "x@[0300.0.2.7]", "x@3221225991", "x@" + ours + "." + far, "x@here%2eexample." + far, "x@\uff46ar.example", "x@xn--far-.example",
		"postmaster@" + far, "abuse@" + far, "x@localhost." + far, "x@" + far + "@" + ours, "x@" + ours + "@" + far,
	}
	for _, us := range []string{ours, host, ip, "localhost", "[IPv6:::1]", ours + "."} {
		list = append(list,
			"x%"+far+"@"+us, "x%"+far+"%"+us+"@"+us, "x%sub."+far+"@"+us, far+"!x@"+us, us+"!"+far+"!x@"+us, "x!"+far+"@"+us,
			`"x@`+far+`"@`+us, `"x%`+far+`"@`+us, `"`+far+`!x"@`+us, `"x\@`+far+`"@`+us, `"x@`+far+`,"@`+us, `"<x@`+far+`>"@`+us,
			`"@`+far+`:x"@`+us, `" x@`+far+`"@`+us, "x=40"+far+"@"+us, "x=25"+far+"@"+us, "=?utf-8?q?x=40"+far+"?=@"+us, "+AHgAQA-"+far+"@"+us,
			"x+x="+far+"@"+us, "x/"+far+"@"+us, "x:"+far+"@"+us, "x;"+far+"@"+us, "SRS0=AAAA=AA="+far+"=x@"+us, "SRS1=AAAA="+far+"==AAAA=AA=third.example=x@"+us,
			"x-"+far+"@"+us, "owner-x%"+far+"@"+us, "|x@"+far+"@"+us, "prvs=1234567890=x%"+far+"@"+us, "btv1==12345678==x@"+far+"@"+us,
			"@"+us+":x@"+far, "@"+us+",@"+us+":x@"+far, "@"+far+":x%"+far+"@"+us, "@"+us+":x%"+far+"@"+us, "@[127.0.0.1]:x@"+far)
	}
	return append(list, "x%"+far, far+"!x", `"x@`+far+`"`, "x@"+far+"%"+ours, "x%"+ours+"@"+far, ours+"!x@"+far, "@"+ours+":x@"+far+"@"+ours,
		"x@"+far+" ORCPT=rfc822;x@"+ours, "x@"+far+"\x00@"+ours, "x@"+far+"> <alice@"+ours)
}

// sink takes whatever would leave, and counts it.
func sink(t *testing.T) (port int, taken *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	taken = new(atomic.Int32)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			taken.Add(1)
			c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port, taken
}

// client speaks SMTP by hand, so that any form can be said.
type client struct {
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	k := &client{c, bufio.NewReader(c)}
	k.reply()
	k.say("EHLO client.example")
	return k
}

func (k *client) reply() string {
	for {
		line, err := k.in.ReadString('\n')
		if err != nil {
			return "421 " + err.Error()
		}
		if len(line) < 4 || line[3] != '-' {
			return strings.TrimSpace(line)
		}
	}
}

func (k *client) say(line string) string {
	_ = k.SetDeadline(time.Now().Add(time.Minute))
	if _, err := fmt.Fprintf(k, "%s\r\n", line); err != nil {
		return "421 " + err.Error()
	}
	return k.reply()
}

// Through port 25 nothing is taken for elsewhere, in whatever form it is said: not with the defaults, and not where the old
// forms of addresses are understood and relaying to a domain of ours is on.
func TestOpenRelayBattery(t *testing.T) {
	port, taken := sink(t)
	out := []string{`mta.smart_host.host="[127.0.0.1]"`, fmt.Sprintf("mta.smart_host.port=%d", port), `mta.smart_host.tls="none"`}
	for name, set := range map[string][]string{
		"defaults": nil,
		"old forms": {"routing.allow_percent_hack=true", "routing.swap_bangpath=true", "routing.resolve_dequoted_address=true",
			`routing.relay_domains=["relayed.example"]`},
		"Postfix's older way": {"access.smtp.smtpd_relay_restrictions=[]",
			`access.smtp.smtpd_recipient_restrictions=["permit_mynetworks, reject_unauth_destination, permit"]`},
		"nothing said":    {"access.smtp.smtpd_relay_restrictions=[]"},
		"without a final": {`access.smtp.smtpd_relay_restrictions=["permit_mynetworks"]`},
	} {
		t.Run(name, func(t *testing.T) {
			s := system.Start(t, system.Options{Set: append(append(set, "smtp.max_errors=10000"), out...)})
			n, replies := 0, map[string]int{}
			for _, from := range []string{"", "sender@third.example", "alice@here.example"} {
				k := dial(t, s.Listeners["smtp"])
				for _, to := range forms() {
					n++
					got := k.say("MAIL FROM:<" + from + ">")
					if got[0] != '2' {
						t.Fatalf("MAIL FROM:<%s>: %s", from, got)
					}
					got = k.say("RCPT TO:<" + to + ">")
					replies[got[:3]]++
					switch {
					case got[0] == '2':
						t.Errorf("from <%s> to <%s>: %s", from, to, got)
					case got[:3] == "421": // it must be the form that is refused, not the client
						t.Fatalf("from <%s> to <%s>: %s", from, to, got)
					}
					if k.say("RSET")[0] != '2' || n%15 == 0 { // the engine ends sessions with too many refusals
						k.Close()
						k = dial(t, s.Listeners["smtp"])
					}
				}
			}
			t.Log(replies)
			if len(forms()) < 200 || n != 3*len(forms()) {
				t.Errorf("%d forms, %d tried", len(forms()), n)
			}
			queued := system.Run(t, system.Command{Name: system.Binary(t), Args: []string{"queue", "list", "--json", "--dir", s.Dir}})
			if strings.TrimSpace(queued.Stdout) != "[]" {
				t.Errorf("queued: %s", queued.All())
			}
		})
	}
	if taken.Load() != 0 {
		t.Errorf("%d connections to the smart host", taken.Load())
	}
}

// The battery can fail: who may relay, does.
func TestBatteryOfAFriend(t *testing.T) {
	s := system.Start(t, system.Options{Set: []string{`access.mynetworks=["127.0.0.0/8"]`, `dns.resolvers=["127.0.0.1:1"]`}})
	k := dial(t, s.Listeners["smtp"])
	k.say("MAIL FROM:<sender@third.example>")
	if got := k.say("RCPT TO:<x@far.example>"); got[0] != '2' {
		t.Error(got)
	}
}
