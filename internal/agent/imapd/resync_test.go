package imapd_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/test/dialogue"
	"pgregory.net/rapid"
)

// raw is a client that speaks lines, and keeps what a client with a cache keeps: the flags of each UID, and up to which
// modification sequence it knows everything.
type raw struct {
	fatal  func(...any)
	c      net.Conn
	in     *bufio.Reader
	tag    int
	known  map[string]string // UID to flags, as they were told
	modseq uint64            // the highest told
	exists int
}

func (w *world) raw(fatal func(...any)) *raw {
	client, server := dialogue.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.server.ServeConn(context.Background(), server, imap.Secure)
	}()
	w.t.Cleanup(func() {
		client.Close()
		<-done
	})
	r := &raw{fatal: fatal, c: client, in: bufio.NewReader(client), known: map[string]string{}}
	r.do("LOGIN ann x")
	r.do("ENABLE QRESYNC")
	return r
}

// send writes a command and returns the untagged lines and the tagged one.
func (r *raw) send(command string) (untagged []string, tagged string) {
	r.tag++
	tag := "t" + strconv.Itoa(r.tag) + " "
	fmt.Fprintf(r.c, "%s%s\r\n", tag, command)
	for {
		line, err := r.in.ReadString('\n')
		if err != nil {
			r.fatal(command, err)
		}
		line = strings.TrimRight(line, "\r\n")
		if rest, ok := strings.CutPrefix(line, tag); ok {
			return untagged, rest
		}
		untagged = append(untagged, line)
	}
}

// do sends a command that must succeed, and takes in what it says.
func (r *raw) do(command string) string {
	untagged, tagged := r.send(command)
	r.takeIn(untagged)
	if !strings.HasPrefix(tagged, "OK") {
		r.fatal(command, untagged, tagged)
	}
	r.highest(tagged)
	return tagged
}

var (
	fetchLine   = regexp.MustCompile(`^\* \d+ FETCH \((.*)\)$`)
	uidItem     = regexp.MustCompile(`UID (\d+)`)
	flagsItem   = regexp.MustCompile(`FLAGS \(([^)]*)\)`)
	modseqItem  = regexp.MustCompile(`MODSEQ \(?(\d+)`)
	existsLine  = regexp.MustCompile(`^\* (\d+) EXISTS$`)
	vanishedSet = regexp.MustCompile(`^\* VANISHED (\(EARLIER\) )?([0-9:,]+)$`)
)

func (r *raw) highest(line string) {
	if m := modseqItem.FindStringSubmatch(line); m != nil {
		n, _ := strconv.ParseUint(m[1], 10, 64)
		r.modseq = max(r.modseq, n)
	}
}

func (r *raw) takeIn(lines []string) {
	for _, line := range lines {
		if strings.Contains(line, "EXPUNGE") {
			r.fatal("EXPUNGE in the place of VANISHED: " + line)
		}
		r.highest(line)
		if m := existsLine.FindStringSubmatch(line); m != nil {
			r.exists, _ = strconv.Atoi(m[1])
		}
		if m := vanishedSet.FindStringSubmatch(line); m != nil {
			for _, uid := range uidsOf(m[2]) {
				if m[1] == "" {
					r.exists--
				}
				delete(r.known, uid)
			}
		}
		if m := fetchLine.FindStringSubmatch(line); m != nil {
			uid, flags := uidItem.FindStringSubmatch(m[1]), flagsItem.FindStringSubmatch(m[1])
			if uid == nil {
				r.fatal("no UID: " + line)
			}
			if flags != nil {
				r.known[uid[1]] = flags[1]
			}
		}
	}
}

func uidsOf(set string) (out []string) {
	for part := range strings.SplitSeq(set, ",") {
		a, b, ok := strings.Cut(part, ":")
		if !ok {
			b = a
		}
		lo, _ := strconv.Atoi(a)
		hi, _ := strconv.Atoi(b)
		for n := lo; n <= hi; n++ {
			out = append(out, strconv.Itoa(n))
		}
	}
	return out
}

// mailboxModel is INBOX as the commands should have left it.
type mailboxModel struct {
	w     *world
	flags map[string]string
	next  int
}

// modseqs asks the store, which stands for the server's own knowledge.
func (m *mailboxModel) modseqs(t *rapid.T) map[string]int64 {
	out := map[string]int64{}
	if _, err := m.w.store.Snapshot(context.Background(), me, 1, func(e mailstore.Entry) { out[strconv.Itoa(int(e.UID))] = e.ModSeq }); err != nil {
		t.Fatal(err)
	}
	return out
}

