package screen

import (
	"bufio"
	"cmp"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postrider/postrider/internal/dns/dnstest"
	"github.com/postrider/postrider/test/interop/postfix"
	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

const zone = `11.0.0.127.bl.test. A 127.0.0.2
11.0.0.127.second.test. A 127.0.0.4
12.0.0.127.bl.test. A 127.0.0.10
13.0.0.127.wl.test. A 127.0.5.2
14.0.0.127.bl.test. A 127.0.0.2
14.0.0.127.wl.test. A 127.0.9.2
15.0.0.127.second.test. A 127.255.255.254
40.0.0.127.second.test. A 127.0.0.4
`

const accessTable = "127.0.0.20 permit\n127.0.0.21 reject\n127.0.0.22 dunno\n127.0.0.16/28 reject\n"

// settings are those of both, by postscreen's names.
func settings(action string) map[string]string {
	return map[string]string{
		"postscreen_greet_wait": "3s", "postscreen_greet_action": action, "postscreen_dnsbl_action": action, "postscreen_denylist_action": action,
		"postscreen_dnsbl_sites":     "bl.test=127.0.0.2*4, bl.test=127.0.0.[9..11]*1, second.test*2, wl.test=127.0.[2..15].[0..3]*-3",
		"postscreen_dnsbl_threshold": "2", "postscreen_dnsbl_allowlist_threshold": "-2",
	}
}

// privateResolver has all programs that this test starts ask the given DNS server: in a mount namespace of its own thread,
// /etc/resolv.conf is another file.
func privateResolver(t *testing.T, address string) {
	t.Helper()
	needs.Root(t, "a mount namespace is made")
	file := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver "+address+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // for ever: the thread ends with the test
	for _, err := range []error{
		unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS),
		unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""),
		unix.Mount(file, "/etc/resolv.conf", "", unix.MS_BIND, ""),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// serveDNS serves a zone, also for the programs that this test starts.
func serveDNS(t *testing.T, zone string) (address string) {
	t.Helper()
	address, err := dnstest.New(t, zone).ListenOn(t, fmt.Sprintf("127.%d.%d.53:53", os.Getpid()>>8&255, os.Getpid()&255|1))
	if err != nil {
		t.Fatal(err)
	}
	resolver, _, _ := net.SplitHostPort(address)
	privateResolver(t, resolver)
	return address
}

// client is one that connects.
type client struct {
	name, from string
	early      bool
	hasty      bool   // it does not wait for the answer to EHLO
	helo       string // client.example if empty
	sender     string // a@sender.example if empty
	differs    string // why the two may differ
}

func clients() []client {
	return []client{
		{name: "stranger", from: "127.0.0.10"},
		{name: "early talker", from: "127.0.0.9", early: true},
		{name: "on two lists", from: "127.0.0.11"},
		{name: "on a list that counts little", from: "127.0.0.12"},
		{name: "on a list that has another name in replies", from: "127.0.0.40"},
		{name: "on a list of good clients", from: "127.0.0.13"},
		{name: "on a good and a bad list", from: "127.0.0.14"},
		{name: "refused by a list", from: "127.0.0.15", differs: "127.255.255.254 says that the list does not serve this resolver: no listing here"},
		{name: "permitted", from: "127.0.0.20"},
		{name: "denied", from: "127.0.0.21"},
		{name: "neither", from: "127.0.0.22"},
		{name: "denied network", from: "127.0.0.25"},
	}
}

// visit is what a client is answered: the greeting and the recipient's reply, without what names the server.
func visit(server string, c client) (connect, rcpt string) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(c.from)}}
	conn, err := d.Dial("tcp", server)
	if err != nil {
		return err.Error(), ""
	}
	defer conn.Close()
	end := time.Now().Add(30 * time.Second)
	if err := conn.SetDeadline(end); err != nil {
		return err.Error(), ""
	}
	in := bufio.NewReader(conn)
	reply := func() string {
		for {
			line, err := in.ReadString('\n')
			if err != nil || len(line) < 4 || line[3] == ' ' {
				return strings.TrimRight(line, "\r\n")
			}
		}
	}
	if c.early {
		fmt.Fprint(conn, "EHLO early.example\r\n")
	}
	first, err := in.ReadString('\n') // postscreen's greeting has two lines, and the second does not come to early talkers
	if err != nil || !strings.HasPrefix(first, "220") {
		return strings.TrimRight(first, "\r\n"), ""
	}
	connect = "220"
	if strings.HasPrefix(first, "220-") && !c.early {
		if second := reply(); !strings.HasPrefix(second, "220") {
			return second, ""
		}
	}
	switch {
	case c.hasty:
		fmt.Fprint(conn, "EHLO client.example\r\nNOOP\r\n")
	case !c.early:
		fmt.Fprintf(conn, "EHLO %s\r\n", cmp.Or(c.helo, "client.example"))
	}
	for answer := reply(); !strings.HasPrefix(answer, "250 "); answer = reply() {
		if !strings.HasPrefix(answer, "2") {
			return answer, ""
		}
	}
	if c.hasty {
		if answer := reply(); !strings.HasPrefix(answer, "250 ") {
			return connect, answer
		}
	}
	for _, command := range []string{"MAIL FROM:<" + cmp.Or(c.sender, "a@sender.example") + ">", "RCPT TO:<alice@here.example>"} {
		fmt.Fprint(conn, command+"\r\n")
		rcpt = reply()
	}
	fmt.Fprint(conn, "QUIT\r\n")
	reply()
	if strings.HasPrefix(rcpt, "250") {
		rcpt = "250"
	}
	return connect, rcpt
}

