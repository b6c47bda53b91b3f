// Package limits keeps what limits must not forget when the server is started anew: bans, and how much accounts have sent.
//
// It decides nothing: internal/decide/ban and internal/decide/rate do, in memory; this is written behind them. A row that
// cannot be understood is left out, and told apart from errors of the database by Bans' second result.
//
//	limits.go  Store, Bans
//	counts.go  Counts
package limits

import (
	"context"
	"net/netip"
	"time"

	"github.com/postrider/postrider/internal/state/db"
)

// Store is the tables. It is safe for concurrent use.
type Store struct{ DB *db.DB }

// Ban is a row.
type Ban struct {
	Network netip.Prefix
	Reason  string
	Origin  string
	Since   time.Time
	Until   time.Time // zero: for good
}

// Bans returns all bans, those that are over too, and how many rows make no sense.
func (s *Store) Bans(ctx context.Context) (list []Ban, bad int, err error) {
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		list, bad = nil, 0
		rows := tx.Query("SELECT network, reason, origin, since, until FROM ban ORDER BY network")
		for rows.Next() {
			p, err := netip.ParsePrefix(rows.Text(0))
			if err != nil || p != p.Masked() {
				bad++
				continue
			}
			b := Ban{Network: p, Reason: rows.Text(1), Origin: rows.Text(2), Since: time.UnixMicro(rows.Int64(3)).UTC()}
			if until := rows.Int64(4); until != 0 {
				b.Until = time.UnixMicro(until).UTC()
			}
			list = append(list, b)
		}
		return rows.Err()
	})
	return list, bad, err
}

// Change puts bans and removes others, all or none; of a network in both the ban is put.
func (s *Store) Change(ctx context.Context, put []Ban, remove []netip.Prefix) error {
	if len(put)+len(remove) == 0 {
		return nil
	}
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		for _, p := range remove {
			if _, err := tx.Exec("DELETE FROM ban WHERE network = ?", p.String()); err != nil {
				return err
			}
		}
		for _, b := range put {
			until := int64(0)
			if !b.Until.IsZero() {
				until = b.Until.UnixMicro()
			}
			if _, err := tx.Exec(`INSERT INTO ban (network, reason, origin, since, until) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT (network) DO UPDATE SET reason = excluded.reason, origin = excluded.origin, since = excluded.since, until = excluded.until`,
				b.Network.String(), b.Reason, b.Origin, b.Since.UnixMicro(), until); err != nil {
				return err
			}
		}
		return nil
	})
}
