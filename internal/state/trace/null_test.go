package trace

import (
	"testing"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/vfs"
)

// "<>" once was everything.
func TestNullSenderIsNotEverything(t *testing.T) {
	fsys := vfs.NewMem()
	tr := open(fsys, 1, generous)
	life(tr, queueid.New(1, 1), "smtp-1")
	tr.Close()
	if r := search(t, fsys, Query{What: " <> "}); len(r.Stories) != 0 {
		t.Errorf("%q", all(r))
	}
}
