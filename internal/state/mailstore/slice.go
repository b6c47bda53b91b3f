package mailstore

import "context"

// maxSlice bounds the messages that one transaction of a large change touches. The database has one writer: a change of
// 100,000 messages in one piece would keep deliveries and everybody's commands waiting for seconds.
const maxSlice = 2000

// inSlices has fn change the messages in ranges, at most maxSlice of them in each transaction, so that others pass between
// two. fn returns what it did and the ranges that it left. What one transaction did is done in whole or not at all; where
// one fails, those before it stand.
func inSlices[T any](ctx context.Context, s *Store, ranges []Range, fn func(t *txn, ranges []Range) (did []T, rest []Range, err error)) (all []T, err error) {
	for len(ranges) > 0 {
		var did []T
		var rest []Range
		err := s.write(ctx, func(t *txn) (err error) {
			did, rest, err = fn(t, ranges)
			return err
		})
		if err != nil {
			return all, err
		}
		all, ranges = append(all, did...), rest
	}
	return all, nil
}

// slice reads the first maxSlice entries of a mailbox in ranges, or looks at maxSlice ranges. rest is what it did not come to;
// messages that come after the first slice are in none.
func (t *txn) slice(account, mailbox int64, ranges []Range) (list []Entry, rest []Range, err error) {
	var next int64
	found, err := t.QueryRow("SELECT uidnext FROM mailbox WHERE account_id = ? AND mailbox_id = ?", account, mailbox).Scan(&next)
	if err != nil {
		return nil, nil, err
	}
	if !found {
		return nil, nil, ErrNoMailbox
	}
	for i, r := range ranges {
		r.Last = uint32(min(int64(r.Last), next-1))
		if i < t.maxSlice && len(list) < t.maxSlice {
			rows := t.Query("SELECT "+entryColumns+` FROM entry WHERE account_id = ? AND mailbox_id = ? AND uid BETWEEN ? AND ?
				ORDER BY uid LIMIT ?`, account, mailbox, r.First, r.Last, t.maxSlice-len(list))
			for rows.Next() {
				list = append(list, scanEntry(rows))
			}
			if err := rows.Err(); err != nil {
				return nil, nil, err
			}
			if len(list) < t.maxSlice {
				continue
			}
			r.First = list[len(list)-1].UID + 1
		}
		if r.First <= r.Last {
			rest = append(rest, r)
		}
	}
	return list, rest, nil
}
