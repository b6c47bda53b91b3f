package mailstore

import (
	"crypto/sha256"
	"encoding/binary"
)

// maxReferences is how many of the last References decide a thread.
const maxReferences = 10

// Threading is what decides which thread a message belongs to: ids without their angle brackets.
type Threading struct {
	MessageID  string
	InReplyTo  []string
	References []string // in order; the last ten count
}

// hashes returns the message's own hash first (0 where it has no Message-ID), then those it refers to, the nearest
// ancestor first, without doubles.
func (th *Threading) hashes() (own int64, refs []int64) {
	if th.MessageID != "" {
		own = idHash(th.MessageID)
	}
	add := func(id string) {
		h := idHash(id)
		if h == own {
			return
		}
		for _, r := range refs {
			if r == h {
				return
			}
		}
		refs = append(refs, h)
	}
	for n, i := 0, len(th.References)-1; i >= 0 && n < maxReferences; n, i = n+1, i-1 {
		add(th.References[i])
	}
	for i, id := range th.InReplyTo {
		if i == maxReferences {
			break
		}
		add(id)
	}
	return own, refs
}

// idHash is positive, so that 0 can mean none.
func idHash(id string) int64 {
	sum := sha256.Sum256([]byte(id))
	return int64(binary.BigEndian.Uint64(sum[:8])>>1) | 1
}

const sqlThreadRef = "INSERT INTO thread_ref (account_id, hash, thread_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"

// thread finds the thread of a message by the first of its references that is known, else by its own id (a reply came
// before it), else opens one, numbered as the email. The message's hashes then belong to that thread; those that have one
// already keep it: threads are never merged.
func (t *txn) thread(account, email int64, th *Threading) (int64, error) {
	own, refs := th.hashes()
	id := email
	if len(refs) == 0 && own != 0 { // most mail: one statement, unless it came before
		n, err := t.Exec(sqlThreadRef, account, own, id)
		if err != nil || n > 0 {
			return id, err
		}
	}
	lookup := refs
	if own != 0 {
		lookup = append(append(make([]int64, 0, len(refs)+1), refs...), own)
	}
	var known [maxReferences*2 + 1]bool
	found := false
	for i, h := range lookup {
		var other int64
		ok, err := t.QueryRow("SELECT thread_id FROM thread_ref WHERE account_id = ? AND hash = ?", account, h).Scan(&other)
		if err != nil {
			return 0, err
		}
		if known[i] = ok; ok && !found {
			id, found = other, true
		}
	}
	for i, h := range lookup {
		if known[i] {
			continue
		}
		if _, err := t.Exec(sqlThreadRef, account, h, id); err != nil {
			return 0, err
		}
	}
	return id, nil
}
