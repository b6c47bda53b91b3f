package interop

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// The whole server with its database on PostgreSQL: mail comes in, is read, and is there after a SIGKILL.
func TestServerOnPostgreSQL(t *testing.T) {
	url := needs.PostgreSQL(t)
	o := system.Options{Set: []string{`database.engine="postgres"`, fmt.Sprintf("database.url=%q", url)}}
	s := system.Start(t, o)
	const mails = 20
	for i := range mails {
		swaks(t, s, "smtp", swaksOK, "--header", fmt.Sprintf("Subject: number %d", i))
	}
	s.Await(t, s.Alice, "INBOX", mails)
	s.Kill(t)
	o.Dir = s.Dir
	s = system.Start(t, o)
	c := s.IMAP(t, s.Alice)
	bodies := system.Bodies(t, c, "INBOX")
	if len(bodies) != mails {
		t.Errorf("%d messages of %d", len(bodies), mails)
	}
	for i := range mails {
		n := 0
		for _, b := range bodies {
			n += strings.Count(string(b), fmt.Sprintf("Subject: number %d\r\n", i))
		}
		if n != 1 {
			t.Errorf("message %d is there %d times", i, n)
		}
	}
}
