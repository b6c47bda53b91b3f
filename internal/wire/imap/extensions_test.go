package imap_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	goimap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/internal/wire/imap/view"
	"github.com/postrider/postrider/test/dialogue"
)

// TestSecondOpinionOnCondstore has another implementation's client use CONDSTORE.
func TestSecondOpinionOnCondstore(t *testing.T) {
	s := newStore()
	c := dial(t, newServer(s, testConfig(s)), nil)
	for _, name := range []goimap.Cap{goimap.CapCondStore, goimap.CapQResync, goimap.CapMultiAppend, goimap.CapPreview, goimap.CapAppendLimit,
		"OBJECTID", "SAVEDATE", "WITHIN", "REPLACE", "PARTIAL", "QUOTA"} {
		if !c.Caps().Has(name) {
			t.Errorf("not advertised: %s", name)
		}
	}
	if limit, ok := c.Caps().AppendLimit(); !ok || limit == nil || *limit != 100_000 {
		t.Errorf("APPENDLIMIT: %v", limit)
	}
	sel, err := c.Select("INBOX", &goimap.SelectOptions{CondStore: true}).Wait()
	if err != nil || sel.HighestModSeq != 3 {
		t.Fatalf("%+v, %v", sel, err)
	}
	store := func(since uint64, flag goimap.Flag) (modseqs []uint64, err error) {
		msgs, err := c.Store(goimap.SeqSetNum(1, 2), &goimap.StoreFlags{Op: goimap.StoreFlagsAdd, Flags: []goimap.Flag{flag}},
			&goimap.StoreOptions{UnchangedSince: since}).Collect()
		for _, m := range msgs {
			modseqs = append(modseqs, m.ModSeq)
		}
		return modseqs, err
	}
	if got, err := store(2, goimap.FlagFlagged); err != nil || !slices.Equal(got, []uint64{4}) { // the second message has 3
		t.Fatalf("STORE: %v, %v", got, err)
	}
	msgs, err := c.Fetch(goimap.SeqSetNum(1, 2), &goimap.FetchOptions{Flags: true, ModSeq: true, ChangedSince: 3}).Collect()
	if err != nil || len(msgs) != 1 || msgs[0].ModSeq != 4 || msgs[0].SeqNum != 1 {
		t.Fatalf("FETCH: %+v, %v", msgs, err)
	}
	found, err := c.Search(&goimap.SearchCriteria{ModSeq: &goimap.SearchCriteriaModSeq{ModSeq: 4, MetadataName: `/flags/\Seen`, MetadataType: goimap.SearchCriteriaMetadataAll}}, nil).Wait()
	if err != nil || found.ModSeq != 4 || !slices.Equal(found.AllSeqNums(), []uint32{1}) {
		t.Fatalf("SEARCH: %+v, %v", found, err)
	}
	st, err := c.Status("INBOX", &goimap.StatusOptions{HighestModSeq: true, AppendLimit: true, Size: true}).Wait()
	if err != nil || st.HighestModSeq != 4 || *st.AppendLimit != 100_000 {
		t.Fatalf("STATUS: %+v, %v", st, err)
	}
	s.SetQuota(5000)
	quotas, err := c.GetQuotaRoot("INBOX").Wait()
	if err != nil || len(quotas) != 1 || quotas[0].Resources[goimap.QuotaResourceStorage] != (imapclient.QuotaResourceData{Usage: 1, Limit: 5}) {
		t.Fatalf("QUOTA: %+v, %v", quotas, err)
	}
}

// lines is a session over lines.
func lines(t *testing.T, srv *imap.Server) func(command string) []string {
	client, server := dialogue.Pipe()
	go srv.ServeConn(context.Background(), server, imap.Secure)
	t.Cleanup(func() { client.Close() })
	in := bufio.NewScanner(client)
	return func(command string) (out []string) {
		return exchange(t, client, in, command)
	}
}