func (m *mailboxModel) pick(t *rapid.T) []string {
	all := slices.Sorted(maps.Keys(m.flags))
	if len(all) == 0 {
		return nil
	}
	return rapid.SliceOfNDistinct(rapid.SampledFrom(all), 1, min(len(all), 3), rapid.ID).Draw(t, "uids")
}

// upToDate is NOOP, then the flags of what is new: now the client knows the truth.
func (m *mailboxModel) upToDate(t *rapid.T, r *raw) {
	r.do("NOOP")
	for uid, flags := range r.known {
		if m.flags[uid] != flags {
			t.Fatalf("UID %s is known as %q, is %q", uid, flags, m.flags[uid])
		}
	}
	r.do("UID FETCH 1:* (FLAGS)")
	m.same(t, r)
	if r.exists != len(m.flags) {
		t.Fatalf("EXISTS %d of %d", r.exists, len(m.flags))
	}
}

func (m *mailboxModel) same(t *rapid.T, r *raw) {
	if !maps.Equal(r.known, m.flags) {
		t.Fatalf("the client has %v, the mailbox %v", r.known, m.flags)
	}
}

// conditional is UID STORE with UNCHANGEDSINCE: what it passes over is exactly what has changed since.
func (m *mailboxModel) conditional(t *rapid.T, r *raw) {
	uids := m.pick(t)
	if uids == nil {
		return
	}
	modseqs := m.modseqs(t)
	since := rapid.Int64Range(0, 40).Draw(t, "unchanged since")
	flag := rapid.SampledFrom([]string{`\Seen`, `\Flagged`}).Draw(t, "flag")
	silent := rapid.SampledFrom([]string{"", ".SILENT"}).Draw(t, "silent")
	tagged := r.do(fmt.Sprintf("UID STORE %s (UNCHANGEDSINCE %d) FLAGS%s (%s)", strings.Join(uids, ","), since, silent, flag))
	var kept []string
	if _, rest, ok := strings.Cut(tagged, "[MODIFIED "); ok {
		set, _, _ := strings.Cut(rest, "]")
		kept = uidsOf(set)
	}
	for _, uid := range uids {
		if newer := modseqs[uid] > since; newer != slices.Contains(kept, uid) {
			t.Fatalf("UID %s of %d with UNCHANGEDSINCE %d: %s", uid, modseqs[uid], since, tagged)
		} else if !newer {
			if m.flags[uid] = flag; silent != "" {
				r.known[uid] = flag // a client knows what it did
			}
		}
	}
}

