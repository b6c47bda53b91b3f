package imapd_test

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/wire/imap"
)

// EXPUNGE removed a message whose \Deleted another session had taken away, and been told OK for, between the look at the
// flags and the transaction.
func TestExpungeLeavesWhatWasUndeletedMeanwhile(t *testing.T) {
	w := newWorld(t)
	r := w.raw(func(a ...any) { t.Fatal(a...) })
	r.do("APPEND INBOX (\\Deleted) {4+}\r\nA: b (\\Deleted) {4+}\r\nA: c")
	account, err := w.agent.Account(t.Context(), identity())
	w.ok(err)
	box, err := account.Select(t.Context(), imap.Name{"INBOX"})
	w.ok(err)
	r.do("SELECT INBOX")
	r.do("UID STORE 1 -FLAGS (\\Deleted)")
	w.ok(box.Expunge(t.Context(), []uint32{1, 2})) // as seen before the STORE
	list, err := w.store.Entries(t.Context(), me, 1, []mailstore.Range{{First: 1, Last: 99}})
	w.ok(err)
	if len(list) != 1 || list[0].UID != 1 {
		t.Errorf("left are %+v", list)
	}
}

// An account that holds more than it may (the limit was lowered) could not replace a draft by one of the same size.
func TestReplaceInAnAccountBeyondItsQuota(t *testing.T) {
	w := newWorld(t)
	r := w.raw(func(a ...any) { t.Fatal(a...) })
	r.do("APPEND INBOX {4+}\r\nA: b {40+}\r\nB: " + strings.Repeat("b", 37))
	w.ok(w.store.SetQuota(t.Context(), me, 10))
	r.do("SELECT INBOX")
	r.do("UID REPLACE 1 INBOX {4+}\r\nA: c")
	if _, tagged := r.send("UID REPLACE 3 INBOX {5+}\r\nA: cc"); !strings.HasPrefix(tagged, "NO [OVERQUOTA]") {
		t.Errorf("a larger one: %s", tagged)
	}
}
