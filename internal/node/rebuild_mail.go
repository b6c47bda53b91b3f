package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/received"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/directory"
	"github.com/postrider/postrider/internal/state/fault"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/state/queue"
)

// owner is what the packs say of an account: its address, where mail came for it; else what it last logged in as.
type owner struct {
	address address.Address
	login   string
}

// meet learns the accounts of a record.
func (r *rebuilder) meet(rec blob.Record) {
	if flow.IsAppend(rec.Trailer) {
		if a, err := flow.DecodeAppend(rec.Trailer); err == nil {
			if _, known := r.owners[a.Account]; !known {
				r.owners[a.Account] = owner{}
			}
		}
		return
	}
	job, err := flow.DecodeJob(rec.Trailer)
	if err != nil {
		return // restoreRecord names it
	}
	if id := job.Client.Account; id != 0 && job.Client.Login != "" {
		o := r.owners[id]
		o.login = job.Client.Login
		r.owners[id] = o
	}
	for i := range job.Recipients {
		if to := &job.Recipients[i]; to.Transport == flow.Mailbox && to.Account != 0 {
			o := r.owners[to.Account]
			o.address = to.To
			r.owners[to.Account] = o
		}
		r.meetAlias(&job.Recipients[i])
	}
}

// maxAliases bounds how many addresses are remembered that may have been aliases.
const maxAliases = 200

// meetAlias learns that mail for one address went to another.
func (r *rebuilder) meetAlias(to *flow.Recipient) {
	from := to.Original
	if from.IsZero() || from.Domain == to.To.Domain && strings.HasPrefix(strings.ToLower(from.Local), strings.ToLower(to.To.Local)) ||
		len(r.aliases) >= maxAliases && r.aliases[from] == nil || slices.Contains(r.aliases[from], to.To) || len(r.aliases[from]) >= maxAliases {
		return // alice, alice+shop
	}
	r.aliases[from] = append(r.aliases[from], to.To)
}

// lostAliases tells which addresses there were that the directory does not have.
func (r *rebuilder) lostAliases(ctx context.Context) error {
	froms := slices.SortedFunc(maps.Keys(r.aliases), func(a, b address.Address) int { return strings.Compare(a.String(), b.String()) })
	for _, from := range froms {
		_, err := r.people.Alias(ctx, from)
		if errors.Is(err, directory.ErrNotFound) {
			_, err = r.people.Account(ctx, from)
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, directory.ErrNotFound) {
			return err
		}
		var to []string
		for _, a := range r.aliases[from] {
			to = append(to, a.Display())
		}
		slices.Sort(to)
		if err := r.report(fault.Fault{Kind: fault.AliasLost, Note: true,
			Text: fmt.Sprintf("mail for %s went to %s: an alias or a catch-all that is not known any more; `postrider alias add` makes it anew",
				from.Display(), strings.Join(to, ", "))}); err != nil {
			return err
		}
	}
	return nil
}

// restoreAccounts makes the accounts that the directory does not have. Of two that had one address, one after the other,
// the later one has it: the earlier one's mail is not for it to read.
func (r *rebuilder) restoreAccounts(ctx context.Context) error {
	have, err := r.people.ListAccounts(ctx, "")
	if err != nil {
		return err
	}
	r.names = map[int64]string{}
	for _, a := range have {
		r.names[a.ID] = a.Address.Display()
	}
	removed, err := r.store.Removed(ctx)
	if err != nil {
		return err
	}
	for _, id := range removed { // the old database knows that the operator removed them
		delete(r.owners, id)
	}
	ids := sortedKeys(r.owners)
	slices.Reverse(ids)
	for _, id := range ids {
		if r.names[id] != "" || id <= 0 {
			continue
		}
		acc, err := r.restoreAccount(ctx, id, r.owners[id])
		if err != nil {
			return err
		}
		r.names[id] = acc.Address.Display()
		f := fault.Fault{Kind: fault.AccountRestored, Note: true, Account: id,
			Text: "made anew, without a password; `postrider account password` sets one. Quota, aliases and what it was subscribed to are not known"}
		if err := r.report(f); err != nil {
			return err
		}
	}
	known, err := r.store.CheckedAccounts(ctx)
	if err != nil {
		return err
	}
	for id := range r.names {
		known = append(known, id)
	}
	slices.Sort(known)
	for _, id := range slices.Compact(known) {
		if err := errors.Join(r.store.MakeSound(ctx, id), r.store.RaiseNumbers(ctx, id, r.above())); err != nil {
			return err
		}
		if r.old == nil {
			continue
		}
		if err := r.store.Check(ctx, id, r.part()); err != nil {
			return err
		}
	}
	return nil
}

