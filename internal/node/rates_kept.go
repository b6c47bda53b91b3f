package node

import (
	"context"
	"time"

	"github.com/postrider/postrider/internal/decide/rate"
	"github.com/postrider/postrider/internal/obs"
	limitstore "github.com/postrider/postrider/internal/state/limits"
)

// countsPace is how often it is written down what accounts and tenants have sent; a crash loses what they sent since.
const countsPace = 5 * time.Minute

// recallCounts puts back what accounts and tenants had sent before this start, as far as there still is a limit for it.
func (n *Node) recallCounts(ctx context.Context) error {
	list, err := n.limitStore().Counts(ctx)
	if err != nil {
		return err
	}
	kept := map[string]rate.Limit{}
	for _, r := range rateRules(&n.config.Load().Rates) {
		if r.who == byAccount || r.who == byTenant {
			kept[r.setting] = r.limit
		}
	}
	for _, c := range list {
		if l, ok := kept[c.Measure]; ok {
			n.rates.accounts.Restore(rate.Key{Measure: c.Measure, Name: c.Who}, rate.Window{Started: c.Started.UnixNano(), Now: c.Now, Before: c.Before}, l, n.opt.Now())
		}
	}
	n.rates.saved, n.rates.rows = n.opt.Now(), len(list)
	return nil
}

func (n *Node) limitStore() *limitstore.Store { return &limitstore.Store{DB: n.db} }

// saveCounts writes the counts down; where there are none, and were none, nothing.
func (n *Node) saveCounts(ctx context.Context) error {
	var list []limitstore.Count
	for _, u := range n.rates.accounts.Usages(n.opt.Now()) {
		list = append(list, limitstore.Count{Measure: u.Key.Measure, Who: u.Key.Name, Started: time.Unix(0, u.Window.Started), Now: u.Window.Now, Before: u.Window.Before})
	}
	if len(list)+n.rates.rows == 0 {
		return nil
	}
	err := n.limitStore().SetCounts(ctx, list)
	if err == nil {
		n.rates.rows = len(list)
	}
	return err
}

// keepCounts is saveCounts every countsPace.
func (n *Node) keepCounts(ctx context.Context) {
	now := n.opt.Now()
	if now.Sub(n.rates.saved) < countsPace {
		return
	}
	n.rates.saved = now
	if err := n.saveCounts(ctx); err != nil && ctx.Err() == nil {
		n.log.Warn("what accounts have sent could not be written; it will be tried again", obs.KeyError, err)
	}
}
