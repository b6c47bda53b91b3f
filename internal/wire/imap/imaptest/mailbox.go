package imaptest

import (
	"bytes"
	"context"
	"slices"

	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/internal/wire/imap/view"
)

// email is an immutable message.
type email struct {
	number uint64 // within the user; set when it gets its first place
	raw    []byte
	mime   *mime.Message
}

func newEmail(raw []byte) *email { return &email{raw: raw, mime: mime.Parse(raw)} }

// open is a selected mailbox.
type open struct {
	s *Store
	m *mailbox
}

func (o *open) ID() imap.MailboxID { return o.m.id }
func (o *open) ReadOnly() bool     { return false }
func (o *open) Close()             {}

// begin takes the lock for an operation on messages; end with o.s.mu.Unlock.
func (o *open) begin() error {
	o.s.mu.Lock()
	return o.s.fail
}

func (m *mailbox) index(uid uint32) (int, bool) {
	return slices.BinarySearchFunc(m.list, uid, func(msg message, uid uint32) int {
		return int(int64(msg.UID) - int64(uid))
	})
}

func (o *open) Messages(_ context.Context, uids []uint32, _ imap.Want, fn func(*imap.Message) error) error {
	list, err := o.messages(uids)
	for i := range list {
		if err := fn(&list[i]); err != nil {
			return err
		}
	}
	return err
}

func (o *open) messages(uids []uint32) (list []imap.Message, err error) {
	err = o.begin()
	defer o.s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	for _, uid := range uids {
		if i, ok := o.m.index(uid); ok {
			msg := &o.m.list[i]
			list = append(list, imap.Message{UID: uid, Size: int64(len(msg.raw)), InternalDate: msg.date, Saved: msg.saved,
				Email: msg.number, Thread: msg.number, Preview: msg.mime.Preview, MIME: msg.mime, Body: bytes.NewReader(msg.raw)})
		}
	}
	return list, nil
}

func (o *open) Store(_ context.Context, uids []uint32, change imap.StoreChange) (res imap.StoreResult, err error) {
	err = o.begin()
	defer o.s.mu.Unlock()
	if err != nil {
		return res, err
	}
	ev := view.Event{ModSeq: o.m.user.modseq + 1}
	for _, uid := range uids {
		i, ok := o.m.index(uid)
		if !ok {
			continue
		}
		msg, next := &o.m.list[i], change.Flags
		if change.Conditional && msg.ModSeq > change.UnchangedSince {
			res.Kept = append(res.Kept, uid)
			continue
		}
		switch change.Op {
		case imap.StoreAdd:
			next = msg.Flags.With(change.Flags)
		case imap.StoreRemove:
			next = msg.Flags.Without(change.Flags)
		}
		if next != msg.Flags {
			msg.Flags, msg.ModSeq = next, ev.ModSeq
			ev.Messages = append(ev.Messages, msg.Message)
		}
	}
	if len(ev.Messages) == 0 {
		return res, nil
	}
	o.m.user.modseq++
	o.s.feed(o.m, ev)
	res.ModSeqs = []uint64{ev.ModSeq}
	return res, nil
}

func (o *open) Vanished(_ context.Context, since uint64) (uids []uint32, known bool, err error) {
	err = o.begin()
	defer o.s.mu.Unlock()
	for uid, modseq := range o.m.gone {
		if modseq > since {
			uids = append(uids, uid)
		}
	}
	slices.Sort(uids)
	return uids, since >= o.s.forgotten, err
}

func (o *open) SearchObject(_ context.Context, kind imap.ObjectKind, number uint64) (uids []uint32, err error) {
	err = o.begin()
	defer o.s.mu.Unlock()
	for i := range o.m.list {
		if o.m.list[i].number == number { // here each email is a thread of its own
			uids = append(uids, o.m.list[i].UID)
		}
	}
	return uids, err
}

// bury leaves tombstones, under the user's modification sequence.
func (m *mailbox) bury(uids []uint32) {
	if m.gone == nil {
		m.gone = map[uint32]uint64{}
	}
	for _, uid := range uids {
		m.gone[uid] = m.user.modseq
	}
}

func (o *open) Expunge(_ context.Context, uids []uint32) error {
	err := o.begin()
	defer o.s.mu.Unlock()
	if err != nil {
		return err
	}
	o.expunge(slices.DeleteFunc(slices.Clone(uids), func(uid uint32) bool {
		i, ok := o.m.index(uid)
		return !ok || o.m.list[i].Flags.System&view.Deleted == 0
	}))
	return nil
}

func (o *open) expunge(uids []uint32) {
	o.m.user.modseq++
	o.m.list = slices.DeleteFunc(o.m.list, func(msg message) bool { return slices.Contains(uids, msg.UID) })
	o.m.bury(uids)
	o.s.feed(o.m, view.Event{ModSeq: o.m.user.modseq, Expunged: uids})
}

func (o *open) Copy(_ context.Context, uids []uint32, dest imap.Name) (imap.CopyResult, error) {
	err := o.begin()
	defer o.s.mu.Unlock()
	if err != nil {
		return imap.CopyResult{}, err
	}
	return o.copy(uids, dest)
}

func (o *open) copy(uids []uint32, dest imap.Name) (imap.CopyResult, error) {
	to := o.m.user.find(dest)
	if to == nil {
		return imap.CopyResult{}, imap.ErrNonexistent
	}
	res := imap.CopyResult{UIDValidity: to.id.UIDValidity}
	for _, uid := range uids {
		if i, ok := o.m.index(uid); ok {
			msg := o.m.list[i]
			res.Source = append(res.Source, uid)
			res.Dest = append(res.Dest, to.add(msg.email, msg.Flags, msg.date, o.s.clock()))
			o.s.feedLast(to, 1)
		}
	}
	return res, nil
}

func (o *open) Move(_ context.Context, uids []uint32, dest imap.Name) (imap.CopyResult, error) {
	err := o.begin()
	defer o.s.mu.Unlock()
	if err != nil {
		return imap.CopyResult{}, err
	}
	res, err := o.copy(uids, dest)
	if err == nil {
		o.expunge(slices.Clone(res.Source))
	}
	return res, err
}