// restoreAccount tries the addresses that it may have had, and at last one by its number.
func (r *rebuilder) restoreAccount(ctx context.Context, id int64, o owner) (acc directory.Account, err error) {
	numbered := address.Address{Local: fmt.Sprintf("account-%d", id), Domain: r.config.Domain}
	try := []address.Address{o.address}
	if login := o.login; login != "" && o.address.IsZero() {
		if !strings.Contains(login, "@") {
			login += "@" + r.config.Domain
		}
		if a, err := address.Parse(login, true); err == nil {
			try = append(try, a)
		}
	}
	if o.address.Domain != "" {
		numbered.Domain = o.address.Domain
	}
	for _, a := range append(try, numbered) {
		if a.IsZero() {
			continue
		}
		if acc, err = r.people.Restore(ctx, id, a); err == nil {
			return acc, nil
		}
		if !errors.Is(err, directory.ErrExists) && !errors.Is(err, directory.ErrInvalid) {
			return acc, err
		}
	}
	return acc, err
}

// The most that one transaction of a rebuild puts back.
const (
	restoreBatch = 200
	restoreBytes = 1 << 20 // of structures
)

// restorer puts messages back in the order of their ids.
type restorer struct {
	*rebuilder
	mailKnown, queueKnown bool // from the old database, all of it
	batch                 []mailstore.Restored
	bytes                 int
	ended                 int64 // jobs accepted before ended long ago, microseconds
}

func (r *rebuilder) restoreMessages(ctx context.Context) (err error) {
	w := &restorer{rebuilder: r, mailKnown: r.knows(mailstore.Tables()), queueKnown: r.knows(queue.Tables()),
		ended: r.index.newest - rebuildMargin().Microseconds()}
	if r.old != nil {
		there := map[int64]bool{}
		for _, h := range r.whole {
			there[h.Pack] = true
		}
		var list []mailstore.EmailPlace
		err := r.store.EmailPlaces(ctx, func(e mailstore.EmailPlace) error {
			if list = append(list, e); len(list) < indexBatch {
				return nil
			}
			defer func() { list = list[:0] }()
			return r.index.emails(ctx, list, there)
		})
		if err := errors.Join(err, r.index.emails(ctx, list, there)); err != nil {
			return err
		}
	}
	if r.total, err = r.index.count(ctx); err != nil {
		return err
	}
	err = r.index.each(ctx, func(id queueid.ID, copies []recipe.BlobRef) error {
		r.done += int64(len(copies))
		if err := w.record(ctx, id, copies); err != nil {
			return err
		}
		return r.pause(ctx)
	})
	if err := errors.Join(err, w.flush(ctx)); err != nil {
		return err
	}
	if r.held > maxHeldNotes {
		return r.report(fault.Fault{Kind: fault.JobHeld, Note: true, Text: fmt.Sprintf("and %d more; `postrider queue list` has them all", r.held-maxHeldNotes)})
	}
	return nil
}

// record puts back what one record has.
func (w *restorer) record(ctx context.Context, id queueid.ID, copies []recipe.BlobRef) error {
	ref := copies[0]
	trailer, err := w.reader.Trailer(ctx, ref)
	if err != nil {
		return err // it was sound a moment ago
	}
	settled := false
	for _, c := range copies {
		settled = settled || c.Offset < w.settled[c.Pack]
	}
	if flow.IsAppend(trailer) {
		var a *flow.Append
		if a, err = flow.DecodeAppend(trailer); err == nil {
			return w.appended(ctx, a, copies, settled)
		}
	} else {
		var job *flow.Job
		if job, err = flow.DecodeJob(trailer); err == nil {
			job.Bind(ref)
			return w.job(ctx, job, copies, settled)
		}
	}
	w.failed++
	return w.report(fault.Fault{Kind: fault.JournalUnreadable, Pack: ref.Pack, Offset: ref.Offset, QueueID: id.String(),
		Text: fmt.Sprintf("pack %d, record at %d: a message that cannot be understood: %v", ref.Pack, ref.Offset, err)})
}

func (w *restorer) appended(ctx context.Context, a *flow.Append, copies []recipe.BlobRef, settled bool) error {
	if w.mailKnown && !w.behind {
		return nil // its promise was the row
	}
	email := newEmail(copies[0], a.Message.Size(), a.Index)
	email.Received = a.InternalDate
	return w.put(ctx, mailstore.Restored{Account: a.Account, Mailbox: folder(a.Mailbox), Flags: mailstore.Flags(a.Flags), Keywords: a.Keywords,
		Email: email}, copies, w.mailKnown && settled)
}

