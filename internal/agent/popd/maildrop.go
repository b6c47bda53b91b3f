package popd

import (
	"context"
	"errors"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/wire/pop3"
)

var errGone = status.Temp(451, 2, 0, "Maildrop has been replaced; log in again")

// UniqueID implements pop3.Maildrop.
func (d *maildrop) UniqueID(uid uint32) string { return d.ids.of(uid) }

// Body implements pop3.Maildrop.
func (d *maildrop) Body(ctx context.Context, uid uint32, whole bool) (pop3.Body, error) {
	if d.gone.Load() {
		return nil, pop3.ErrGone
	}
	e, found, err := d.agent.Store.EmailAt(ctx, d.account, d.mailbox, uid)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, pop3.ErrGone
	}
	open := d.agent.Store.Open
	if whole {
		open = d.agent.Store.OpenWhole
	}
	body, err := open(ctx, e)
	if err == nil {
		return body, nil
	}
	var known *status.Error
	if ctx.Err() != nil || errors.As(err, &known) {
		return nil, err
	}
	d.agent.Log.Error("message cannot be read", "account", d.account, "mailbox", d.mailbox, "uid", uid, "email", e.ID, "error", err)
	return nil, pop3.ErrDamaged
}

// Update implements pop3.Maildrop. Marking comes second and is only told to the log when it fails: what the client was
// promised is the removal.
func (d *maildrop) Update(ctx context.Context, seen, removed []uint32) error {
	if d.gone.Load() {
		return errGone
	}
	if _, err := d.agent.Store.Remove(ctx, d.account, d.mailbox, ranges(removed), d.by); err != nil {
		return err
	}
	_, _, err := d.agent.Store.StoreFlags(ctx, d.account, d.mailbox, ranges(seen), mailstore.FlagChange{Op: mailstore.AddFlags, Flags: mailstore.Seen})
	if err != nil {
		d.agent.Log.Warn("messages fetched by POP3 are not marked seen", "account", d.account, "error", err)
	}
	return nil
}

// Close implements pop3.Maildrop.
func (d *maildrop) Close() {
	if d.closed {
		return
	}
	d.closed = true
	if d.unwatch != nil {
		d.unwatch()
	}
	d.agent.release(d.account)
}

// ranges packs ascending UIDs into ranges.
func ranges(uids []uint32) []mailstore.Range {
	var out []mailstore.Range
	for _, uid := range uids {
		if n := len(out); n > 0 && out[n-1].Last+1 == uid {
			out[n-1].Last = uid
			continue
		}
		out = append(out, mailstore.Range{First: uid, Last: uid})
	}
	return out
}
