package interop

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
)

// getmail is one of getmail's configurations, delivering into a folder of its own; what it has seen it remembers. It
// delivers through a program, because getmail refuses to write a Maildir itself as root, and tests may run as root.
type getmail struct {
	dir, rc, maildir string
	below            string // the field that it adds at the end of the header
}

// newGetmail writes its file. retriever is getmail's own name for the protocol; options are lines of [options].
func newGetmail(t *testing.T, s *system.System, service, retriever, options string) getmail {
	t.Helper()
	g := getmail{dir: t.TempDir(), maildir: newMaildir(t)}
	mailboxes := ""
	if strings.Contains(retriever, "IMAP") {
		mailboxes = `mailboxes = ("INBOX",)` + "\n"
		g.below = "\r\nX-getmail-retrieved-from-mailbox: INBOX"
	}
	g.rc = writeFile(t, "getmailrc", fmt.Sprintf("[retriever]\ntype = %s\nserver = localhost\nport = %s\nusername = %s\npassword = %s\nca_certs = %s\ntimeout = 60\n%s\n"+
		"[destination]\ntype = MDA_external\npath = /bin/sh\narguments = (\"-c\", \"exec cat >`mktemp %s/new/XXXXXX`\")\nallow_root_commands = true\n\n[options]\nread_all = false\ndelivered_to = false\nreceived = false\n%s\n",
		retriever, s.Port(t, service), s.Alice.Address, s.Alice.Password, s.CA, mailboxes, g.maildir, options))
	return g
}

func (g getmail) run(t *testing.T) string {
	t.Helper()
	return system.Run(t, system.Command{Name: "getmail", Args: []string{"--getmaildir", g.dir, "--rcfile", g.rc, "--verbose"}}).All()
}

// fetches runs it and demands n new messages, and that the folder has the first `all` samples byte for byte, but for
// the fields that getmail adds.
func (g getmail) fetches(t *testing.T, n, all int) {
	t.Helper()
	contains(t, g.run(t), fmt.Sprintf("%d messages (", n))
	var want []string
	for i := range all {
		want = append(want, "Return-Path: <unknown>\r\n"+strings.Replace(sample(i), "\r\n\r\n", g.below+"\r\n\r\n", 1))
	}
	same(t, "the Maildir", maildirTexts(t, g.maildir), want...)
}

func TestGetmailIMAP(t *testing.T) {
	s := system.Start(t, system.Options{})
	samples(t, s, 3)
	keep := newGetmail(t, s, "imaps", "SimpleIMAPSSLRetriever", "delete = false")
	keep.fetches(t, 3, 3)
	keep.fetches(t, 0, 3) // remembered by UIDVALIDITY and UID
	system.Append(t, s.IMAP(t, s.Alice), "INBOX", []byte(sample(3)))
	keep.fetches(t, 1, 4)
	same(t, "kept", flagsOf(t, s, s.Alice, "INBOX"), "", "", "", "") // BODY.PEEK
	newGetmail(t, s, "imaps", "SimpleIMAPSSLRetriever", "delete = true").fetches(t, 4, 4)
	s.Await(t, s.Alice, "INBOX", 0)
}

func TestGetmailPOP3(t *testing.T) {
	s := system.Start(t, system.Options{})
	samples(t, s, 3)
	keep := newGetmail(t, s, "pop3s", "SimplePOP3SSLRetriever", "delete = false")
	keep.fetches(t, 3, 3)
	keep.fetches(t, 0, 3) // remembered by UIDL
	system.Append(t, s.IMAP(t, s.Alice), "INBOX", []byte(sample(3)))
	keep.fetches(t, 1, 4)
	s.Await(t, s.Alice, "INBOX", 4)
	newGetmail(t, s, "pop3s", "SimplePOP3SSLRetriever", "delete = true").fetches(t, 4, 4)
	s.Await(t, s.Alice, "INBOX", 0)
}
