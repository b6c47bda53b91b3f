package privhelper

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
)

func (h *house) program(t *testing.T, p Program, text string) error {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "message"))
	must(t, err)
	defer f.Close()
	_, err = f.WriteString(text)
	must(t, err)
	return h.Program(t.Context(), p, f, int64(len(text)))
}

func TestProgram(t *testing.T) {
	h := helping(t, `
[pipes.shell]
argv = ["/bin/sh", "-c", "id -u; id -g; id -G; pwd; env | sort; printf '<%s>' \"$$@\"; cat; exit 70", "--", "${sender}", "$nexthop", "${user}@$(domain)", "${extension}", "${client_helo}"]
user = "bo"
flags = "hu"
[pipes.no]
argv = ["/bin/false"]
user = "zoe"
[pipes.gone]
argv = ["/nowhere"]
user = "bo:mail"
[pipes.slow]
argv = ["/bin/sleep", "60"]
user = "bo"
time_limit = "1s"
[pipes.option]
argv = ["/bin/true", "${user}"]
user = "bo"
`)
	to := []Recipient{{"Al+Ext", "Host.test", "Al+Ext", "Host.test"}, {"x$(id)", "host.test", "o", "host.test"}}
	p := Program{Name: "shell", NextHop: "There", Sender: "a b@far.test", Recipients: to, Macros: map[string]string{"client_helo": "`id`"}}
	err := h.program(t, p, "message")
	var no *Undelivered
	if !errors.As(err, &no) || no.Status != "5.3.0" {
		t.Fatalf("%v", err)
	}
	want := fmt.Sprintf("%d\n%d\n%d\n/\nHOME=%s\nLOGNAME=bo\nPATH=/usr/bin:/bin\nPWD=/\nSHELL=/bin/bash\n", boID, boID, boID, h.path("home", "bo")) +
		"<a b@far.test><there><al@host.test><x$(id)@host.test><ext><><`id`>message"
	if got := strings.Replace(no.Text, "OLDPWD=/\n", "", 1); got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
	for name, c := range map[string]struct {
		program Program
		want    string
	}{
		"not configured": {Program{Name: "other", Recipients: to}, "there is no [pipes.other]"},
		"no such user":   {Program{Name: "no", Recipients: to}, `pipes.no.user = "zoe": no such user`},
		"no recipients":  {Program{Name: "shell"}, "no recipients"},
		"not there":      {Program{Name: "gone", Recipients: to}, `4.3.0 Command "/nowhere" cannot be run`},
		"too slow":       {Program{Name: "slow", Recipients: to}, `5.3.0 Command time limit exceeded`},
		"an option":      {Program{Name: "option", Recipients: []Recipient{{"-rf", "x", "-rf", "x"}}}, "5.1.3 an address that begins"},
		"a byte 0":       {Program{Name: "option", Recipients: []Recipient{{"a\x00b", "x", "", ""}}}, "5.1.3 an address has a byte 0"},
	} {
		if err := h.program(t, c.program, "x"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestArguments(t *testing.T) {
	to := []Recipient{{"Al+x", "Host", "O", "Host"}, {"-b c", "host", "b c", ""}}
	m := message(opDeliver, "sender", "x y@far", "text", "Hop", "macros", "queue_id=1\nenvid=a=b\n", "size", "7")
	for _, c := range []struct {
		flags string
		argv  []string
		want  string // "!": refused
	}{
		{"", []string{"/p", "-f", "${sender}", "${recipient}"}, "!"},
		{"", []string{"/p", "-f", "${sender}", "--", "${recipient}"}, "/p|-f|x y@far|--|Al+x@Host|-b c@host"},
		{"qhu", []string{"/p", "-f", "${sender}", "a${recipient}", "${original_recipient}"}, `/p|-f|"x y"@far|aal+x@host|a"-b c"@host|o@host|"b c"`},
		{"", []string{"/p", "-u${user}", "-e=${extension}", "$nexthop", "$size$queue_id$envid"}, "/p|-uAl|-u-b c|-e=x|-e=|Hop|71a=b"},
		{"h", []string{"/p", "$nexthop", "$$", "-m${mailbox}@${domain}"}, "/p|hop|$|-mAl+x@host|-m-b c@host"},
	} {
		args, err := arguments(&config.Pipe{Argv: c.argv, Flags: c.flags}, m, to, "+")
		got := strings.Join(args, "|")
		if err != nil {
			got = "!"
		}
		if got != c.want {
			t.Errorf("%v: %s (%v), want %s", c.argv, got, err, c.want)
		}
	}
	if args, err := arguments(&config.Pipe{Argv: []string{"/p", "$sender"}, NullSender: "MAILER-DAEMON"}, message(opDeliver), to, ""); err != nil || args[1] != "MAILER-DAEMON" {
		t.Errorf("null sender: %q, %v", args, err)
	}
}

// FuzzArguments: an argument of the operator's stays one argument for each recipient, and no value begins an option.
func FuzzArguments(f *testing.F) {
	f.Fuzz(func(t *testing.T, item, local, domain, sender, macros string) {
		p := &config.Pipe{Argv: []string{"/p", item}, Flags: "qhu", NullSender: "MAILER-DAEMON"}
		m := message(opDeliver, "sender", sender, "text", domain, "macros", macros)
		args, err := arguments(p, m, []Recipient{{local, domain, domain, local}, {domain, local, local, domain}}, "+-")
		if err != nil {
			return
		}
		used, err := config.MacrosOf(item)
		if err != nil {
			t.Fatalf("%q was expanded: %v", item, err)
		}
		want := 2
		if slices.ContainsFunc(used, isRecipientMacro) {
			want = 3
		}
		if len(args) != want {
			t.Fatalf("%q: %q", item, args)
		}
		for _, a := range args[1:] {
			if strings.HasPrefix(a, "-") && !strings.HasPrefix(item, "-") || strings.ContainsRune(a, 0) {
				t.Fatalf("%q: %q", item, args)
			}
		}
	})
}

func TestUserMailbox(t *testing.T) {
	for name, c := range map[string]struct {
		conf, text string
		want       string // of the error
		file       string // that has the message
	}{
		"a command":         {`mailbox_command = "cat > got"`, "|cat > got", "", "got"},
		"a Maildir":         {`home_mailbox = "Maildir/"`, "Maildir/", "", "Maildir/new/*"},
		"an mbox":           {`home_mailbox = "inbox"`, "inbox", "", "inbox"},
		"another command":   {`mailbox_command = "cat > got"`, "|cat > other", "is neither", ""},
		"none configured":   {"", "|", "is neither", ""},
		"nothing":           {"", "", "is neither", ""},
		"a file of another": {`home_mailbox = "inbox"`, "../bo/inbox", "is neither", ""},
	} {
		h := helping(t, c.conf)
		err := h.deliver(t, Source{Kind: "mailbox", User: "al", Text: c.text}, "message")
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		files, _ := filepath.Glob(h.path("home", "al", c.file))
		if err != nil || len(files) != 1 {
			t.Errorf("%s: %v, %v", name, err, files)
			continue
		}
		if got, err := os.ReadFile(files[0]); string(got) != "message" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if err := h.deliver(t, Source{Kind: "mailbox", User: "daemon", Text: c.text}, "x"); err == nil || !strings.Contains(err.Error(), "5.1.1") {
			t.Errorf("%s: a user of the system's: %v", name, err)
		}
	}
}
