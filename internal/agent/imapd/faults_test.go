package imapd_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/state/db"
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

// 128 messages of 70 KiB, each 9990 empty parts, took 450 MiB to show: anybody may send such mail.
func TestManyPartsAreNotInMemoryTogether(t *testing.T) {
	w := newWorld(t)
	r := w.raw(func(a ...any) { t.Fatal(a...) })
	message := "Subject: parts\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" + strings.Repeat("--x\r\n\r\n", 9990)
	one := fmt.Sprintf(" {%d+}\r\n%s", len(message), message)
	const n = 20
	r.do("APPEND INBOX" + strings.Repeat(one, n/2) + " {12+}\r\nSubject: s\r\n" + strings.Repeat(one, n/2))
	account, err := w.agent.Account(t.Context(), identity())
	w.ok(err)
	box, err := account.Select(t.Context(), imap.Name{"INBOX"})
	w.ok(err)
	before := liveHeap()
	var uids []uint32
	for uid := range uint32(n + 1) {
		uids = append(uids, uid+1)
	}
	shown, most := 0, uint64(0)
	w.ok(box.Messages(t.Context(), uids, imap.WantStructure, func(m *imap.Message) error {
		shown++
		most = max(most, liveHeap())
		return nil
	}))
	if shown != n+1 || most > before+24<<20 {
		t.Errorf("%d messages shown with %d bytes more in the heap", shown, most-before)
	}
	r.do("SELECT INBOX")
	for command, want := range map[string]int{"FETCH 1:* (ENVELOPE)": n + 1, "UID FETCH 21,1:3,10:12 (UID BODY.PEEK[HEADER] ENVELOPE)": 7} {
		untagged, _ := r.send(command)
		if got := strings.Count(strings.Join(untagged, "\n"), " FETCH ("); got != want {
			t.Errorf("%s: %d of %d", command, got, want)
		}
	}
	if untagged, _ := r.send("SEARCH RETURN (COUNT) SUBJECT parts"); len(untagged) != 1 || !strings.HasSuffix(untagged[0], fmt.Sprint("COUNT ", n)) {
		t.Errorf("%q", untagged)
	}
}

// liveHeap is what a collection leaves.
func liveHeap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A stored structure that cannot be read is found anew from the message: for PREVIEW alone, too, which said that the message
// was damaged.
func TestStructureThatCannotBeRead(t *testing.T) {
	w := newWorld(t)
	r := w.raw(func(a ...any) { t.Fatal(a...) })
	r.do("APPEND INBOX {25+}\r\nSubject: s\r\n\r\nSome words\r")
	w.ok(w.db.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE email SET structure = ? WHERE account_id = ?", []byte{255}, me)
		return err
	}))
	r.do("SELECT INBOX")
	for _, items := range []string{"PREVIEW", "(THREADID PREVIEW)", "ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[]"} {
		untagged, tagged := r.send("FETCH 1 " + items)
		if len(untagged) == 0 || !strings.HasPrefix(tagged, "OK") || items == "PREVIEW" && !strings.Contains(untagged[0], "Some words") {
			t.Errorf("%s: %q %s", items, untagged, tagged)
		}
	}
}
