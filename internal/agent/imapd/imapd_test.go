package imapd_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	goimap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/postrider/postrider/internal/agent/imapd"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/db/dbtest"
	"github.com/postrider/postrider/internal/state/intake"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/internal/wire/sasl"
	"github.com/postrider/postrider/test/dialogue"
)

const me = 7

// packs are packs of which some records cannot be read.
type packs struct {
	*blob.Store
	broken map[recipe.BlobRef]bool
}

func (p *packs) Trailer(ctx context.Context, ref recipe.BlobRef) ([]byte, error) {
	if p.broken[ref] {
		return nil, errors.New("damaged")
	}
	return p.Store.Trailer(ctx, ref)
}

func (p *packs) Record(ctx context.Context, ref recipe.BlobRef, buf *[]byte) (body, trailer []byte, err error) {
	if p.broken[ref] {
		return nil, nil, errors.New("damaged")
	}
	return p.Store.Record(ctx, ref, buf)
}

type anyone struct{}

func (anyone) Password(context.Context, string, string) (sasl.Identity, error) {
	return identity(), nil
}
func (anyone) Keys(context.Context, string) (sasl.Keys, sasl.Identity, error) {
	return sasl.Keys{}, sasl.Identity{}, sasl.ErrCredentials
}

type world struct {
	t      *testing.T
	db     *db.DB
	packs  *packs
	store  *mailstore.Store
	server *imap.Server
	agent  *imapd.Agent
}

func identity() sasl.Identity { return sasl.Identity{Account: me, Name: "ann@here.example"} }