// Several sessions change a mailbox by MULTIAPPEND, conditional STORE, REPLACE and EXPUNGE. Each always knows the truth after a
// NOOP, and who comes back with what it knew long ago knows it too, by SELECT (QRESYNC) and by CHANGEDSINCE with VANISHED.
func TestComingBackAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		box, err := w.store.Mailbox(t.Context(), me, mailstore.Inbox())
		if err != nil {
			rt.Fatal(err)
		}
		m := &mailboxModel{w: w, flags: map[string]string{}, next: 1}
		var online []*raw
		for range 2 {
			r := w.raw(rt.Fatal)
			r.do("SELECT INBOX")
			online = append(online, r)
		}
		client := func(rt *rapid.T) *raw { return rapid.SampledFrom(online).Draw(rt, "client") }
		away, since := map[string]string{}, uint64(box.ModSeq)
		back := func(rt *rapid.T, how func(r *raw)) {
			r := w.raw(rt.Fatal)
			r.known = maps.Clone(away)
			how(r)
			m.same(rt, r)
			away, since = r.known, r.modseq
			r.do("LOGOUT")
		}
		actions := map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				cmd := "APPEND INBOX"
				for range rapid.IntRange(1, 3).Draw(rt, "messages") {
					cmd += ` (\Draft) {6+}` + "\r\nA: b\r\n"
					m.flags[strconv.Itoa(m.next)] = `\Draft`
					m.next++
				}
				client(rt).do(cmd)
			},
			"replace": func(rt *rapid.T) {
				uids, r := m.pick(rt), client(rt)
				if uids == nil {
					return
				}
				r.do("NOOP") // a message that this client does not know could not be replaced
				r.do("UID REPLACE " + uids[0] + " INBOX {6+}\r\nA: c\r\n")
				delete(m.flags, uids[0])
				m.flags[strconv.Itoa(m.next)] = ""
				m.next++
			},
			"store": func(rt *rapid.T) {
				r := client(rt)
				r.do("NOOP")
				m.conditional(rt, r)
			},
			"expunge": func(rt *rapid.T) {
				uids, r := m.pick(rt), client(rt)
				if uids == nil {
					return
				}
				set := strings.Join(uids, ",")
				r.do("NOOP")
				r.do("UID STORE " + set + ` +FLAGS.SILENT (\Deleted)`)
				r.do("UID EXPUNGE " + set)
				for _, uid := range uids {
					delete(m.flags, uid)
				}
			},
			"noop": func(rt *rapid.T) { m.upToDate(rt, client(rt)) },
			"select again": func(rt *rapid.T) {
				r := client(rt)
				r.known = map[string]string{}
				r.do("SELECT INBOX")
			},
			"come back by QRESYNC": func(rt *rapid.T) {
				back(rt, func(r *raw) { r.do(fmt.Sprintf("SELECT INBOX (QRESYNC (%d %d))", box.UIDValidity, since)) })
			},
			"come back by CHANGEDSINCE": func(rt *rapid.T) {
				back(rt, func(r *raw) {
					r.do("EXAMINE INBOX")
					r.do(fmt.Sprintf("UID FETCH 1:4294967295 (FLAGS) (CHANGEDSINCE %d VANISHED)", since))
				})
			},
		}
		rt.Repeat(actions)
		for _, r := range online {
			m.upToDate(rt, r)
		}
		actions["come back by QRESYNC"](rt)
		for _, r := range online {
			r.do("LOGOUT")
		}
	})
}

// All messages of a MULTIAPPEND or none: also when the last one finds no room.
func TestMultiAppendIsAllOrNothing(t *testing.T) {
	w := newWorld(t)
	r := w.raw(func(a ...any) { t.Fatal(a...) })
	u, err := w.store.Usage(t.Context(), me)
	w.ok(err)
	w.ok(w.store.SetQuota(t.Context(), me, u.Bytes+15))
	three := "APPEND INBOX {6+}\r\nA: b\r\n {6+}\r\nA: c\r\n {6+}\r\nA: d\r\n"
	if _, tagged := r.send(three); !strings.HasPrefix(tagged, "NO [OVERQUOTA]") {
		t.Errorf("without room: %s", tagged)
	}
	if n := w.packs.Unsettled(); n != 0 {
		t.Errorf("%d records are left in the journal", n)
	}
	list, err := w.store.Entries(t.Context(), me, 1, []mailstore.Range{{First: 1, Last: 99}})
	w.ok(err)
	if len(list) != 0 {
		t.Errorf("%d of three messages are there", len(list))
	}
	w.ok(w.store.SetQuota(t.Context(), me, u.Bytes+18))
	if got := r.do(three); !strings.Contains(got, " 1:3]") {
		t.Errorf("with room: %s", got)
	}
	// A full account can replace a message by one that is not larger, and by no other.
	r.do("SELECT INBOX")
	if _, tagged := r.send("UID REPLACE 1 INBOX {7+}\r\nA: bb\r\n"); !strings.HasPrefix(tagged, "NO [OVERQUOTA]") {
		t.Errorf("a larger replacement: %s", tagged)
	}
	r.do("UID REPLACE 1 INBOX {6+}\r\nA: e\r\n")
	r.do("UID REPLACE 2 INBOX {2+}\r\n\r\n")
	if n := w.packs.Unsettled(); n != 0 {
		t.Errorf("%d records are left in the journal", n)
	}
	untagged, _ := r.send("GETQUOTAROOT INBOX")
	if want := []string{`* QUOTAROOT INBOX ""`, `* QUOTA "" (STORAGE 1 1)`}; !slices.Equal(untagged, want) {
		t.Errorf("%q", untagged)
	}
}

// What is known of each message waits in memory for the last one: that is bounded, however long the headers are.
func TestMultiAppendIsBounded(t *testing.T) {
	w := newWorld(t)
	r := w.raw(func(a ...any) { t.Fatal(a...) })
	message := "Subject: " + strings.Repeat("x", 250<<10) + "\r\n\r\n"
	one := fmt.Sprintf(" {%d+}\r\n%s", len(message), message)
	if _, tagged := r.send("APPEND INBOX" + strings.Repeat(one, 70)); !strings.HasPrefix(tagged, "NO [LIMIT]") {
		t.Errorf("%s", tagged)
	}
	if got := r.do("APPEND INBOX" + strings.Repeat(one, 10)); !strings.Contains(got, " 1:10]") {
		t.Errorf("%s", got)
	}
}

