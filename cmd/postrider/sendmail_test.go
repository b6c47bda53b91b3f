package main

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/submit"
)

// The command lines of programs, as they are written in their sources and manuals.
func TestSendmailCommandLines(t *testing.T) {
	dir := t.TempDir()
	for line, want := range map[string]sendmailOptions{
		// cron, Debian: -i -FCronDaemon -B8BITMIME -oem USER
		"-i -FCronDaemon -B8BITMIME -oem root": {ignoreDots: true, name: "CronDaemon", named: true, recipients: []string{"root"}},
		"-FCronDaemon -odi -oem -oi -t":        {ignoreDots: true, extract: true, name: "CronDaemon", named: true}, // cronie
		"-t -i":                                {ignoreDots: true, extract: true},                                  // PHP
		"-t -i -fwww@x.example":                {ignoreDots: true, extract: true, sender: "www@x.example", senderSaid: true},
		"-i a@b.example c@d.example":           {ignoreDots: true, recipients: []string{"a@b.example", "c@d.example"}}, // git send-email
		"-i -f a@x.example a@b.example":        {ignoreDots: true, sender: "a@x.example", senderSaid: true, recipients: []string{"a@b.example"}},
		"-oem -oi -f x@y.example -- a@b.example c": {ignoreDots: true, sender: "x@y.example", senderSaid: true, // mutt
			recipients: []string{"a@b.example", "c"}},
		"-oem -oi -N failure,delay -R hdrs -- a": {ignoreDots: true, notify: envelope.NotifyFailure | envelope.NotifyDelay, ret: envelope.RetHeaders,
			recipients: []string{"a"}},
		"-t":                                {extract: true}, // logwatch, mdadm, smartd
		"-i bob":                            {ignoreDots: true, recipients: []string{"bob"}},
		"-oi -t":                            {ignoreDots: true, extract: true},                                                         // mdadm
		"-i -r me@x.example bob":            {ignoreDots: true, sender: "me@x.example", senderSaid: true, recipients: []string{"bob"}}, // s-nail
		"-i -m -v bob":                      {ignoreDots: true, verbose: true, recipients: []string{"bob"}},                            // mailx -v
		"-bs":                               {mode: modeSMTP},
		"-bp":                               {mode: modeQueue},
		"-bi":                               {mode: modeAliases},
		"-I":                                {mode: modeAliases},
		"-bv root":                          {mode: modeVerify, recipients: []string{"root"}},
		"-bm root":                          {recipients: []string{"root"}},
		"-q":                                {mode: modeFlush},
		"-qI4jXHCg4Rgpz24qPr":               {mode: modeFlush, flush: admin.JobFilter{IDs: []string{"4jXHCg4Rgpz24qPr"}}},
		"-qRfar.example":                    {mode: modeFlush, flush: admin.JobFilter{Recipient: "@far.example"}},
		"-q15m root":                        {interval: "15m", recipients: []string{"root"}},
		"-f <> bob":                         {senderSaid: true, recipients: []string{"bob"}},
		"-f<> -ti":                          {senderSaid: true, extract: true, ignoreDots: true},
		"-V id7 -N never bob":               {envID: "id7", notify: envelope.NotifyNever, recipients: []string{"bob"}},
		"-XV bob":                           {verp: "+=", recipients: []string{"bob"}},
		"-XV-= -f list bob":                 {verp: "-=", sender: "list", senderSaid: true, recipients: []string{"bob"}},
		"-GUn -h 30 -L tag -A m -X log bob": {recipients: []string{"bob"}},
		"-odb -oee -om -o7 -OIgnoreDots=true -O DeliveryMode=b bob": {ignoreDots: true, recipients: []string{"bob"}},
		"-C /etc/mail/sendmail.cf bob":                              {recipients: []string{"bob"}},
		"-C " + dir + " bob":                                        {dir: dir, recipients: []string{"bob"}},
		"-c " + dir + " bob":                                        {dir: dir, recipients: []string{"bob"}},
		"a,b@c.example,":                                            {recipients: []string{"a", "b@c.example"}},
		"Bob<bob@x.example>":                                        {recipients: []string{"bob@x.example"}},
		"bob -t":                                                    {recipients: []string{"bob", "-t"}}, // options end at the first operand (POSIX)
		"grün@grün.example":                                         {recipients: []string{"grün@grün.example"}},
	} {
		o, err := parseSendmail(strings.Fields(line))
		if err != nil || !reflect.DeepEqual(*o, want) {
			t.Errorf("%s:\n %+v, %v, want\n %+v", line, o, err, want)
		}
	}
}

func TestSendmailRefusedCommandLines(t *testing.T) {
	for line, part := range map[string]string{
		"-bd -q15m": "postrider serve", "-bt": "queue show", "-bx": "no such mode", "-bh": "table of hosts", "-Z": "no option -Z", "-f": "wants a value",
		"-N sometimes bob": "wants never", "-N never,delay bob": "stands alone", "-R half bob": "full or hdrs", "-XVab bob": "delimiters", "-q15m": "mta.retry",
		"-qI": "wants nothing", "-qI..": "wants nothing", "-qR1.2.3.4": "wants nothing", "-qSfar.example": "wants nothing", "-f a,b bob": "more than one", "-c /nowhere bob": "no such data directory", "--help": "no option --",
	} {
		if o, err := parseSendmail(strings.Fields(line)); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %+v, %v", line, o, err)
		}
	}
}