func newWorld(t *testing.T) *world {
	blobs, err := blob.NewMemory(t.Context(), blob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, db: dbtest.Open(t), packs: &packs{blobs, map[recipe.BlobRef]bool{}}}
	w.store = mailstore.New(mailstore.Options{DB: w.db, Blobs: w.packs})
	if err := w.store.CreateAccount(t.Context(), me); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	agent := &imapd.Agent{Store: w.store, Intake: &intake.Intake{Blobs: blobs}, IDs: queueid.NewSource(time.Now, 1, 1), Now: time.Now, Log: log}
	w.agent = agent
	w.server = imap.New(agent, log, imap.Config{Hostname: "imap.here.example", SASL: sasl.NewServer(anyone{}, sasl.Options{})})
	t.Cleanup(func() {
		if err := errors.Join(w.store.Verify(context.Background()), blobs.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) login() *imapclient.Client {
	w.t.Helper()
	client, server := dialogue.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.server.ServeConn(context.Background(), server, imap.Secure)
	}()
	c := imapclient.New(client, nil)
	w.t.Cleanup(func() {
		c.Close()
		<-done
	})
	w.ok(c.Login("ann", "x").Wait())
	return c
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// refused wants NO with a response code.
func (w *world) refused(err error, code string) {
	w.t.Helper()
	var e *goimap.Error
	if !errors.As(err, &e) || e.Type != goimap.StatusResponseTypeNo || string(e.Code) != code {
		w.t.Errorf("got %v, want NO [%s]", err, code)
	}
}

func text(n int) string {
	return fmt.Sprintf("From: a@b.example\r\nSubject: message %d\r\nMessage-ID: <%d@b.example>\r\n\r\ntext %d\r\n", n, n, n)
}

func (w *world) append(c *imapclient.Client, box, message string, flags ...goimap.Flag) goimap.UID {
	w.t.Helper()
	cmd := c.Append(box, int64(len(message)), &goimap.AppendOptions{Flags: flags})
	_, err := io.WriteString(cmd, message)
	w.ok(errors.Join(err, cmd.Close()))
	data, err := cmd.Wait()
	w.ok(err)
	return data.UID
}

// shows fetches every message of the selected mailbox as "uid flags".
func (w *world) shows(c *imapclient.Client) string {
	w.t.Helper()
	w.ok(c.Noop().Wait())
	if c.Mailbox().NumMessages == 0 {
		return ""
	}
	list, err := c.Fetch(goimap.SeqSet{goimap.SeqRange{Start: 1}}, &goimap.FetchOptions{UID: true, Flags: true}).Collect()
	w.ok(err)
	var out []string
	for _, m := range list {
		flags := []string{}
		for _, f := range m.Flags {
			flags = append(flags, string(f))
		}
		slices.Sort(flags)
		out = append(out, fmt.Sprintf("%d%v", m.UID, flags))
	}
	return strings.Join(out, " ")
}

// What one session does the other sees at its next command.
func TestTwoSessions(t *testing.T) {
	w := newWorld(t)
	a, b := w.login(), w.login()
	for _, c := range []*imapclient.Client{a, b} {
		_, err := c.Select("INBOX", nil).Wait()
		w.ok(err)
	}
	for n := range 4 {
		w.append(a, "INBOX", text(n))
	}
	both := func(want string) {
		t.Helper()
		for name, c := range map[string]*imapclient.Client{"first": a, "second": b} {
			if got := w.shows(c); got != want {
				t.Errorf("%s session shows %s, want %s", name, got, want)
			}
		}
	}
	both("1[] 2[] 3[] 4[]")
	w.ok(b.Store(goimap.UIDSetNum(2, 3), &goimap.StoreFlags{Op: goimap.StoreFlagsAdd, Flags: []goimap.Flag{goimap.FlagSeen, "Work"}}, nil).Close())
	both(`1[] 2[Work \Seen] 3[Work \Seen] 4[]`)
	copied, err := a.Copy(goimap.UIDSetNum(2), "INBOX").Wait()
	w.ok(err)
	if got := copied.DestUIDs.String(); got != "5" {
		t.Errorf("copied to %s", got)
	}
	both(`1[] 2[Work \Seen] 3[Work \Seen] 4[] 5[Work \Seen]`)
	_, err = b.Move(goimap.UIDSetNum(1, 3), "Archive").Wait()
	w.ok(err)
	both(`2[Work \Seen] 4[] 5[Work \Seen]`)
	w.ok(a.Store(goimap.UIDSetNum(4), &goimap.StoreFlags{Op: goimap.StoreFlagsSet, Flags: []goimap.Flag{goimap.FlagDeleted}}, nil).Close())
	w.ok(b.Expunge().Close())
	both(`2[Work \Seen] 5[Work \Seen]`)
	// Copies in one mailbox are one email: each has its text.
	section := &goimap.FetchItemBodySection{Peek: true}
	list, err := a.Fetch(goimap.SeqSet{goimap.SeqRange{Start: 1}}, &goimap.FetchOptions{Envelope: true, RFC822Size: true,
		BodySection: []*goimap.FetchItemBodySection{section}}).Collect()
	w.ok(err)
	for _, m := range list {
		if string(m.FindBodySection(section)) != text(1) || m.Envelope.Subject != "message 1" || m.RFC822Size != int64(len(text(1))) {
			t.Errorf("%q %+v", m.FindBodySection(section), m.Envelope)
		}
	}
	if len(list) != 2 {
		t.Errorf("%d messages", len(list))
	}
	// INBOX moves its messages away below itself, under the eyes of the other session.
	w.ok(a.Rename("INBOX", "INBOX/2025", nil).Wait())
	both("")
	st, err := a.Status("INBOX/2025", &goimap.StatusOptions{NumMessages: true, NumUnseen: true}).Wait()
	w.ok(err)
	if *st.NumMessages != 2 || *st.NumUnseen != 0 {
		t.Errorf("status %+v", st)
	}
	_, err = b.Select("Archive", nil).Wait()
	w.ok(err)
	if got := w.shows(b); got != `1[] 2[Work \Seen]` {
		t.Errorf("Archive shows %s", got)
	}
	w.ok(a.Rename("Archive", "Alt/Böse", nil).Wait()) // the selected mailbox of another session, to a name with a letter beyond ASCII
	w.append(a, "Alt/Bo\u0308se", text(9))            // the same name, decomposed
	if got := w.shows(b); got != `1[] 2[Work \Seen] 3[]` {
		t.Errorf("the renamed mailbox shows %s", got)
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	c := w.login()
	w.ok(c.Create("a/b", nil).Wait())
	w.refused(c.Create("a/b", nil).Wait(), "ALREADYEXISTS")
	w.refused(c.Create("more", &goimap.CreateOptions{SpecialUse: []goimap.MailboxAttr{goimap.MailboxAttrTrash}}).Wait(), "USEATTR")
	w.refused(c.Delete("a").Wait(), "HASCHILDREN")
	w.refused(c.Delete("nowhere").Wait(), "NONEXISTENT")
	w.refused(c.Rename("a", "a/b/c", nil).Wait(), "CANNOT")
	w.refused(c.Rename("a/b", "Junk", nil).Wait(), "ALREADYEXISTS")
	w.refused(c.Rename("nowhere", "x", nil).Wait(), "NONEXISTENT")
	_, err := c.Select("nowhere", nil).Wait()
	w.refused(err, "NONEXISTENT")
	w.append(c, "INBOX", text(1))
	_, err = c.Select("INBOX", nil).Wait()
	w.ok(err)
	_, err = c.Copy(goimap.SeqSetNum(1), "nowhere").Wait()
	w.refused(err, "TRYCREATE")
	u, err := w.store.Usage(t.Context(), me)
	w.ok(err)
	w.ok(w.store.SetQuota(t.Context(), me, u.Bytes+1))
	_, err = c.Copy(goimap.SeqSetNum(1), "Archive").Wait()
	w.refused(err, "OVERQUOTA")
	cmd := c.Append("INBOX", 10, nil)
	_, _ = io.WriteString(cmd, "0123456789")
	_ = cmd.Close()
	_, err = cmd.Wait()
	w.refused(err, "OVERQUOTA")
	_, err = c.Move(goimap.SeqSetNum(1), "Archive").Wait()
	w.ok(err)
	if n := w.packs.Unsettled(); n != 0 {
		t.Errorf("%d records are left in the journal", n)
	}
	list, err := c.List("", "*", nil).Collect()
	w.ok(err)
	uses := 0
	for _, m := range list {
		for _, a := range m.Attrs {
			uses += strings.Count(`\Drafts \Sent \Archive \Junk \Trash`, string(a))
		}
	}
	if uses != 5 {
		t.Errorf("special uses: %+v", list)
	}
}

// One message that could not be read hid all that were asked for with it.
func TestDamagedMessageHidesNoOther(t *testing.T) {
	w := newWorld(t)
	c := w.login()
	for n := range 3 {
		w.append(c, "INBOX", text(n))
	}
	_, err := c.Select("INBOX", nil).Wait()
	w.ok(err)
	// The structure of the first is spoilt: it is found anew. The record of the second cannot be read.
	w.ok(w.db.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE email SET structure = x'ff' WHERE account_id = ? AND email_id = 1", me)
		return err
	}))
	w.ok(w.store.Emails(t.Context(), me, []int64{2}, func(e *mailstore.Email) error { w.packs.broken[e.Ref] = true; return nil }))
	section := &goimap.FetchItemBodySection{Peek: true}
	list, err := c.Fetch(goimap.UIDSet{goimap.UIDRange{Start: 1}}, &goimap.FetchOptions{UID: true, Envelope: true, BodyStructure: &goimap.FetchItemBodyStructure{},
		BodySection: []*goimap.FetchItemBodySection{section}}).Collect()
	if e := (*goimap.Error)(nil); !errors.As(err, &e) || e.Type != goimap.StatusResponseTypeNo || e.Code != "CORRUPTION" {
		t.Errorf("the damage is not told: %v", err)
	}
	if len(list) != 2 || list[0].UID != 1 || list[1].UID != 3 {
		t.Fatalf("%+v", list)
	}
	for _, m := range list {
		n := int(m.UID) - 1
		if string(m.FindBodySection(section)) != text(n) || m.Envelope.Subject != fmt.Sprintf("message %d", n) {
			t.Errorf("%q %+v", m.FindBodySection(section), m.Envelope)
		}
	}
	if _, err = c.Fetch(goimap.UIDSetNum(2), &goimap.FetchOptions{BodySection: []*goimap.FetchItemBodySection{section}}).Collect(); err == nil {
		t.Error("the damaged message alone is no success")
	}
	envelopes, err := c.Fetch(goimap.UIDSetNum(2), &goimap.FetchOptions{Envelope: true}).Collect() // opens no record
	w.ok(err)
	if len(envelopes) != 1 || envelopes[0].Envelope.Subject != "message 1" {
		t.Errorf("%+v", envelopes)
	}
}
