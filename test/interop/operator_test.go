package interop

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
)

// An operator finds and changes mail by the words that curl's user knows from IMAP, both see the same, and a master user
// comes in by curl's --sasl-authzid and by the name with a star.
func TestOperatorBesideCurl(t *testing.T) {
	s := system.Start(t, system.Options{Set: []string{`auth.master_users=["bob@here.example"]`}})
	postrider := func(code int, args ...string) string {
		t.Helper()
		return system.Run(t, system.Command{Name: system.Binary(t), Args: append(args, "--dir", s.Dir, "--account", s.Alice.Address), Code: code}).Stdout
	}
	c := s.IMAP(t, s.Alice)
	for i, from := range []string{"ann@far.example", "ben@far.example", "ann@far.example"} {
		system.Append(t, c, "INBOX", []byte(fmt.Sprintf("From: %s\r\nSubject: Größe %d\r\n\r\nText\r\n", from, i+1)))
	}
	for _, criteria := range []string{"ALL", "FROM ann", "UNSEEN NOT FROM ann", `SUBJECT "größe 2"`, "UID 2:*", "OR UID 1 TEXT text", "KEYWORD Work", "SINCE 1-Jan-2030"} {
		if ours, theirs := search(t, postrider(0, "mail", "search", "--json", criteria)), curlSearch(t, s, criteria); ours != theirs {
			t.Errorf("%s: %q, curl finds %q", criteria, ours, theirs)
		}
	}
	postrider(0, "mail", "flags", "add", "seen,Work", "from", "ann")
	if got := curlSearch(t, s, "SEEN KEYWORD Work"); got != "1 3" {
		t.Errorf("after flags add curl finds %s", got)
	}
	postrider(0, "mail", "move", "--to", "Old/Ben", "--create", "from", "ben")
	if got := curlSearch(t, s, "ALL"); got != "1 3" {
		t.Errorf("after move curl finds %s", got)
	}
	if got := curlFetch(t, s, s.Alice, "Old%2FBen", 1); got != postrider(0, "mail", "fetch", "--mailbox", "Old/Ben", "1") {
		t.Errorf("fetched by curl: %q", got)
	}
	postrider(0, "mail", "expunge", "--yes", "all")
	if got := curlSearch(t, s, "ALL"); got != "" {
		t.Errorf("after expunge curl finds %s", got)
	}

	as := func(code int, name, password string, more ...string) string {
		t.Helper()
		args := append(imapsArgs(s, system.Account{Address: name, Password: password}, "Old%2FBen;UID=1"), "--silent", "--show-error")
		return curl(t, code, append(args, more...)...)
	}
	for _, got := range []string{as(0, s.Bob.Address, s.Bob.Password, "--sasl-authzid", s.Alice.Address, "--login-options", "AUTH=PLAIN"),
		as(0, s.Alice.Address+"*"+s.Bob.Address, s.Bob.Password)} {
		if !strings.Contains(got, "ben@far.example") {
			t.Errorf("the master reads %q", got)
		}
	}
	as(67, s.Bob.Address, "wrong", "--sasl-authzid", s.Alice.Address, "--login-options", "AUTH=PLAIN")
	as(67, s.Bob.Address+"*"+s.Alice.Address, s.Alice.Password)
}

// search reads the UIDs of `mail search --json`.
func search(t *testing.T, text string) string {
	t.Helper()
	var list []struct{ UID int }
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	var words []string
	for _, m := range list {
		words = append(words, strconv.Itoa(m.UID))
	}
	return strings.Join(words, " ")
}

// curlSearch asks by UID SEARCH.
func curlSearch(t *testing.T, s *system.System, criteria string) string {
	t.Helper()
	answer := curlIMAP(t, s, "INBOX", "UID SEARCH "+criteria)
	return strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(answer), "* SEARCH"))
}
