package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/fault"
	"github.com/postrider/postrider/internal/state/mailstore"
)

// led is an email that leads to a record; of its structure only the hash is kept, for a pack holds many thousands.
type led struct {
	account, email int64
	length, size   int64
	structure      [16]byte
}

// checkRecords follows every email to its record, pack by pack; deep, it reads each record and compares.
func (k *checker) checkRecords(ctx context.Context) error {
	led, err := k.store.ReferencedPacks(ctx)
	if err != nil {
		return err
	}
	rows := map[int64]*blob.Row{}
	for i, r := range k.sound {
		rows[r.Pack] = &k.sound[i]
		k.total++
		if k.query.Deep {
			size, err := k.reader.Size(r.Pack)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			k.total += size - 1
		}
	}
	for _, p := range led {
		if rows[p] == nil {
			rows[p] = nil // no file, or one that cannot be read: its emails are named
		}
	}
	for _, pack := range slices.Sorted(maps.Keys(rows)) {
		if err := k.pack(ctx, pack, rows[pack]); err != nil {
			return fmt.Errorf("pack %d: %w", pack, err)
		}
	}
	return k.store.TakenOut(ctx, func(r mailstore.Reference) error { return k.takenOut(ctx, r) })
}

// takenOut looks again at a message that a repair could not read and took out: its pack may have come back.
func (k *checker) takenOut(ctx context.Context, r mailstore.Reference) error {
	if err := k.message(ctx, r.Ref, r.Size-int64(r.Literals)); err != nil {
		return ctx.Err() // it is as it was
	}
	l := led{account: r.Account, email: r.Email}
	f := fault.Fault{Kind: fault.EmailSetAside, Pack: r.Ref.Pack, Offset: r.Ref.Offset, Account: r.Account,
		Text: fmt.Sprintf("a message%s that was taken out of its mailbox can be read again", k.about(ctx, l))}
	if k.query.Repair {
		if err := k.store.PutBack(ctx, r.Account, r.Email); err != nil {
			return err
		}
		f.Mended = "put back, without its flags"
	}
	return errors.Join(k.report(f), k.pause(ctx))
}

// pack checks the records of one pack; row is nil where it cannot be read.
func (k *checker) pack(ctx context.Context, pack int64, row *blob.Row) error {
	at := map[int64][]led{}
	err := k.store.References(ctx, pack, k.query.Deep, func(r mailstore.Reference) error {
		l := led{account: r.Account, email: r.Email, length: r.Ref.Length, size: r.Size - int64(r.Literals)}
		if k.query.Deep {
			sum := sha256.Sum256(r.Structure)
			copy(l.structure[:], sum[:])
		}
		at[r.Ref.Offset] = append(at[r.Ref.Offset], l)
		k.sum.Emails++
		return k.pause(ctx)
	})
	if err != nil {
		return err
	}
	before := k.done
	var damages []blob.Damage
	if row != nil {
		if damages, err = k.scan(ctx, row, at); err != nil {
			return err
		}
	}
	bad := map[int64]bool{}
	for _, offset := range slices.Sorted(maps.Keys(at)) {
		for _, l := range at[offset] {
			wrong, err := k.follow(ctx, recipe.BlobRef{Pack: pack, Offset: offset, Length: l.length}, l)
			if err != nil {
				return err
			}
			bad[offset] = bad[offset] || wrong
		}
		if err := k.pause(ctx); err != nil {
			return err
		}
	}
	if row == nil {
		return nil
	}
	for _, d := range damages {
		if settling, err := k.beingWritten(ctx, d); err != nil {
			return err
		} else if settling {
			continue
		}
		if err := k.damage(d, row, bad); err != nil {
			return err
		}
	}
	if k.done = before + 1; k.query.Deep {
		size, err := k.reader.Size(pack)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		k.done = before + size
	}
	return nil
}

