package mailstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/fault"
)

// tally is what a mailbox's rows say, whatever its counters do.
type tally struct {
	messages, unseen, deleted, bytes int64
	uidnext                          int64 // the least that is possible
	modseq                           int64
	uidvalidity                      int64
}

// tally counts a mailbox's entries and reads its counters, in one snapshot.
func (t *txn) tally(account, mailbox int64) (have, want tally, found bool, err error) {
	if found, err = t.QueryRow(`SELECT messages, unseen, deleted, bytes, uidnext, modseq, uidvalidity FROM mailbox
		WHERE account_id = ? AND mailbox_id = ?`, account, mailbox).Scan(&have.messages, &have.unseen, &have.deleted, &have.bytes,
		&have.uidnext, &have.modseq, &have.uidvalidity); err != nil || !found {
		return have, want, found, err
	}
	want = have
	var uid, modseq, gone, goneModSeq int64
	if _, err = t.QueryRow(`SELECT COUNT(*), COALESCE(SUM(CASE WHEN flags & 1 = 0 THEN 1 ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN flags & 8 <> 0 THEN 1 ELSE 0 END), 0), CAST(COALESCE(SUM(size), 0) AS BIGINT), COALESCE(MAX(uid), 0), COALESCE(MAX(modseq), 0)
		FROM entry WHERE account_id = ? AND mailbox_id = ?`, account, mailbox).
		Scan(&want.messages, &want.unseen, &want.deleted, &want.bytes, &uid, &modseq); err != nil {
		return have, want, found, err
	}
	if _, err = t.QueryRow("SELECT COALESCE(MAX(uid), 0), COALESCE(MAX(modseq), 0) FROM expunged WHERE account_id = ? AND mailbox_id = ?",
		account, mailbox).Scan(&gone, &goneModSeq); err != nil {
		return have, want, found, err
	}
	want.uidnext = max(have.uidnext, uid+1, gone+1)
	want.modseq = max(have.modseq, modseq, goneModSeq)
	if have.uidvalidity == 0 {
		want.uidvalidity = -1 // a new one
	}
	return have, want, found, nil
}

// mailboxCounters compares a mailbox's counters with its entries. The repair counts again in its own transaction.
func (k *check) mailboxCounters(ctx context.Context, m Mailbox) error {
	if err := k.Pause(ctx); err != nil {
		return err
	}
	var have, want tally
	err := k.db.Read(ctx, func(tx *db.Tx) (err error) {
		have, want, _, err = (&txn{Tx: tx}).tally(k.account, m.ID)
		return err
	})
	if err != nil || have == want {
		return err
	}
	var bad []fault.Fault
	if text := differences([]string{"messages", "unseen", "deleted", "bytes"}, []int64{have.messages, have.unseen, have.deleted, have.bytes},
		[]int64{want.messages, want.unseen, want.deleted, want.bytes}); text != "" {
		bad = append(bad, fault.Fault{Kind: fault.MailboxCounters, Text: "counters differ from the entries: " + text})
	}
	if have.uidnext != want.uidnext {
		bad = append(bad, fault.Fault{Kind: fault.UIDNext, Text: fmt.Sprintf("UIDNEXT is %d, and UID %d was given out", have.uidnext, want.uidnext-1)})
	}
	if have.modseq != want.modseq {
		bad = append(bad, fault.Fault{Kind: fault.ModSeq, Text: fmt.Sprintf("HIGHESTMODSEQ is %d, and %d was given out", have.modseq, want.modseq)})
	}
	if have.uidvalidity != want.uidvalidity {
		bad = append(bad, fault.Fault{Kind: fault.UIDValidity, Text: "UIDVALIDITY is 0"})
	}
	for _, f := range bad {
		f.Mailbox = m.Name.Join("/")
		if err := k.found(ctx, f, "counted again", func(t *txn) error { return t.recount(k.account, m.ID) }); err != nil {
			return err
		}
	}
	return nil
}

// recount writes what tally counts.
func (t *txn) recount(account, mailbox int64) error {
	have, want, found, err := t.tally(account, mailbox)
	if err != nil || !found {
		return err
	}
	if want.uidvalidity < 0 {
		if want.uidvalidity, err = t.nextUIDValidity(account); err != nil {
			return err
		}
	}
	if _, err = t.Exec(`UPDATE mailbox SET messages = ?, unseen = ?, deleted = ?, bytes = ?, uidnext = ?, modseq = ?, uidvalidity = ?
		WHERE account_id = ? AND mailbox_id = ?`, want.messages, want.unseen, want.deleted, want.bytes, want.uidnext, want.modseq,
		want.uidvalidity, account, mailbox); err != nil {
		return err
	}
	if have.uidvalidity != want.uidvalidity {
		t.changed(Change{Account: account, Mailbox: mailbox, Gone: true})
	}
	return nil
}

