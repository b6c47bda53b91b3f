package obs

import (
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/queueid"
)

// A message of a program of this host is three lines of Postfix's, and one of ours.
func TestSubmitted(t *testing.T) {
	id := queueid.New(1763786042000000, 3)
	e := Submitted{ID: id, UID: 1000, Via: "drop", From: address.Address{Local: "root", Domain: "here.example"}, MessageID: "a>\nb", Size: 120, Nrcpt: 2}
	for format, want := range map[string][]string{
		"maillog": {
			" host postfix/pickup[7]: " + id.String() + ": uid=1000 from=<root@here.example>\n",
			" host postfix/cleanup[7]: " + id.String() + ": message-id=<a??b>\n",
			" host postfix/qmgr[7]: " + id.String() + ": from=<root@here.example>, size=120, nrcpt=2 (queue active)\n",
		},
		"text": {"msg=submitted queue_id=" + id.String() + " uid=1000 via=drop from=root@here.example"},
	} {
		var b strings.Builder
		log, err := New(Options{Out: &b, Format: format, Level: "info", Hostname: "host.here.example", PID: 7, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		log.Emit(e)
		for _, part := range want {
			if !strings.Contains(b.String(), part) {
				t.Errorf("%s: no %q in\n%s", format, part, b.String())
			}
		}
	}
}