// scan reads a pack's records: all of them for a deep check, else those that a start would replay. Deep, what at leads to
// a sound record is compared with it and taken out of at.
func (k *checker) scan(ctx context.Context, row *blob.Row, at map[int64][]led) (damages []blob.Damage, err error) {
	if row.Kind == blob.KindCopies && row.State == blob.PackOpen {
		return nil, nil // being written, or cut off: nothing leads there, and a start removes it
	}
	from, before := row.Settled, k.done
	if k.query.Deep {
		from = 0
	} else if row.State > blob.PackSealed || row.State == blob.PackSealed && row.Settled >= row.Size {
		return nil, nil
	}
	if size, err := k.reader.Size(row.Pack); err != nil || from >= size {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return nil, err
	}
	v := blob.Visitor{
		Record: func(r blob.Record) error {
			k.sum.Records, k.sum.Bytes = k.sum.Records+1, k.sum.Bytes+r.End-r.Ref.Offset
			if k.query.Deep {
				k.done = before + r.End
			}
			if r.Ref.Offset >= row.Settled {
				if err := k.unsettled(r); err != nil {
					return err
				}
			}
			if list := at[r.Ref.Offset]; k.query.Deep && len(list) > 0 {
				rest, err := k.compare(ctx, r, list)
				if err != nil {
					return err
				}
				if at[r.Ref.Offset] = rest; len(rest) == 0 {
					delete(at, r.Ref.Offset)
				}
			}
			return k.pause(ctx)
		},
		Damage: func(d blob.Damage) error { damages = append(damages, d); return nil },
	}
	_, err = k.reader.Scan(ctx, row.Pack, from, v)
	if f := packFault(row.Pack, err); f != nil && f.Kind != fault.PackMissing { // gone since, else
		return damages, k.report(*f)
	} else if f != nil {
		return damages, nil
	}
	return damages, err
}

// unsettled notes a record that a start would replay.
func (k *checker) unsettled(r blob.Record) error {
	if micros := r.ID.Micros(); k.oldest == 0 || micros < k.oldest {
		k.oldest = micros
	}
	if !flow.IsJob(r.Trailer) {
		return nil
	}
	if _, err := flow.DecodeJob(r.Trailer); err != nil {
		return k.report(fault.Fault{Kind: fault.JournalUnreadable, Pack: r.Ref.Pack, Offset: r.Ref.Offset, QueueID: r.ID.String(),
			Text: fmt.Sprintf("pack %d, record at %d: a message that was not delivered yet cannot be understood: %v", r.Ref.Pack, r.Ref.Offset, err)})
	}
	return nil
}

