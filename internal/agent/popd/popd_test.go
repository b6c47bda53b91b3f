package popd_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/agent/popd"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/db/dbtest"
	"github.com/postrider/postrider/internal/state/intake"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/wire/pop3"
	"github.com/postrider/postrider/internal/wire/sasl"
	"github.com/postrider/postrider/test/dialogue"
)

const me, other = 7, 8

// packs are packs of which some records are damaged.
type packs struct {
	*blob.Store
	broken map[recipe.BlobRef]bool
}

func (p *packs) Verify(ctx context.Context, ref recipe.BlobRef) error {
	if p.broken[ref] {
		return fmt.Errorf("pack: %w", blob.ErrDamaged)
	}
	return p.Store.Verify(ctx, ref)
}

// users: the name is the password.
type users struct{}

func (users) Password(_ context.Context, name, _ string) (sasl.Identity, error) {
	return sasl.Identity{Account: map[string]int64{"me": me, "other": other}[name], Name: name}, nil
}
func (users) Keys(context.Context, string) (sasl.Keys, sasl.Identity, error) {
	return sasl.Keys{}, sasl.Identity{}, sasl.ErrCredentials
}

type world struct {
	t      *testing.T
	db     *db.DB
	packs  *packs
	intake *intake.Intake
	ids    *queueid.Source
	store  *mailstore.Store
	server *pop3.Server
}

