package trace

import (
	"testing"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/vfs"
)

// What clients say cannot look like a key of a line, so that lines are passed over rightly without being read as JSON.
func TestValuesThatLookLikeKeys(t *testing.T) {
	fsys := vfs.NewMem()
	tr := open(fsys, 1, generous)
	id, other := queueid.New(1_000_000, 1), queueid.New(2_000_000, 1)
	p := peer("smtp-1", "192.0.2.7")
	p.Service = `x","queue_id":"` + other.String() + `","session":"smtp-2`
	tr.Emit(obs.Connect{Peer: p})
	tr.Emit(obs.Accepted{Peer: p, ID: id, MessageID: `","cause":"` + other.String()})
	tr.Close()
	if got := all(search(t, fsys, Query{What: id.String()})); len(got) != 1 || got[0] != "connect accepted" {
		t.Errorf("%q", got)
	}
	if got := all(search(t, fsys, Query{What: other.String()})); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

// No control of a terminal gets into a line as it is, so that --json and zstd -dc may be shown.
func TestControlsAreEscaped(t *testing.T) {
	if got, want := string(appendText(nil, "\x1b[2J\u009b31m\u00e9")), `"\u001b[2J\u009b31mé"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