// numbers are an account's counters.
type numbers struct{ messages, bytes, modseq, uidvalidity, nextEmail, nextMailbox int64 }

// numbers compares the account's row with its rows elsewhere; a missing one has nothing to compare.
func (t *txn) numbers(account int64) (have, want numbers, err error) {
	if found, err := t.QueryRow("SELECT messages, bytes, modseq, uidvalidity, next_email, next_mailbox FROM account_state WHERE account_id = ?", account).
		Scan(&have.messages, &have.bytes, &have.modseq, &have.uidvalidity, &have.nextEmail, &have.nextMailbox); err != nil || !found {
		return have, want, err
	}
	var modseq, validity, mailbox, email int64
	if _, err = t.QueryRow("SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM entry WHERE account_id = ?", account).
		Scan(&want.messages, &want.bytes); err != nil {
		return have, want, err
	}
	if _, err = t.QueryRow(`SELECT COALESCE(MAX(modseq), 0), COALESCE(MAX(uidvalidity), 0), COALESCE(MAX(mailbox_id), 0)
		FROM mailbox WHERE account_id = ?`, account).Scan(&modseq, &validity, &mailbox); err != nil {
		return have, want, err
	}
	if _, err = t.QueryRow("SELECT COALESCE(MAX(email_id), 0) FROM email WHERE account_id = ?", account).Scan(&email); err != nil {
		return have, want, err
	}
	want.modseq, want.uidvalidity = max(have.modseq, modseq), max(have.uidvalidity, validity)
	want.nextEmail, want.nextMailbox = max(have.nextEmail, email+1), max(have.nextMailbox, mailbox+1)
	return have, want, nil
}

// counters checks the account's row: what the quota is measured by, and the numbers that are given out next.
func (k *check) counters(ctx context.Context) error {
	var have, want numbers
	err := k.db.Read(ctx, func(tx *db.Tx) (err error) {
		have, want, err = (&txn{Tx: tx}).numbers(k.account)
		return err
	})
	if err != nil || have == want {
		return err
	}
	var bad []fault.Fault
	if text := differences([]string{"messages", "bytes"}, []int64{have.messages, have.bytes}, []int64{want.messages, want.bytes}); text != "" {
		bad = append(bad, fault.Fault{Kind: fault.AccountCounters, Text: "what counts against the quota differs from the entries: " + text})
	}
	if have.modseq != want.modseq {
		bad = append(bad, fault.Fault{Kind: fault.ModSeq, Text: fmt.Sprintf("the modification sequence is %d, and a mailbox has %d", have.modseq, want.modseq)})
	}
	if have.uidvalidity != want.uidvalidity {
		bad = append(bad, fault.Fault{Kind: fault.UIDValidity, Text: fmt.Sprintf("the highest UIDVALIDITY is %d, and a mailbox has %d", have.uidvalidity, want.uidvalidity)})
	}
	if text := differences([]string{"next email", "next mailbox"}, []int64{have.nextEmail, have.nextMailbox},
		[]int64{want.nextEmail, want.nextMailbox}); text != "" {
		bad = append(bad, fault.Fault{Kind: fault.AccountNumbers, Text: "numbers that are taken already would be given out: " + text})
	}
	for _, f := range bad {
		if err := k.found(ctx, f, "counted again", func(t *txn) error { return t.raiseNumbers(k.account) }); err != nil {
			return err
		}
	}
	return nil
}

// raiseNumbers writes what numbers counts.
func (t *txn) raiseNumbers(account int64) error {
	_, want, err := t.numbers(account)
	if err != nil {
		return err
	}
	_, err = t.Exec(`UPDATE account_state SET messages = ?, bytes = ?, modseq = ?, uidvalidity = ?, next_email = ?, next_mailbox = ?
		WHERE account_id = ?`, want.messages, want.bytes, want.modseq, want.uidvalidity, want.nextEmail, want.nextMailbox, account)
	return err
}

// differences tells which of the counters are wrong.
func differences(names []string, have, want []int64) string {
	var list []string
	for i, name := range names {
		if have[i] != want[i] {
			list = append(list, fmt.Sprintf("%s %d, counted %d", name, have[i], want[i]))
		}
	}
	return strings.Join(list, "; ")
}