// compare holds emails against their record, which is sound, and a fresh parse of the message. It returns those whose
// reference does not fit the record.
func (k *checker) compare(ctx context.Context, r blob.Record, list []led) (rest []led, err error) {
	message, err := flow.DecodeMessage(r.Trailer, r.Ref)
	if err != nil {
		return list, nil
	}
	p := mime.NewParser()
	if _, err := recipe.NewReader(k.reader, message).WriteTo(p); err != nil {
		if errors.Is(err, blob.ErrDamaged) || errors.Is(err, blob.ErrMissing) || errors.Is(err, recipe.ErrInvalid) {
			return list, nil // another record that it needs
		}
		return nil, err
	}
	fresh := p.Close().Encode()
	sum := sha256.Sum256(fresh)
	for _, l := range list {
		if l.length != r.Ref.Length || l.size != message.Size() {
			rest = append(rest, l)
			continue
		}
		if [16]byte(sum[:16]) == l.structure {
			continue
		}
		f := fault.Fault{Kind: fault.StructureDiffers, Account: l.account, Pack: r.Ref.Pack, Offset: r.Ref.Offset,
			Text: fmt.Sprintf("email %d: what is stored of its structure differs from its message", l.email)}
		if k.query.Repair {
			if err := k.store.SetStructure(ctx, l.account, l.email, fresh); err != nil {
				return nil, err
			}
			f.Mended = "parsed anew"
		}
		if err := k.report(f); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// follow looks at the record that an email leads to. bad says that it is not there.
func (k *checker) follow(ctx context.Context, ref recipe.BlobRef, l led) (bad bool, err error) {
	why := k.message(ctx, ref, l.size)
	if why == nil {
		return false, nil
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	places, err := k.store.Places(ctx, l.account, l.email)
	if err != nil || len(places) == 0 { // removed by its reader, or set aside: nobody misses it
		return false, err
	}
	f := fault.Fault{Kind: fault.RecordDamaged, Pack: ref.Pack, Offset: ref.Offset, Account: l.account}
	mendable := true
	switch {
	case errors.Is(why, blob.ErrUnsupported):
		f.Kind, mendable = fault.RecordLater, false
	case errors.Is(why, blob.ErrMissing):
		f.Kind = fault.EmailNoRecord
	case errors.Is(why, blob.ErrDamaged), errors.Is(why, flow.ErrCorrupt), errors.Is(why, recipe.ErrInvalid):
		if size, err := k.reader.Size(ref.Pack); err == nil && ref.Offset >= size {
			f.Kind = fault.EmailNoRecord
		}
	default:
		mendable = false // the disk's error may pass
	}
	about := k.about(ctx, l)
	if k.query.Repair && mendable {
		if err := k.store.SetAside(ctx, l.account, l.email); err != nil {
			return true, err
		}
		f.Mended = "taken out of the mailbox"
	}
	for _, p := range places {
		f.Mailbox, f.UID = p.Mailbox.Join("/"), p.UID
		f.Text = fmt.Sprintf("a message%s cannot be read: %v", about, why)
		if err := k.report(f); err != nil {
			return true, err
		}
	}
	return true, nil
}

// message looks at everything that a reader of an email needs, deep at each byte.
func (k *checker) message(ctx context.Context, ref recipe.BlobRef, size int64) error {
	if _, err := k.reader.Peek(ctx, ref); err != nil {
		return err
	}
	trailer, err := k.reader.Trailer(ctx, ref)
	if err != nil {
		return err
	}
	r, err := flow.DecodeMessage(trailer, ref)
	if err != nil {
		return err
	}
	if r.Size() != size {
		return fmt.Errorf("%w: its recipe has %d bytes, not %d", flow.ErrCorrupt, r.Size(), size)
	}
	seen := map[recipe.BlobRef]bool{ref: !k.query.Deep}
	if k.query.Deep {
		seen[ref] = true
		if err := k.reader.Verify(ctx, ref); err != nil {
			return err
		}
	}
	for _, s := range r {
		if s.Literal == nil && !seen[s.Blob] {
			seen[s.Blob] = true
			if err := k.readable(ctx, s.Blob); err != nil {
				return err
			}
		}
	}
	return nil
}

func (k *checker) readable(ctx context.Context, ref recipe.BlobRef) error {
	if k.query.Deep {
		return k.reader.Verify(ctx, ref)
	}
	_, err := k.reader.Peek(ctx, ref)
	return err
}

// about says which message it is, as far as the database knows.
func (k *checker) about(ctx context.Context, l led) string {
	var text string
	err := k.store.Emails(ctx, l.account, []int64{l.email}, func(e *mailstore.Email) error {
		if env, err := mime.DecodeEnvelope(e.Structure); err == nil {
			text = fmt.Sprintf(" of %s, %q", e.Received.UTC().Format(time.DateTime), strings.ToValidUTF8(env.Subject, "?"))
		}
		return nil
	})
	if err != nil {
		return ""
	}
	return text
}

// writeLooks is how often a check looks again at what may be a group on its way to the file, and writeRest its wait between.
const (
	writeLooks = 20
	writeRest  = 25 * time.Millisecond
)

// beingWritten tells whether what looked like damage was a write that the scan saw a part of: of a pack that the server has in
// hand a record is there a moment later.
func (k *checker) beingWritten(ctx context.Context, d blob.Damage) (yes bool, err error) {
	if k.journal == nil || !k.journal.Busy(d.Pack) {
		return false, nil
	}
	looked := errors.New("looked")
	for range writeLooks {
		again := false
		_, err := k.reader.Scan(ctx, d.Pack, d.From, blob.Visitor{
			Record: func(blob.Record) error { return looked },
			Damage: func(now blob.Damage) error { again = now.From == d.From; return looked },
		})
		if err != nil && !errors.Is(err, looked) {
			return false, err
		}
		if !again {
			return true, nil
		}
		select {
		case <-time.After(writeRest):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return false, nil
}

// damage reports a stretch of a pack that is no sound record, unless an email that leads there was named already.
func (k *checker) damage(d blob.Damage, row *blob.Row, bad map[int64]bool) error {
	for offset, named := range bad {
		if named && d.From <= offset && offset < d.To {
			return nil
		}
	}
	f := damageFault(d)
	switch {
	case f.Kind == fault.RecordLater:
	case d.From >= row.Settled:
		f.Text += "; it may have been a message that was not delivered yet"
	default:
		f.Kind, f.Note = fault.RecordUnused, true
		f.Text += "; nothing leads there any more"
	}
	return k.report(f)
}