func readAll(t *testing.T, in string, ignoreDots bool, step int) string {
	t.Helper()
	s := &spool{}
	defer s.close()
	l := &lines{w: s, dots: !ignoreDots}
	var err error
	for i := 0; i < len(in) && err == nil; i += step {
		_, err = l.Write([]byte(in[i:min(i+step, len(in))]))
	}
	if err == nil {
		err = l.close()
	}
	if err != nil && !errors.Is(err, errDot) {
		t.Fatal(err)
	}
	r, err := s.reader()
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil || int64(len(out)) != s.size {
		t.Fatalf("%d bytes of %d, %v", len(out), s.size, err)
	}
	return string(out)
}

func TestSendmailInput(t *testing.T) {
	for _, c := range []struct {
		in         string
		ignoreDots bool
		want       string
	}{
		{"a\n.\nb\n", false, "a\n"}, {"a\n.\nb\n", true, "a\n.\nb\n"}, {"a\r\n.\r\nb", false, "a\r\n"}, {".", false, ""}, {".", true, "."},
		{"..\n. \n.x\n", false, "..\n. \n.x\n"}, {"From a@b Sat\nSubject: x\n", true, "Subject: x\n"}, {">From a\nFrom b\nc\nFrom d\n", true, "c\nFrom d\n"},
		{"From: a\n", true, "From: a\n"}, {"From", true, "From"}, {"From a", true, ""}, {"", true, ""}, {"no end", false, "no end"},
		{"Fr\n.\n", false, "Fr\n"}, {strings.Repeat("long ", 1000) + "\n.\n", false, strings.Repeat("long ", 1000) + "\n"},
		{strings.Repeat("0123456789abcde\n", 200_000), false, strings.Repeat("0123456789abcde\n", 200_000)}, // more than is held in memory
	} {
		for _, step := range []int{1, 3, 4096} {
			if len(c.in) > 1<<20 && step < 4096 {
				continue
			}
			if got := readAll(t, c.in, c.ignoreDots, step); got != c.want {
				t.Errorf("%.60q by %d: %.60q, want %.60q", c.in, step, got, c.want)
			}
		}
	}
}

func TestExtractRecipients(t *testing.T) {
	for in, want := range map[string]string{
		"To: bob\nCc: \"C, C\" <c@x.example>,\n d\nBcc: e\nFrom: f\n\nTo: g\n": "bob c@x.example d e",
		"To: bob\nResent-To: r@x.example\nResent-Bcc: s\n\n":                   "r@x.example s",
		"To: Team: a, b;, c\n\n":           "a b c",
		"To: undisclosed-recipients:;\n\n": "",
		"no field\nTo: bob\n\n":            "",
		"To: root (Charlie Root)\r\n\r\n":  "root",
		"Subject: x\n\n":                   "",
	} {
		got, err := extractRecipients([]byte(in))
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	if _, err := extractRecipients(bytes.Repeat([]byte("X: y\n"), 60_000)); err == nil {
		t.Error("a header without end")
	}
}

// FuzzSendmailOptions: a command line is understood or refused; what is understood makes a head that the server takes.
func FuzzSendmailOptions(f *testing.F) {
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, "\x00")
		for _, a := range args { // no folder of the machine is looked at
			if strings.HasPrefix(a, "-") && strings.ContainsAny(a, "cC") {
				return
			}
		}
		o, err := parseSendmail(args)
		if err != nil {
			if o != nil || err.Error() == "" {
				t.Fatalf("%+v, %v", o, err)
			}
			return
		}
		h := submit.Head{Token: submit.NewToken(time.Unix(1, 0)), Sender: "login", Name: cleanName(o.name), Recipients: o.recipients, Notify: o.notify, Ret: o.ret, EnvID: o.envID, VERP: o.verp}
		if o.senderSaid {
			h.Sender = o.sender
		}
		if len(h.Recipients) == 0 {
			return
		}
		if err := h.Check(); err != nil && !strings.Contains(err.Error(), "is not an address") && !strings.Contains(err.Error(), "recipients") {
			t.Fatalf("%q: %v", args, err)
		}
	})
}

// FuzzSendmailInput: the message does not depend on how its bytes come, and nothing is added to it.
func FuzzSendmailInput(f *testing.F) {
	f.Fuzz(func(t *testing.T, in string) {
		for _, ignore := range []bool{true, false} {
			whole := readAll(t, in, ignore, len(in)+1)
			if one := readAll(t, in, ignore, 1); one != whole {
				t.Fatalf("%q: %q by bytes, %q at once", in, one, whole)
			}
			if ignore && !strings.HasSuffix(in, whole) || !strings.Contains(in, whole) {
				t.Fatalf("%q became %q", in, whole)
			}
			list, err := extractRecipients([]byte(whole))
			for _, to := range list {
				if err != nil || to == "" || strings.ContainsAny(to, "\n") {
					t.Fatalf("%q: %q, %v", whole, list, err)
				}
			}
		}
	})
}

func TestUserNames(t *testing.T) {
	login, _ := userNames(func(string) string { return "" })
	if login == "" {
		t.Error("nobody")
	}
	if got := cleanName(" a\x00b\r\n\u2028c "); got != "a b   c" {
		t.Errorf("%q", got)
	}
}