// changing are times, ports, and what a hasty client had sent already.
var changing = regexp.MustCompile(`(:)\d+( |:|$)|(after )[0-9.]+|(after EHLO:).*`)

// said are the lines of a log that postscreen and dnsblog write about a client, without times and ports, sorted.
func said(log, from string) (lines []string) {
	for line := range strings.Lines(log) {
		program, text, ok := strings.Cut(strings.TrimSpace(line), "]: ")
		if !ok || !strings.Contains(program, "postfix/postscreen[") && !strings.Contains(program, "postfix/dnsblog[") {
			continue
		}
		if !strings.Contains(text, "["+from+"]") && !strings.Contains(text, "addr "+from+" ") {
			continue
		}
		word, _, _ := strings.Cut(text, " ")
		if slices.Contains([]string{"CONNECT", "DISCONNECT", "NOQUEUE:", "HANGUP"}, word) {
			continue // smtpd's lines say so here
		}
		lines = append(lines, changing.ReplaceAllString(text, "$1$2$3$4"))
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

func TestPostscreen(t *testing.T) {
	server := serveDNS(t, zone)
	for _, action := range []string{"enforce", "drop"} {
		compare(t, server, action, settings(action), clients())
	}
}

// TestPostscreenAfterGreeting is apart, since postscreen with these tests takes no mail from those who pass.
func TestPostscreenAfterGreeting(t *testing.T) {
	server := serveDNS(t, zone)
	for _, action := range []string{"enforce", "drop"} {
		compare(t, server, action, map[string]string{"postscreen_greet_wait": "1s", "postscreen_pipelining_enable": "yes", "postscreen_pipelining_action": action},
			[]client{{name: "hasty", from: "127.0.0.50", hasty: true}})
	}
}

// compare has clients visit postscreen and us, with the same settings.
func compare(t *testing.T, server, action string, settings map[string]string, clients []client) {
	t.Helper()
	folder := t.TempDir()
	files := map[string]string{"screen.cidr": accessTable, "names": "second.test masked.test\n"}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	main := "relay_domains = here.example\nrelay_transport = discard:\npostscreen_access_list = cidr:{dir}/screen.cidr\npostscreen_cache_map =\n" +
		"postscreen_dnsbl_reply_map = texthash:{dir}/names\n"
	set := []string{`log.format="maillog"`, `log.file=""`, "screen.enabled=true", "screen.exempt_networks=[]", fmt.Sprintf("dns.resolvers=[%q]", server),
		fmt.Sprintf(`screen.postscreen_access_list=["cidr:%s/screen.cidr"]`, folder), fmt.Sprintf(`screen.postscreen_dnsbl_reply_map=["texthash:%s/names"]`, folder),
		`screen.postscreen_greet_ttl="1s"`, `screen.postscreen_dnsbl_max_ttl="1s"`, `screen.postscreen_dnsbl_min_ttl="1s"`, `screen.postscreen_cache_retention_time="0s"`}
	for name, value := range settings {
		main += name + " = " + value + "\n"
		switch {
		case name == "postscreen_dnsbl_sites":
			value = fmt.Sprintf("[%q]", value)
		case value == "yes":
			value = "true"
		case !strings.HasSuffix(name, "threshold"):
			value = fmt.Sprintf("%q", value)
		}
		set = append(set, "screen."+name+"="+value)
	}
	screened := "127.0.0.1:" + postfix.FreePort(t)
	p := postfix.Start(t, postfix.Config{Main: main, Files: files,
		Master: screened + " inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd\ndnsblog unix - - n - 0 dnsblog\ntlsproxy unix - - n - 0 tlsproxy\n"})
	s := system.Start(t, system.Options{Set: set})
	var visits sync.WaitGroup
	for _, c := range clients {
		var ours, theirs [2]string
		var both sync.WaitGroup
		both.Go(func() { ours[0], ours[1] = visit(s.Listeners["smtp"], c) })
		both.Go(func() { theirs[0], theirs[1] = visit(screened, c) })
		visits.Go(func() {
			both.Wait()
			if same := ours == theirs; same != (c.differs == "") {
				t.Errorf("%s, %s: we say %q; postscreen %q (%s)", action, c.name, ours, theirs, c.differs)
			}
			t.Logf("%s, %s: %q", action, c.name, ours)
		})
	}
	visits.Wait()
	for _, c := range clients {
		var ours, theirs []string
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) { // both write their logs when they like
			ours, theirs = said(s.Log(1<<20), c.from), said(p.Log(), c.from)
			if c.differs != "" || slices.Equal(ours, theirs) {
				break
			}
			if time.Now().After(end) {
				t.Errorf("%s, %s: our log has\n%s\npostscreen's\n%s", action, c.name, strings.Join(ours, "\n"), strings.Join(theirs, "\n"))
				break
			}
		}
	}
}
