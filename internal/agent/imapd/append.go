package imapd

import (
	"context"
	"io"
	"sync"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/intake"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/wire/imap"
)

// Append begins to take messages. Each becomes a durable record in the packs as it comes, while the next is on its way;
// Commit then gives them all their places in one transaction of the mailstore.
func (a *account) Append(ctx context.Context, to imap.AppendTarget) (imap.Appender, error) {
	// Known to fail is better said before the bytes than after.
	box, err := a.agent.Store.Mailbox(ctx, a.id, mailstore.Name(to.Name))
	if err != nil {
		return nil, refusal(err)
	}
	p := &appender{account: a, what: mailstore.Append{Account: a.id, Mailbox: box.Name, By: a.by}, lane: make(chan struct{}, appendLane)}
	if p.usage, err = a.agent.Store.Usage(ctx, a.id); err != nil {
		return nil, err
	}
	if r := to.Replaces; r != nil {
		p.what.Replaces = &mailstore.Replaced{Mailbox: r.Mailbox.Mailbox, UID: r.UID}
		old, err := a.agent.Store.Entries(ctx, a.id, r.Mailbox.Mailbox, ranges([]uint32{r.UID}))
		if err != nil {
			return nil, err
		}
		for _, e := range old {
			p.freed += e.Size // it goes in the same step
		}
	}
	return p, nil
}

// appendLane is how many records of one APPEND wait for the disk at the same time: they share syncs, and up to so many
// messages are in memory.
const appendLane = 8

// maxKept is how much may be known of the messages of one APPEND until the last has come, in bytes: structure and
// addresses of a thousand ordinary ones are one MiB.
const maxKept = 16 << 20

var errTooMuch = status.Perm(552, 3, 4, "Too much in one APPEND: send the messages in several")

// appender is one APPEND or REPLACE.
type appender struct {
	account *account
	what    mailstore.Append
	usage   mailstore.Usage // with what has been added so far
	freed   int64           // bytes of what is replaced: so many are let in whatever the quota
	kept    int             // bytes of structure in what

	lane chan struct{}
	wait sync.WaitGroup

	mu   sync.Mutex
	refs []recipe.BlobRef // by message; zero: not durable (yet)
	err  error            // the first failure of a record
}

// Add takes a message into a pack. Its record becomes durable in the background.
func (p *appender) Add(ctx context.Context, am *imap.AppendMessage) error {
	agent := p.account.agent
	if am.Size > p.freed && p.usage.Full(am.Size-p.freed) {
		return status.ErrQuota
	}
	words, err := keywords(am.Flags)
	if err != nil {
		return err
	}
	date := am.Date
	if date.IsZero() {
		date = agent.Now()
	}
	id := agent.IDs.Next()
	m, err := agent.Intake.Begin(ctx, id, am.Size)
	if err != nil {
		return err
	}
	if _, err := io.Copy(m, am.Body); err != nil {
		m.Abort()
		return err
	}
	m.Close()
	p.usage.Bytes += m.Size()
	structure, env := m.Index.Encode(), &m.Index.Envelope
	if p.kept += len(structure); p.kept > maxKept {
		m.Abort()
		return errTooMuch
	}
	record := &flow.Append{ID: id, Account: p.account.id, Mailbox: p.what.Mailbox, Flags: uint8(am.Flags.System), Keywords: words,
		InternalDate: date, Message: recipe.Whole(m.Self()), Index: structure}
	p.what.Messages = append(p.what.Messages, mailstore.NewEntry{Flags: mailstore.Flags(am.Flags.System), Keywords: words,
		Email: mailstore.NewEmail{Size: m.Size(), Received: date, Structure: structure,
			Thread: mailstore.Threading{MessageID: env.ID(), InReplyTo: env.RepliesTo(), References: m.Index.References}}})
	p.store(ctx, m, record)
	return nil
}

// store makes a record durable, in a lane of its own.
func (p *appender) store(ctx context.Context, m *intake.Message, record *flow.Append) {
	p.mu.Lock()
	n := len(p.refs)
	p.refs = append(p.refs, recipe.BlobRef{})
	p.mu.Unlock()
	p.lane <- struct{}{} // waits for the disk at most
	p.wait.Go(func() {
		defer func() { <-p.lane }()
		defer m.Abort()
		ref, err := m.Store(ctx, record)
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.refs[n] = ref; err != nil && p.err == nil {
			p.err = err
		}
	})
}

// Commit: every record is durable before the transaction that refers to it begins.
func (p *appender) Commit(ctx context.Context) (imap.AppendResult, error) {
	p.wait.Wait()
	if p.err != nil {
		return imap.AppendResult{}, p.err
	}
	for i, ref := range p.refs {
		p.what.Messages[i].Email.Ref = ref
	}
	validity, uids, err := p.account.agent.Store.Append(ctx, &p.what)
	return imap.AppendResult{UIDValidity: validity, UIDs: uids}, refusal(err)
}

// Close tells the journal that no record needs a replay: it has its entry, or never will.
func (p *appender) Close() {
	p.wait.Wait()
	for _, ref := range p.refs {
		if ref != (recipe.BlobRef{}) {
			p.account.agent.Intake.Settled(ref)
		}
	}
}