func newWorld(t *testing.T) *world {
	blobs, err := blob.NewMemory(t.Context(), blob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, db: dbtest.Open(t), packs: &packs{blobs, map[recipe.BlobRef]bool{}}, intake: &intake.Intake{Blobs: blobs},
		ids: queueid.NewSource(time.Now, 1, 1)}
	w.store = mailstore.New(mailstore.Options{DB: w.db, Blobs: w.packs})
	for _, account := range []int64{me, other} {
		w.ok(w.store.CreateAccount(t.Context(), account))
	}
	log := slog.New(slog.DiscardHandler)
	w.server = pop3.New(&popd.Agent{Store: w.store, Log: log}, log, pop3.Config{Hostname: "here.example", SASL: sasl.NewServer(users{}, sasl.Options{})})
	t.Cleanup(func() {
		if err := errors.Join(w.store.Verify(context.Background()), blobs.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// put imports messages into INBOX.
func (w *world) put(list ...mailstore.Imported) {
	w.t.Helper()
	w.ok(w.store.Import(w.t.Context(), me, mailstore.Inbox(), list))
}

// message is an import of a text.
func (w *world) message(text string) mailstore.Imported {
	w.t.Helper()
	m, err := w.intake.Begin(w.t.Context(), w.ids.Next(), int64(len(text)))
	w.ok(err)
	defer m.Abort()
	_, err = io.WriteString(m, text)
	w.ok(err)
	m.Close()
	e := mailstore.NewEmail{Size: m.Size(), Received: time.Unix(1_800_000_000, 0), Structure: m.Index.Encode()}
	e.Ref, err = m.Store(w.t.Context(), &flow.Append{Message: recipe.Whole(m.Self()), Index: e.Structure})
	w.ok(err)
	w.intake.Settled(e.Ref)
	return mailstore.Imported{Email: e}
}

func text(n int) string { return fmt.Sprintf("Subject: message %d\r\n\r\n.text %d\r\n", n, n) }

// fill puts numbered messages into INBOX.
func (w *world) fill(n int) {
	w.t.Helper()
	var list []mailstore.Imported
	for i := range n {
		list = append(list, w.message(text(i+1)))
	}
	w.put(list...)
}

// client is a POP3 client driven by hand.
type client struct {
	w *world
	net.Conn
	in   *bufio.Reader
	done chan struct{}
}

// login opens a session; its greeting and login are read.
func (w *world) login(name, want string) *client {
	w.t.Helper()
	ours, theirs := dialogue.Pipe()
	c := &client{w, ours, bufio.NewReader(ours), make(chan struct{})}
	go func() {
		defer close(c.done)
		w.server.ServeConn(context.Background(), theirs, pop3.Secure)
	}()
	w.t.Cleanup(c.lose)
	c.line()
	c.say("USER "+name, "+OK Password, please")
	c.say("PASS x", want)
	return c
}

// lose breaks the connection and waits until the server has noticed.
func (c *client) lose() {
	c.Close()
	<-c.done
}

func (c *client) line() string {
	c.w.t.Helper()
	c.w.ok(c.SetDeadline(time.Now().Add(time.Minute)))
	s, err := c.in.ReadString('\n')
	c.w.ok(err)
	return strings.TrimSuffix(s, "\r\n")
}

// say sends a command and wants a reply.
func (c *client) say(command, want string) {
	c.w.t.Helper()
	_, err := io.WriteString(c, command+"\r\n")
	c.w.ok(err)
	if got := c.line(); got != want {
		c.w.t.Fatalf("%s: %q, want %q", command, got, want)
	}
}

// lines reads the rest of a multi-line reply, dots removed.
func (c *client) lines() []string {
	c.w.t.Helper()
	var out []string
	for {
		s := c.line()
		if s == "." {
			return out
		}
		out = append(out, strings.TrimPrefix(s, "."))
	}
}

// uids are what INBOX has, with an s behind those that are seen.
func (w *world) uids() string {
	w.t.Helper()
	var out []string
	_, err := w.store.Snapshot(w.t.Context(), me, 1, func(e mailstore.Entry) {
		out = append(out, fmt.Sprint(e.UID)+map[bool]string{true: "s"}[e.Flags&mailstore.Seen != 0])
	})
	w.ok(err)
	return strings.Join(out, " ")
}

// A session: what is listed is what is sent, what is marked goes at QUIT, what was fetched is seen then, IMAP's watchers
// hear of both.
func TestSession(t *testing.T) {
	w := newWorld(t)
	w.fill(4)
	var told []string
	defer w.store.Watch(me, 1, func(c mailstore.Change) {
		for _, e := range c.Entries {
			told = append(told, fmt.Sprintf("%d seen %v", e.UID, e.Flags&mailstore.Seen != 0))
		}
		told = append(told, fmt.Sprintf("expunged %v", c.Expunged))
	})()
	size := len(text(1))
	c := w.login("me", fmt.Sprintf("+OK 4 messages (%d octets)", 4*size))
	c.say("RETR 2", fmt.Sprintf("+OK %d octets", size))
	if got := strings.Join(c.lines(), "\r\n") + "\r\n"; got != text(2) {
		t.Errorf("got %q", got)
	}
	c.say("TOP 3 0", "+OK Top of message follows")
	if got := c.lines(); len(got) != 2 || got[0] != "Subject: message 3" {
		t.Errorf("got %q", got)
	}
	c.say("DELE 1", "+OK Message will be removed at QUIT")
	c.say("DELE 4", "+OK Message will be removed at QUIT")
	if got := w.uids(); got != "1 2 3 4" || len(told) != 0 {
		t.Errorf("before QUIT: %s, %q", got, told)
	}
	c.say("QUIT", "+OK Bye")
	if got := w.uids(); got != "2s 3" {
		t.Errorf("after QUIT: %s", got)
	}
	if want := []string{"expunged [1 4]", "2 seen true", "expunged []"}; !slices.Equal(told, want) {
		t.Errorf("watchers heard %q, want %q", told, want)
	}
}

// One session at a time; the lock goes with the connection, however that ends; a lost connection changes nothing.
func TestExclusive(t *testing.T) {
	w := newWorld(t)
	w.fill(2)
	const two, inUse = "+OK 2 messages (62 octets)", "-ERR [IN-USE] Another POP3 session has this maildrop; try again later"
	a := w.login("me", two)
	b := w.login("me", inUse)
	w.login("other", "+OK 0 messages (0 octets)").lose()
	a.say("DELE 1", "+OK Message will be removed at QUIT")
	a.say("RETR 2", "+OK 31 octets")
	a.lose()
	if got := w.uids(); got != "1 2" {
		t.Errorf("after a lost connection: %s", got)
	}
	b.say("USER me", "+OK Password, please") // the refused one may try again
	b.say("PASS x", two)
	w.login("me", inUse).lose()
	b.say("QUIT", "+OK Bye")
	<-b.done
	w.login("me", two).lose()
	// An account that does not exist holds nothing either.
	for range 2 {
		w.login("nobody", "-ERR [SYS/PERM] No such mailbox").lose()
	}
}

// Mail arrives and is removed by others while a session lasts: it sees neither the one nor can fetch the other.
func TestOthersChangeTheMailbox(t *testing.T) {
	w := newWorld(t)
	w.fill(3)
	c := w.login("me", "+OK 3 messages (93 octets)")
	w.put(w.message(text(4)))
	_, err := w.store.Remove(t.Context(), me, 1, []mailstore.Range{{First: 2, Last: 2}}, "imap")
	w.ok(err)
	c.say("STAT", "+OK 3 93")
	c.say("RETR 2", "-ERR Message has been removed by another session")
	c.say("TOP 2 1", "-ERR Message has been removed by another session")
	c.say("RETR 4", "-ERR No such message")
	c.say("RETR 3", "+OK 31 octets")
	c.lines()
	for _, n := range []string{"1", "2"} {
		c.say("DELE "+n, "+OK Message will be removed at QUIT")
	}
	c.say("QUIT", "+OK Bye")
	if got := w.uids(); got != "3s 4" {
		t.Errorf("after QUIT: %s", got)
	}
}

// A mailbox whose UIDs mean other messages now is not touched.
func TestReplacedMailbox(t *testing.T) {
	w := newWorld(t)
	c := w.login("me", "+OK 0 messages (0 octets)")
	c.lose()
	w.fill(1)
	c = w.login("me", "+OK 1 messages (31 octets)")
	w.ok(w.store.RemoveAccount(t.Context(), me))
	c.say("RETR 1", "-ERR Message has been removed by another session")
	c.say("DELE 1", "+OK Message will be removed at QUIT")
	c.say("QUIT", "-ERR [SYS/TEMP] Some deleted messages not removed")
}

// One damaged message hides no other, also where it is long.
func TestDamaged(t *testing.T) {
	w := newWorld(t)
	long := "Subject: long\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 20_000)
	list := []mailstore.Imported{w.message(text(1)), w.message(text(2)), w.message(long), w.message(long)}
	w.packs.broken[list[1].Email.Ref], w.packs.broken[list[2].Email.Ref] = true, true
	w.put(list...)
	c := w.login("me", fmt.Sprintf("+OK 4 messages (%d octets)", 62+2*len(long)))
	c.say("RETR 2", "-ERR [SYS/PERM] Message is damaged and cannot be shown")
	c.say("RETR 3", "-ERR [SYS/PERM] Message is damaged and cannot be shown")
	c.say("RETR 4", fmt.Sprintf("+OK %d octets", len(long)))
	if got := strings.Join(c.lines(), "\r\n") + "\r\n"; got != long {
		t.Errorf("%d bytes, want %d", len(got), len(long))
	}
	c.say("RETR 1", "+OK 31 octets")
	c.lines()
	c.say("TOP 3 1", "+OK Top of message follows") // of a long message the beginning is shown unchecked
	c.lines()
}

// A removal that cannot be written is told, and can be repeated.
func TestUpdateFails(t *testing.T) {
	w := newWorld(t)
	w.fill(1)
	allow := dbtest.Refuse(t, w.db, "DELETE ON entry")
	c := w.login("me", "+OK 1 messages (31 octets)")
	c.say("DELE 1", "+OK Message will be removed at QUIT")
	c.say("QUIT", "-ERR [SYS/TEMP] Some deleted messages not removed")
	<-c.done
	allow()
	c = w.login("me", "+OK 1 messages (31 octets)")
	c.say("DELE 1", "+OK Message will be removed at QUIT")
	c.say("QUIT", "+OK Bye")
	if got := w.uids(); got != "" {
		t.Errorf("left: %s", got)
	}
}

// A large maildrop is listed in several slices, and removed in several transactions; no message is lost or doubled at their
// borders.
func TestLargeMaildrop(t *testing.T) {
	w := newWorld(t)
	const n, gone = 5001, 2500
	list := make([]mailstore.Imported, n)
	list[0] = w.message(text(1))
	for i := range list {
		list[i].Email = list[0].Email // all of one record
	}
	w.put(list...)
	c := w.login("me", fmt.Sprintf("+OK %d messages (%d octets)", n, n*len(text(1))))
	var commands strings.Builder
	for i := range gone {
		fmt.Fprintf(&commands, "DELE %d\r\n", 2*i+1)
	}
	go io.WriteString(c, commands.String())
	for range gone {
		if got := c.line(); !strings.HasPrefix(got, "+OK") {
			t.Fatal(got)
		}
	}
	c.say("STAT", fmt.Sprintf("+OK %d %d", n-gone, (n-gone)*len(text(1))))
	c.say("QUIT", "+OK Bye")
	var want []string
	for uid := 1; uid <= n; uid++ {
		if uid%2 == 0 || uid == n {
			want = append(want, fmt.Sprint(uid))
		}
	}
	if got := w.uids(); got != strings.Join(want, " ") {
		t.Errorf("left: %d, want %d", len(strings.Fields(got)), len(want))
	}
}

// Unique ids are those that an import set where they can be, else they come from UID and UIDVALIDITY. No two are the same.
func TestUIDL(t *testing.T) {
	w := newWorld(t)
	w.ok(w.store.ImportUIDs(t.Context(), me, mailstore.Inbox(), 0x5f00beef, 10))
	long := strings.Repeat("~", 70)
	for _, u := range []string{"", "whqtswO00WBw418f9t5JxYwZ", "same", "same", long, long + "~", "a b", "\u00e4", "0000000b5f00beef", "000000135f00beef", "0000000b5f00bee0"} {
		m := w.message(text(1))
		m.UIDL = u
		w.put(m)
	}
	want := []string{"0000000a5f00beef", "whqtswO00WBw418f9t5JxYwZ", "same", "0000000d5f00beef", long, "0000000f5f00beef", "000000105f00beef",
		"000000115f00beef", "000000125f00beef", "000000135f00beef", "0000000b5f00bee0"}
	for range 2 { // they are the same in the next session
		c := w.login("me", fmt.Sprintf("+OK 11 messages (%d octets)", 11*len(text(1))))
		c.say("UIDL 3", "+OK 3 same")
		c.say("UIDL", "+OK 11 messages")
		got := c.lines()
		for i := range want {
			if got[i] != fmt.Sprintf("%d %s", i+1, want[i]) {
				t.Errorf("%q, want %s", got[i], want[i])
			}
		}
		c.lose()
	}
}
