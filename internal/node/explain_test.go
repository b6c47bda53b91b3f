package node

import (
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/admin"
)

// explainSets are rules of several kinds.
func explainSets(t *testing.T, dir string) []string {
	t.Helper()
	tables := t.TempDir()
	for name, text := range map[string]string{
		"clients": "127.0.7.1 REJECT we know you\n127.0.7.2 HOLD looks odd\n127.0.7.3 OK\n",
		"senders": "bad.example 550 5.7.1 no\n<> DEFER not now\n",
		"virtual": "sales@here.example alice@here.example, x@far.example\nloop@here.example loop2@here.example\nloop2@here.example loop@here.example\n",
		"moves":   "far.example smtp:[127.0.0.1]:2525\n",
	} {
		if err := os.WriteFile(filepath.Join(tables, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(tables, name) }
	return []string{
		`edges.smtpd_authorized_xclient_hosts = ["127.0.0.1"]`, `access.smtpd_peername_lookup = false`,
		`access.smtp.smtpd_client_restrictions = ["check_client_access cidr:` + at("clients") + `"]`,
		`access.smtp.smtpd_sender_restrictions = ["check_sender_access texthash:` + at("senders") + `", "reject_non_fqdn_sender"]`,
		`access.smtp.smtpd_helo_restrictions = ["reject_invalid_helo_hostname"]`,
		`routing.virtual_alias_maps = "texthash:` + at("virtual") + `"`, `routing.transport_maps = "texthash:` + at("moves") + `"`,
	}
}

// talkLike asks a real session what Explain is asked, up to the last reply that it gave.
func talkLike(t *testing.T, n *Node, q admin.ExplainQuery) (replies []string) {
	t.Helper()
	c, err := net.Dial("tcp", n.Addresses()["smtp"].String())
	if err != nil {
		t.Fatal(err)
	}
	text := textproto.NewConn(c)
	defer text.Close()
	say := func(line string) string {
		if line != "" {
			if err := text.PrintfLine("%s", line); err != nil {
				t.Fatal(err)
			}
		}
		code, msg, err := text.ReadResponse(0)
		if err != nil && code == 0 {
			t.Fatalf("%s: %v", line, err)
		}
		return strings.Split(strings.Join([]string{itoa(code), msg}, " "), "\n")[0]
	}
	say("")
	replies = append(replies, say("XCLIENT NAME=[UNAVAILABLE] ADDR="+q.Client)) // greeted anew
	replies = append(replies, say("EHLO "+q.Helo), say("MAIL FROM:<"+q.From+">"))
	for _, to := range q.To {
		replies = append(replies, say("RCPT TO:<"+to+">"))
	}
	return append(replies, say("DATA"))
}

func itoa(n int) string {
	return string([]byte{byte('0' + n/100), byte('0' + n/10%10), byte('0' + n%10)})
}

func TestExplain(t *testing.T) {
	dir := t.TempDir()
	n, _ := start(t, testConfig(t, dir, explainSets(t, dir)...))
	addUser(t, n, "alice", "alice's password")
	name := ""
	for _, q := range []admin.ExplainQuery{
		{Client: "192.0.2.7", From: "a@far.example", To: []string{"alice@here.example"}},
		{Client: "192.0.2.7", From: "a@far.example", To: []string{"alice+x@here.example", "nobody@here.example", "x@else.example", "SALES@here.example"}},
		{Client: "192.0.2.7", From: "a@bad.example", To: []string{"alice@here.example"}},
		{Client: "192.0.2.7", From: "", To: []string{"alice@here.example"}},
		{Client: "192.0.2.7", From: "a@nodomain", To: []string{"alice@here.example"}},
		{Client: "127.0.7.1", From: "a@far.example", To: []string{"alice@here.example"}},
		{Client: "127.0.7.2", From: "a@far.example", To: []string{"alice@here.example"}},
		{Client: "127.0.7.3", From: "a@far.example", To: []string{"alice@here.example", "x@else.example"}},
		{Client: "2001:db8::7", From: "a@far.example", To: []string{"loop@here.example", "x%y@here.example", "@far.example:alice@here.example", "alice@[127.0.0.1]"}},
		{Client: "192.0.2.7", Helo: "bad..name", From: "a@far.example", To: []string{"alice@here.example"}},
	} {
		q.Name = &name
		if q.Helo == "" {
			q.Helo = "client.far.example"
		}
		x, err := n.API().Explain(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, s := range x.Stages {
			said = append(said, s.Reply)
		}
		real := talkLike(t, n, q)
		if !x.Accepted {
			real = real[:len(said)]
		}
		for i, s := range x.Stages {
			if !strings.HasPrefix(real[i], said[i]) {
				t.Errorf("%+v\n%s: explained %q, real %q", q, s.Command, said[i], real[i])
			}
		}
		if x.Accepted != strings.HasPrefix(talkLike(t, n, q)[len(q.To)+3], "354") {
			t.Errorf("%+v: accepted %v", q, x.Accepted)
		}
	}
}

// The rules that decide are told, and where each copy goes.
func TestExplainTellsTheRules(t *testing.T) {
	dir := t.TempDir()
	n, stop := start(t, testConfig(t, dir, explainSets(t, dir)...))
	addUser(t, n, "alice", "alice's password")
	name := ""
	ask := func(n *Node) {
		t.Helper()
		x, err := n.API().Explain(t.Context(), admin.ExplainQuery{Client: "127.0.7.2", Name: &name, Helo: "h.example", From: "a@far.example", To: []string{"sales@here.example"}})
		if err != nil || !x.Accepted || len(x.Recipients) != 1 {
			t.Fatalf("%+v, %v", x, err)
		}
		var rules []string
		for _, s := range x.Stages {
			for _, r := range s.Rules {
				rules = append(rules, r.Rule+": "+r.Result)
			}
		}
		r := x.Recipients[0]
		for _, rule := range r.Routes {
			rules = append(rules, rule.Rule+": "+rule.Result)
		}
		all := strings.Join(rules, "\n")
		for _, want := range []string{"check_client_access", "HOLD", "looks odd", "reject_unauth_destination", "virtual_alias_maps", "transport_maps"} {
			if !strings.Contains(all, want) {
				t.Errorf("nothing of %s in\n%s", want, all)
			}
		}
		want := []admin.ExplainedCopy{{Address: "alice@here.example", Transport: "mailbox"}, {Address: "x@far.example", Transport: "smtp", NextHop: "[127.0.0.1]:2525"}}
		if len(r.Copies) != 2 || r.Copies[0] != want[0] || r.Copies[1] != want[1] {
			t.Errorf("copies %+v", r.Copies)
		}
	}
	ask(n)
	c := n.Config()
	stop()
	offline, err := Open(t.Context(), Options{Config: c, Log: testLog(t), Version: "test"}) // no server runs
	must(t, err)
	defer func() { must(t, offline.Stop(t.Context())) }()
	ask(offline)
	for _, wrong := range []admin.ExplainQuery{{Client: "here", To: []string{"x@y.example"}}, {Client: "192.0.2.7"}, {Client: "192.0.2.7", Service: "imap", To: []string{"x@y.example"}},
		{Client: "192.0.2.7", Auth: "nobody@here.example", To: []string{"x@y.example"}}, {Client: "192.0.2.7", Service: "smtp", Auth: "alice@here.example", To: []string{"x@y.example"}}} {
		if _, err := offline.API().Explain(t.Context(), wrong); err == nil {
			t.Errorf("%+v is explained", wrong)
		}
	}
}

// Who gets a copy by always_bcc and its like is among the copies, with the rule.
func TestExplainTellsOfCopies(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir(), `routing.recipient_bcc_maps = "inline:{alice@here.example=archive@far.example}"`, `access.smtpd_peername_lookup = false`))
	addUser(t, n, "alice", "alice's password")
	name := ""
	x, err := n.API().Explain(t.Context(), admin.ExplainQuery{Client: "127.0.7.9", Name: &name, Helo: "h.example", From: "a@far.example", To: []string{"alice@here.example"}})
	if err != nil || len(x.Recipients) != 1 {
		t.Fatalf("%+v, %v", x, err)
	}
	r := x.Recipients[0]
	if len(r.Copies) != 2 || r.Copies[1] != (admin.ExplainedCopy{Address: "archive@far.example", Transport: "smtp"}) {
		t.Errorf("copies %+v", r.Copies)
	}
	told := false
	for _, rule := range r.Routes {
		told = told || strings.HasPrefix(rule.Rule, "recipient_bcc_maps")
	}
	if !told {
		t.Errorf("routes %+v", r.Routes)
	}
}