// The ids of a message, its preview and its dates are known without its bytes: no record can be read here.
func TestIdsAndPreviewOpenNoRecord(t *testing.T) {
	w := newWorld(t)
	r := w.raw(func(a ...any) { t.Fatal(a...) })
	first := "Message-ID: <1@x>\r\n\r\nfirst\r\n"
	reply := "Message-ID: <2@x>\r\nIn-Reply-To: <1@x>\r\n\r\nreply\r\n"
	r.do(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s {%d+}\r\n%s {4+}\r\nA: b", len(first), first, len(reply), reply))
	r.do("SELECT INBOX")
	r.do("COPY 1 Archive")
	w.ok(w.store.Emails(t.Context(), me, []int64{1, 2, 3}, func(e *mailstore.Email) error { w.packs.broken[e.Ref] = true; return nil }))
	for command, want := range map[string]string{
		"UID FETCH 1:3 (EMAILID THREADID PREVIEW SAVEDATE)":         "",
		"FETCH 1 (UID EMAILID THREADID PREVIEW)":                    `* 1 FETCH (UID 1 EMAILID (E7-1) THREADID (T7-1) PREVIEW "first")`,
		"FETCH 2 (UID EMAILID THREADID PREVIEW (LAZY))":             `* 2 FETCH (UID 2 EMAILID (E7-2) THREADID (T7-1) PREVIEW "reply")`,
		"FETCH 3 (UID EMAILID THREADID PREVIEW)":                    `* 3 FETCH (UID 3 EMAILID (E7-3) THREADID (T7-3) PREVIEW "")`,
		"SEARCH THREADID T7-1":                                      "* SEARCH 1 2",
		"SEARCH NOT EMAILID E7-2":                                   "* SEARCH 1 3",
		"SEARCH EMAILID E8-2":                                       "* SEARCH",
		"SEARCH THREADID T7-2":                                      "* SEARCH",
		"SEARCH YOUNGER 86400 SAVEDATESUPPORTED":                    "* SEARCH 1 2 3",
		"STATUS Archive (MESSAGES MAILBOXID HIGHESTMODSEQ UIDNEXT)": "",
	} {
		untagged, tagged := r.send(command)
		if !strings.HasPrefix(tagged, "OK") || want != "" && (len(untagged) != 1 || untagged[0] != want) {
			t.Errorf("%s: %q %s, want %s", command, untagged, tagged, want)
		}
	}
	r.do("SELECT Archive")
	if got, _ := r.send("FETCH 1 EMAILID"); len(got) != 1 || got[0] != "* 1 FETCH (EMAILID (E7-1))" {
		t.Errorf("a copy is another email: %q", got)
	}
}

// What replaces a message that somebody else has removed meanwhile is not stored: the check is in the transaction.
func TestReplaceOfWhatIsGone(t *testing.T) {
	w := newWorld(t)
	r := w.raw(func(a ...any) { t.Fatal(a...) })
	r.do("APPEND INBOX {4+}\r\nA: b")
	account, err := w.agent.Account(t.Context(), identity())
	w.ok(err)
	to, err := account.Append(t.Context(), imap.AppendTarget{Name: imap.Name{"INBOX"}, Replaces: &imap.Replaced{Mailbox: imap.MailboxID{Account: me, Mailbox: 1}, UID: 1}})
	w.ok(err)
	defer to.Close()
	w.ok(to.Add(t.Context(), &imap.AppendMessage{Size: 4, Body: strings.NewReader("A: c")}))
	if _, err := w.store.Remove(t.Context(), me, 1, []mailstore.Range{{First: 1, Last: 1}}, "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := to.Commit(t.Context()); !errors.Is(err, mailstore.ErrGone) || !status.IsPermanent(err) {
		t.Errorf("replaced: %v", err)
	}
	list, err := w.store.Entries(t.Context(), me, 1, []mailstore.Range{{First: 1, Last: 99}})
	w.ok(err)
	if len(list) != 0 {
		t.Errorf("%+v", list)
	}
}