func (w *restorer) job(ctx context.Context, job *flow.Job, copies []recipe.BlobRef, settled bool) error {
	var others []int
	for i := range job.Recipients {
		to := &job.Recipients[i]
		switch to.Transport {
		case flow.Mailbox:
			if err := w.delivery(ctx, job, to, copies, settled); err != nil {
				return err
			}
		case flow.SMTP, flow.LMTP, flow.Error, flow.Pipe, flow.File, flow.Program:
			if w.queueKnown && settled || (w.behind || !w.queueKnown) && job.Received.UnixMicro() < w.ended {
				continue
			}
			if w.old != nil {
				if ended, err := queue.Ended(ctx, w.db, job, to.No); err != nil {
					return err
				} else if ended {
					continue
				}
			}
			others = append(others, to.No)
		}
	}
	if len(others) == 0 {
		return nil
	}
	added, err := queue.Restore(ctx, w.db, job, others, w.now())
	if err != nil || !added {
		return err
	}
	if w.held++; w.held > maxHeldNotes {
		return nil
	}
	to := job.Recipients[others[0]].To.Display()
	if len(others) > 1 {
		to += fmt.Sprintf(" and %d more", len(others)-1)
	}
	return w.report(fault.Fault{Kind: fault.JobHeld, Note: true, QueueID: job.ID.String(), Pack: copies[0].Pack, Offset: copies[0].Offset,
		Text: fmt.Sprintf("of %s, from %s to %s: nobody knows whether it was sent; held: `postrider queue release` sends it, `queue delete` does not",
			job.Received.UTC().Format("2006-01-02 15:04:05"), job.From.Display(), to)})
}

// maxHeldNotes bounds how many held jobs are listed.
const maxHeldNotes = 100

// delivery puts a recipient's copy into the mailbox, with the fields that delivery writes.
func (w *restorer) delivery(ctx context.Context, job *flow.Job, to *flow.Recipient, copies []recipe.BlobRef, settled bool) error {
	done := w.mailKnown && settled
	if w.mailKnown && !done {
		var err error
		if done, err = w.store.Delivered(ctx, job.ID, to.No); err != nil {
			return err
		}
	}
	if done && !w.behind {
		return nil
	}
	email := newEmail(job.Record, job.Size(), job.Index)
	email.Received = job.Received
	email.Literals = received.AppendDeliveredTo(received.AppendReturnPath(nil, job.Sender(to)), to.To)
	email.Size += int64(len(email.Literals))
	return w.put(ctx, mailstore.Restored{QueueID: job.ID, Recipient: to.No, Account: to.Account, Mailbox: folder(to.Folder), Email: email}, copies, done)
}

// put adds a message to the batch, unless it is in the store, or was: done.
func (w *restorer) put(ctx context.Context, m mailstore.Restored, copies []recipe.BlobRef, done bool) error {
	if w.names[m.Account] == "" {
		return nil // no account has the number
	}
	if w.old != nil {
		if there, err := w.index.hasEmail(ctx, m.Account, copies); err != nil || there {
			return err
		}
		if found, err := w.elsewhere(ctx, &m); err != nil || found || done {
			return err
		}
	}
	w.batch = append(w.batch, m)
	if w.bytes += len(m.Email.Structure); len(w.batch) < restoreBatch && w.bytes < restoreBytes {
		return nil
	}
	return w.flush(ctx)
}

// elsewhere leads emails to a message whose pack compaction has emptied since the database was written.
func (w *restorer) elsewhere(ctx context.Context, m *mailstore.Restored) (found bool, err error) {
	lost, err := w.index.lostEmails(ctx, m.Account, m.Email.Received.UnixMicro()/1e6, m.Email.Ref.Length)
	if err != nil || len(lost) == 0 {
		return false, err
	}
	n, err := w.store.Repoint(ctx, m.Account, lost, m.Email.Structure, m.Email.Ref)
	w.moved += n
	return n > 0, err
}

func (w *restorer) flush(ctx context.Context) error {
	if err := w.store.Restore(ctx, w.batch); err != nil {
		return err
	}
	w.messages += int64(len(w.batch))
	w.batch, w.bytes = w.batch[:0], 0
	return nil
}

// newEmail is what all copies of a message share. A structure that cannot be read costs the thread, not the message.
func newEmail(ref recipe.BlobRef, size int64, index []byte) mailstore.NewEmail {
	e := mailstore.NewEmail{Ref: ref, Size: size, Structure: index}
	facts, err := mime.DecodeFacts(index)
	if err != nil {
		return e
	}
	env, err := mime.DecodeEnvelope(index)
	if err != nil {
		return e
	}
	e.Thread = mailstore.Threading{MessageID: env.ID(), InReplyTo: env.RepliesTo(), References: facts.References}
	return e
}

// folder is a mailbox as a record names it; nil, which is INBOX, where the name is none.
func folder(components []string) mailstore.Name {
	if len(components) == 0 {
		return nil
	}
	name, err := mailstore.MakeName(components...)
	if err != nil {
		return nil
	}
	return name
}