func exchange(t *testing.T, c net.Conn, in *bufio.Scanner, command string) (out []string) {
	t.Helper()
	if _, err := c.Write([]byte("x " + command + "\r\n")); err != nil {
		t.Fatal(err)
	}
	for in.Scan() {
		out = append(out, in.Text())
		if strings.HasPrefix(in.Text(), "x ") {
			return out
		}
	}
	t.Fatal(command, in.Err())
	return nil
}

// Where the store has forgotten what was expunged, all that is missing is told: more than needed, never less.
func TestResyncAfterTombstonesAreGone(t *testing.T) {
	s := newStore()
	s.Deliver("alice", imap.Name{"INBOX"}, plainMessage, view.Flags{System: view.Deleted})
	do := lines(t, newServer(s, testConfig(s)))
	for _, command := range []string{"LOGIN alice secret", "ENABLE QRESYNC", "SELECT INBOX", "EXPUNGE"} {
		do(command)
	}
	s.Forget(5)
	for command, want := range map[string]string{
		"SELECT INBOX (QRESYNC (1001 4))":                          "* VANISHED (EARLIER) 3",
		"SELECT INBOX (QRESYNC (1001 4 1,3:9))":                    "* VANISHED (EARLIER) 3",
		"UID FETCH 2:4294967295 (FLAGS) (CHANGEDSINCE 4 VANISHED)": "* VANISHED (EARLIER) 3",
		"SELECT INBOX (QRESYNC (1001 5))":                          "",
		"UID FETCH 1:2 (FLAGS) (CHANGEDSINCE 1 VANISHED)":          "",
	} {
		got := do(command)
		i := slices.IndexFunc(got, func(l string) bool { return strings.Contains(l, "VANISHED") })
		if want == "" != (i < 0) || want != "" && got[i] != want {
			t.Errorf("%s: %q", command, got)
		}
	}
}

// A store that fails in the middle of a MULTIAPPEND: nothing is there, and the next command is understood.
func TestMultiAppendThatFails(t *testing.T) {
	s := newStore()
	do := lines(t, newServer(s, testConfig(s)))
	do("LOGIN alice secret")
	s.Fail(errors.New("disk"))
	got := do("APPEND INBOX {4+}\r\nA: b {4+}\r\nA: c")
	s.Fail(nil)
	if !strings.HasPrefix(got[0], "x NO [UNAVAILABLE]") {
		t.Errorf("%q", got)
	}
	if got := do("STATUS INBOX (MESSAGES)"); got[0] != "* STATUS INBOX (MESSAGES 2)" {
		t.Errorf("%q", got)
	}
	// One message too many: none is there.
	if got := do("APPEND INBOX" + strings.Repeat(" {4+}\r\nA: b", 1001)); len(got) != 1 || !strings.HasPrefix(got[0], "x NO [LIMIT]") {
		t.Errorf("%q", got)
	}
	if got := do("APPEND INBOX" + strings.Repeat(" {4+}\r\nA: b", 1000)); !strings.HasPrefix(got[0], "x OK [APPENDUID 1001 3:1002]") {
		t.Errorf("%q", got)
	}
}

// BenchmarkChangedSince100k: few changes among 100,000 messages, by each way to ask for them.
func BenchmarkChangedSince100k(b *testing.B) {
	client, in := benchServer(b, 100_000)
	clientDo(b, client, in, "c ENABLE QRESYNC", "c OK")
	clientDo(b, client, in, "d UID STORE 77,5000:5050,99999 +FLAGS.SILENT (kw)", "d OK")
	for name, cmd := range map[string]string{
		"fetch":  "FETCH 1:* (FLAGS) (CHANGEDSINCE 100001)",
		"uid":    "UID FETCH 1:* (FLAGS) (CHANGEDSINCE 100001 VANISHED)",
		"search": "SEARCH MODSEQ 100002",
		"email":  "SEARCH EMAILID E1-2",
		"select": "SELECT INBOX (QRESYNC (1001 100001))",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				clientDo(b, client, in, "x "+cmd, "x OK")
			}
		})
	}
}
