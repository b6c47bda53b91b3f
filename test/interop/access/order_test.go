package access

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/interop/postfix"
	"github.com/postrider/postrider/test/interop/system"
)

// What comes of several lists together is Postfix's too: each of four lists says one of six things, so that the order of the
// lists, what a permission ends, and what defer_if_permit and defer_if_reject remember all matter.
func TestListsTogetherAreThoseOfPostfix(t *testing.T) {
	says := []string{"permit", "reject_non_fqdn_sender", "reject", "defer", "defer_if_permit", "defer_if_reject"}
	stages := []string{"client", "sender", "relay", "recipient"}
	leads := map[string]*strings.Builder{}
	for _, s := range stages {
		leads[s] = &strings.Builder{}
	}
	total := 1
	for range stages {
		total *= len(says)
	}
	var chosen [][]string
	for i := range total {
		var c []string
		for n, s := range stages {
			say := says[i/pow(len(says), n)%len(says)]
			c = append(c, s+"="+say)
			fmt.Fprintf(leads[s], "case%d@ %s\n", i, say)
		}
		chosen = append(chosen, c)
	}
	files, main, set := map[string]string{}, "", []string{`routing.virtual_alias_maps=["inline:{{@here.example = alice@here.example}}"]`, "smtp.max_errors=10000"}
	for _, s := range stages {
		files[s] = leads[s].String()
		main += "smtpd_" + s + "_restrictions = check_recipient_access texthash:{dir}/" + s
		if s == "recipient" {
			main += ", reject_unauth_destination"
		}
		main += "\n"
	}
	p := postfix.Start(t, postfix.Config{Files: files, Main: main + "virtual_mailbox_domains = here.example\nvirtual_mailbox_maps = static:x\nvirtual_transport = discard:\n"})
	for _, s := range stages {
		set = append(set, fmt.Sprintf("access.smtp.smtpd_%s_restrictions=[%q]", s, "check_recipient_access texthash:"+p.Dir+"/"+s))
	}
	set[len(set)-1] = strings.TrimSuffix(set[len(set)-1], `"]`) + `, reject_unauth_destination"]`
	s := system.Start(t, system.Options{Set: set})
	theirs, ours := asker(t, p.Address), asker(t, s.Listeners["smtp"])
	wrong := 0
	for i, c := range chosen {
		if a, b := theirs(i), ours(i); a != b {
			if wrong++; wrong < 20 {
				t.Errorf("%s\nPostfix: %s\n   ours: %s", strings.Join(c, " "), a, b)
			}
		}
	}
	t.Logf("%d combinations, %d differ", total, wrong)
}

func pow(b, n int) int {
	out := 1
	for range n {
		out *= b
	}
	return out
}

// asker asks for one recipient after the other, some on each connection.
func asker(t *testing.T, addr string) func(no int) string {
	var k *client
	n := 0
	return func(no int) string {
		if n++; k == nil || n%15 == 0 {
			if k != nil {
				k.Close()
			}
			k = dial(t, addr)
		}
		k.say("MAIL FROM:<sender@third.example>")
		got := k.say(fmt.Sprintf("RCPT TO:<case%d@here.example>", no))
		k.say("RSET")
		if got[0] == '2' {
			return "taken"
		}
		return got
	}
}
