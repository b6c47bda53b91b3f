package bounces

import (
	"fmt"
	"net/smtp"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/test/interop/postfix"
	"github.com/postrider/postrider/test/interop/system"
)

// letters are what both are given. The sender names the case, and gets the report.
var letters = []struct {
	from, mail string
	to         []string
	rcpt       string
	reportTo   string // "": the sender
}{
	{from: "plain@away.example", to: []string{"nobody@far.example", "full@far.example"}},
	{from: "dsn@away.example", mail: " ENVID=abc+3Dd RET=HDRS", to: []string{"nobody@far.example"}, rcpt: " NOTIFY=FAILURE ORCPT=rfc822;first+2Bx@far.example"},
	{from: "success@away.example", mail: " ENVID=id", to: []string{"yes@far.example"}, rcpt: " NOTIFY=SUCCESS"},
	{from: "utf8@away.example", mail: " SMTPUTF8", to: []string{"nogrüße@far.example"}},
	{from: "list@away.example", mail: " XVERP", to: []string{"nobody@far.example"}, reportTo: "list+nobody=far.example@away.example"},
	{from: "lists@away.example", mail: " XVERP=-=", to: []string{"nobody@far.example"}, reportTo: "lists-nobody=far.example@away.example"},
	{from: "", to: []string{"nobody@far.example"}, reportTo: "boss@away.example"}, // a double bounce
}

func TestReportsAreAlike(t *testing.T) {
	const notices = "boss@away.example"
	theirs, ours := listen(t), listen(t)
	p := postfix.Start(t, postfix.Config{Main: "mynetworks = 127.0.0.0/8\nrelayhost = " + theirs.hop + "\nsmtp_tls_security_level = none\n" +
		"smtpd_authorized_verp_clients = 127.0.0.0/8\nnotify_classes = 2bounce\n2bounce_notice_recipient = " + notices + "\n"})
	s := system.Start(t, system.Options{Set: []string{`routing.relayhost="` + ours.hop + `"`, `access.mynetworks=["127.0.0.0/8"]`,
		`notices.smtpd_authorized_verp_clients=["127.0.0.0/8"]`, `notices.2bounce_notice_recipient="` + notices + `"`}})
	for _, l := range letters {
		for _, at := range []string{p.Address, s.Listeners["smtp"]} {
			c, err := smtp.Dial(at)
			if err != nil {
				t.Fatal(err)
			}
			say := func(code int, format string, args ...any) {
				t.Helper()
				if id, err := c.Text.Cmd(format, args...); err != nil {
					t.Fatal(err)
				} else {
					c.Text.StartResponse(id)
					defer c.Text.EndResponse(id)
				}
				if _, _, err := c.Text.ReadResponse(code); err != nil {
					t.Fatalf("%s: %s: %v", at, fmt.Sprintf(format, args...), err)
				}
			}
			say(250, "EHLO client.example")
			say(250, "MAIL FROM:<%s>%s", l.from, l.mail)
			for _, to := range l.to {
				say(250, "RCPT TO:<%s>%s", to, l.rcpt)
			}
			say(354, "DATA")
			say(250, "From: x@away.example\r\nTo: y@far.example\r\nSubject: case\r\nMessage-ID: <m@away.example>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\nthe text\r\n.")
			say(221, "QUIT")
			_ = c.Close()
		}
	}
	for _, l := range letters {
		to := l.reportTo
		if to == "" {
			to = l.from
		}
		want, got := facts(t, theirs.await(t, to)), facts(t, ours.await(t, to))
		if got != want {
			t.Errorf("%s: Postrider's report\n%s\nPostfix's\n%s", to, got, want)
		}
	}
}

// address is the address behind its type.
func address(s string) string {
	_, a, _ := strings.Cut(s, ";")
	return strings.TrimSpace(a)
}

var date = regexp.MustCompile(`(?m)^(.*-Date: ).*$`)

// facts are what programs read of a report, in a form that both have: dates and host names of our own differ, and so does what
// each adds under names of its own.
func facts(t *testing.T, r report) string {
	t.Helper()
	m := mime.Parse([]byte(r.text))
	if m.Root == nil || len(m.Root.Children) != 3 {
		t.Fatalf("not a report:\n%s", r.text)
	}
	kind, _ := header.Get(m.Root.Params, "report-type")
	h, _ := header.Parse([]byte(r.text), len(r.text))
	auto, _ := h.Get("Auto-Submitted")
	mailer := ""
	if len(m.Envelope.From) == 1 {
		mailer = m.Envelope.From[0].Local
	}
	from, _, _ := strings.Cut(r.from, "@")
	out := fmt.Sprintf("reverse-path %q, From %s, Auto-Submitted %s, report-type %s, SMTPUTF8 %v\n", from, mailer, auto, kind, strings.Contains(r.mail, "SMTPUTF8"))
	for _, p := range m.Root.Children {
		out += p.Type + "/" + p.Subtype + "\n"
	}
	status, groups := m.Root.Children[1], []string(nil)
	for group := range strings.SplitSeq(strings.TrimSpace(r.text[status.Body:status.End]), "\r\n\r\n") {
		fields, _ := header.Parse([]byte(group+"\r\n\r\n"), len(group)+4)
		lines, one := map[string]string{}, ""
		for _, f := range fields.Fields {
			lines[string(fields.Name(f))] = strings.Join(strings.Fields(fields.Value(f)), " ")
		}
		for _, name := range []string{"Original-Envelope-Id", "Reporting-MTA", "Arrival-Date", "Original-Recipient", "Final-Recipient", "Action", "Status",
			"Remote-MTA", "Diagnostic-Code"} {
			value, ok := lines[name]
			switch {
			case !ok:
				continue
			case name == "Reporting-MTA":
				value, _, _ = strings.Cut(value, ";")
			case name == "Remote-MTA":
				value = strings.Trim(strings.NewReplacer("[", "", "]", "").Replace(value), " ")
			}
			value = strings.ReplaceAll(value, "; ", ";")
			// The next hop's lines: Postfix quotes their codes again and again, we once.
			value = strings.ReplaceAll(strings.Replace(value, "550-5.1.1 ", "550 5.1.1 ", 1), " 550 5.1.1 user", " user")
			if name == "Original-Recipient" && address(value) == address(lines["Final-Recipient"]) {
				continue // Postfix has it also when nobody gave ORCPT; RFC 3464 §2.3.1 wants it only then
			}
			one += name + ": " + value + "\n"
		}
		groups = append(groups, one)
	}
	slices.Sort(groups[1:]) // recipients are in no order
	out += strings.Join(groups, "\n")
	back := m.Root.Children[2]
	out += fmt.Sprintf("with the text: %v", strings.Contains(r.text[back.Body:back.End], "the text"))
	return date.ReplaceAllString(out, "${1}DATE")
}
