// Package suppress keeps the suppression lists: addresses that a sender's bulk mail is not sent to, because they failed for good
// (RFC 5321 §4.2.1, 5yz) or complained (RFC 5965), or because the operator says so. Each entry is of an owner's list, and may expire.
//
// It decides nothing and hears of nothing by itself. A change is durable when its call returns; of several changes of one call some
// may be made when it fails, and all may be made again. Entries are found by primary key, listed in its order in pages, so that lists of
// millions take no memory.
//
//	suppress.go  the lists
//	text.go      them as lines, for import and export
package suppress

import (
	"context"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/state/db"
)

// Reasons of entries.
const (
	Bounce    = "bounce"
	Complaint = "complaint"
	Operator  = "operator"
)

// MaxDetail bounds the words of an entry, in bytes.
const MaxDetail = 300

// Entry is one address on one list.
type Entry struct {
	Owner   string // "@domain" of senders, an account's address, or "": everybody's
	Address string // as Key makes it, or "@domain"
	Reason  string // Bounce, Complaint or Operator
	Class   string // what kind of bounce or complaint; may be empty
	Detail  string // words; at most MaxDetail bytes
	Since   time.Time
	Until   time.Time // zero: for good. Whole seconds, as Since
}

// Key is an address as the lists have it. Local parts are compared without regard to case, as nearly all hosts do.
func Key(a address.Address) string {
	return address.Address{Local: address.FoldLocal(a.Local), Domain: strings.ToLower(a.Domain)}.String()
}

// Domain is the key of all addresses of a domain, and the owner that stands for a sender's domain.
func Domain(name string) string { return "@" + strings.ToLower(name) }

// Store is the table. It is safe for concurrent use.
type Store struct{ DB *db.DB }

// batch bounds the rows of one transaction, so that mail that is accepted meanwhile does not wait for all of them.
const batch = 500

// Put adds entries, or replaces them. While they hold, a bounce does not replace a complaint or an operator's entry, nor a complaint an
// operator's.
func (s *Store) Put(ctx context.Context, entries []Entry) error {
	for len(entries) > 0 {
		some := entries[:min(batch, len(entries))]
		entries = entries[len(some):]
		err := s.DB.Write(ctx, func(tx *db.Tx) error {
			for _, e := range some {
				until := int64(0)
				if !e.Until.IsZero() {
					until = e.Until.Unix()
				}
				_, err := tx.Exec(`INSERT INTO suppression (owner, address, reason, class, detail, since, until) VALUES (?, ?, ?, ?, ?, ?, ?)
					ON CONFLICT (owner, address) DO UPDATE SET reason = excluded.reason, class = excluded.class, detail = excluded.detail,
					since = excluded.since, until = excluded.until
					WHERE excluded.reason = ? OR suppression.reason = ? OR suppression.reason = excluded.reason OR (suppression.until > 0 AND suppression.until <= excluded.since)`,
					e.Owner, e.Address, e.Reason, e.Class, Clip(e.Detail), e.Since.Unix(), until, Operator, Bounce)
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Clip makes a detail of any text: one line, bounded, that every database takes.
func Clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > MaxDetail {
		s = strings.ToValidUTF8(s[:MaxDetail], "")
	}
	return strings.TrimSpace(s)
}

const columns = "SELECT owner, address, reason, class, detail, since, until FROM suppression "

func scan(rows *db.Rows) Entry {
	e := Entry{Owner: rows.Text(0), Address: rows.Text(1), Reason: rows.Text(2), Class: rows.Text(3), Detail: rows.Text(4), Since: time.Unix(rows.Int64(5), 0).UTC()}
	if until := rows.Int64(6); until > 0 {
		e.Until = time.Unix(until, 0).UTC()
	}
	return e
}

// Find looks an address up in the lists of owners and in everybody's, and returns the first entry that holds at now.
func (s *Store) Find(ctx context.Context, owners []string, a address.Address, now time.Time) (found Entry, ok bool, err error) {
	keys := [...]string{Key(a), Domain(a.Domain)}
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		ok = false
		for _, owner := range append(owners, "") {
			rows := tx.Query(columns+"WHERE owner = ? AND address IN (?, ?) AND (until = 0 OR until > ?) ORDER BY address DESC", owner, keys[0], keys[1], now.Unix())
			for rows.Next() {
				if !ok {
					found, ok = scan(rows), true
				}
			}
			if err := rows.Err(); err != nil || ok {
				return err
			}
		}
		return nil
	})
	return found, ok, err
}

// Filter says which entries are meant. The zero Filter means all that hold.
type Filter struct {
	Owner   *string // nil: of all
	Domain  string  // of the address; empty: any
	Reason  string  // empty: any
	Expired bool    // also those that do not hold any more
}

// List calls yield for the entries that a filter means, by owner and address, until it returns an error.
func (s *Store) List(ctx context.Context, f Filter, now time.Time, yield func(Entry) error) error {
	after := Entry{} // no address is empty, so that all are behind it
	for {
		var page []Entry
		err := s.DB.Read(ctx, func(tx *db.Tx) error {
			page = page[:0]
			rows := tx.Query(columns+"WHERE (owner, address) > (?, ?) ORDER BY owner, address LIMIT ?", after.Owner, after.Address, batch)
			for rows.Next() {
				page = append(page, scan(rows))
			}
			return rows.Err()
		})
		if err != nil {
			return err
		}
		for _, e := range page {
			if f.matches(&e, now) {
				if err := yield(e); err != nil {
					return err
				}
			}
		}
		if len(page) < batch {
			return nil
		}
		after = page[len(page)-1]
	}
}

func (f *Filter) matches(e *Entry, now time.Time) bool {
	domain := e.Address[strings.LastIndexByte(e.Address, '@')+1:]
	return (f.Owner == nil || *f.Owner == e.Owner) && (f.Domain == "" || strings.EqualFold(f.Domain, domain)) &&
		(f.Reason == "" || f.Reason == e.Reason) && (f.Expired || e.Until.IsZero() || e.Until.After(now))
}

// Remove takes an address off a list. gone is false when it was not there.
func (s *Store) Remove(ctx context.Context, owner, key string) (gone bool, err error) {
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec("DELETE FROM suppression WHERE owner = ? AND address = ?", owner, key)
		gone = n > 0
		return err
	})
	return gone, err
}

// Prune removes what no longer holds at now.
func (s *Store) Prune(ctx context.Context, now time.Time) error {
	for n := int64(batch); n >= batch; {
		err := s.DB.Write(ctx, func(tx *db.Tx) (err error) {
			n, err = tx.Exec(`DELETE FROM suppression WHERE (owner, address) IN
				(SELECT owner, address FROM suppression WHERE until > 0 AND until <= ? LIMIT ?)`, now.Unix(), batch)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Count is the number of entries.
func (s *Store) Count(ctx context.Context) (n int64, err error) {
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		rows := tx.Query("SELECT count(*) FROM suppression")
		for rows.Next() {
			n = rows.Int64(0)
		}
		return rows.Err()
	})
	return n, err
}
