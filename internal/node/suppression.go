package node

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/arf"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/obs/metrics"
	"github.com/postrider/postrider/internal/state/suppress"
)

// suppression feeds the suppression lists by what becomes of deliveries, and asks them before one. What is learnt is written
// behind: a crash, or a burst of more than pending, loses some of it, and the next bounce of the address brings it again.
type suppression struct {
	node  *Node
	store *suppress.Store
	news  chan any // bounced, or *flow.Job that may be a complaint
	added func(reason string) metrics.Counter
	kept  metrics.Counter

	stopping chan struct{}
	done     chan struct{}
}

// bounced is an entry of whose list it is not known yet.
type bounced struct {
	entry  suppress.Entry
	client flow.Client
	from   address.Address
}

const (
	suppressionPending = 10_000
	suppressionPrune   = time.Hour
	suppressionBatch   = 500
)

func (n *Node) openSuppression() {
	added := n.metrics.CounterVec("suppression_entries_total", "Addresses put on suppression lists, by reason.", "reason")
	n.suppression = &suppression{node: n, store: &suppress.Store{DB: n.db}, news: make(chan any, suppressionPending),
		added: func(reason string) metrics.Counter { return added(reason) },
		kept:  n.metrics.Counter("suppressed_recipients_total", "Recipients that were not tried, because a suppression list names them.")}
}

// Suppressed implements suppressor.List.
func (s *suppression) Suppressed(ctx context.Context, j *flow.Job, r *flow.Recipient) (why string, listed bool, err error) {
	c := &s.node.config.Load().Suppression
	if c.Mail == "none" || c.Mail == "bulk" && !j.Bulk || j.From.IsZero() {
		return "", false, nil
	}
	owners, err := s.ownersOf(ctx, &j.Client, j.From)
	if err != nil {
		return "", false, err
	}
	e, listed, err := s.store.Find(ctx, owners, r.To, s.node.opt.Now())
	if err != nil || !listed {
		return "", false, err
	}
	s.kept.Inc()
	why = fmt.Sprintf("not tried: the address is on the suppression list since %s (%s", e.Since.UTC().Format(time.DateOnly), e.Reason)
	if e.Class != "" {
		why += ", " + e.Class
	}
	if why += ")"; e.Detail != "" {
		why += ": " + e.Detail
	}
	return why, true, nil
}

// ownersOf are the lists that hold for mail of a client, the nearest first: the account's and the sender's domain's. Strangers whose
// mail we forward, or keep as a backup MX, have none: else anybody could fill the table with entries of domains of his choice, and a
// mailbox that was missing for an hour would lose the newsletters of three months.
func (s *suppression) ownersOf(ctx context.Context, client *flow.Client, from address.Address) (owners []string, err error) {
	known := !client.Addr.IsValid() // a program of this host
	if a, err := address.Parse(client.Login, true); err == nil && a.Domain != "" {
		owners, known = append(owners, suppress.Key(a)), true
	}
	c, addr := s.node.config.Load(), client.Addr.Addr().Unmap()
	if !known && !addr.IsLoopback() { // from there also comes what a content filter gives back
		known = c.Access.Mynetworks.Contains(addr) || c.Submission.TrustedNetworks.Contains(addr)
	}
	if !known {
		_, known, err = s.node.directory.Tenant(ctx, from.Domain)
	}
	if known {
		owners = append(owners, suppress.Domain(from.Domain))
	}
	return owners, err
}

// learn takes a bounce or a complaint from the outcome of a recipient. It does not block.
func (s *suppression) learn(j *flow.Job, r *flow.Recipient, o *flow.Outcome) {
	c := &s.node.config.Load().Suppression
	switch {
	case o.Result == flow.Failed && r.Transport == flow.SMTP && !j.From.IsZero() && c.KeepBounces > 0 && slices.Contains(c.Classes, o.Class.String()):
		now := s.node.opt.Now()
		s.put(bounced{suppress.Entry{Address: suppress.Key(r.To), Reason: suppress.Bounce, Class: o.Class.String(), Detail: suppress.Clip(o.Reply), Since: now,
			Until: now.Add(c.KeepBounces.D())}, j.Client, j.From})
	case o.Result.Final() && o.Result != flow.Failed && s.mayComplain(c, j, r):
		s.put(j)
	}
}

// mayComplain tells whether a recipient is an address for abuse reports, and the client one that is believed.
func (s *suppression) mayComplain(c *config.Suppression, j *flow.Job, r *flow.Recipient) bool {
	if len(c.ComplaintAddresses) == 0 {
		return false
	}
	if len(c.ComplaintNetworks) > 0 && !c.ComplaintNetworks.Contains(j.Client.Addr.Addr()) {
		return false
	}
	return slices.ContainsFunc(c.ComplaintAddresses, func(to string) bool {
		a, err := address.Parse(to, true)
		return err == nil && a.Key() == r.Original.Key()
	})
}

func (s *suppression) put(news any) {
	select {
	case s.news <- news:
	default:
		s.node.log.Warn("the suppression lists do not keep up; what was learnt of one recipient is lost")
	}
}

func (s *suppression) start() {
	s.stopping, s.done = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(s.done)
		ctx := context.Background() // a stop does not break off what is being written: it would be lost
		prune := time.NewTicker(suppressionPrune)
		defer prune.Stop()
		for {
			select {
			case <-s.stopping:
				for len(s.news) > 0 {
					s.write(ctx, <-s.news)
				}
				return
			case one := <-s.news:
				s.write(ctx, one)
			case <-prune.C:
				if err := s.store.Prune(ctx, s.node.opt.Now()); err != nil {
					s.node.log.Warn("the suppression lists could not be tidied", obs.KeyError, err)
				}
			}
		}
	}()
}

// stop writes what was learnt. No delivery may be under way any more.
func (s *suppression) stop() {
	if s.stopping != nil {
		close(s.stopping)
		<-s.done
		s.stopping = nil
	}
}

// write takes all that waits, and first, into the table.
func (s *suppression) write(ctx context.Context, first any) {
	var entries []suppress.Entry
	take := func(one any) {
		switch v := one.(type) {
		case bounced:
			owners, err := s.ownersOf(ctx, &v.client, v.from)
			if err != nil {
				s.node.log.Error("whose suppression list a bounce belongs to cannot be told; it is lost", obs.KeyError, err)
			} else if len(owners) > 0 {
				if v.entry.Owner = owners[len(owners)-1]; s.node.config.Load().Suppression.Scope == "account" {
					v.entry.Owner = owners[0]
				}
				entries = append(entries, v.entry)
			}
		case *flow.Job:
			entries = append(entries, s.complaint(ctx, v)...)
		}
	}
	for take(first); len(entries) < suppressionBatch; {
		select {
		case one := <-s.news:
			take(one)
			continue
		default:
		}
		break
	}
	if err := s.store.Put(ctx, entries); err != nil {
		s.node.log.Error("the suppression lists could not be written", obs.KeyError, err, "entries", len(entries))
		return
	}
	for _, e := range entries {
		s.added(e.Reason).Inc()
	}
}

// complaint reads a message as an abuse report about mail of a domain of ours.
func (s *suppression) complaint(ctx context.Context, j *flow.Job) (entries []suppress.Entry) {
	log := s.node.log.With(obs.KeyComponent, "suppression", obs.KeyQueueID, j.ID.String())
	text, err := io.ReadAll(io.LimitReader(recipe.NewReader(s.node.blobs, j.Message), arf.MaxSize))
	if err != nil {
		log.Error("a message to the address for complaints cannot be read", obs.KeyError, err)
		return nil
	}
	r, err := arf.Parse(text)
	if err != nil || !r.Complaint() {
		log.Info("a message to the address for complaints is none", obs.KeyError, err)
		return nil
	}
	from := r.From
	if from.IsZero() {
		from = r.Author
	}
	if _, ours, err := s.node.directory.Tenant(ctx, from.Domain); err != nil || !ours {
		log.Warn("a complaint is about mail that is not from a domain of ours", obs.KeyFrom, from.String(), obs.KeyError, err)
		return nil
	}
	who := r.Recipients
	if a, ok := fromVERP(from); len(who) == 0 && ok {
		who = []address.Address{a}
	}
	now := s.node.opt.Now()
	for _, to := range who {
		entries = append(entries, suppress.Entry{Owner: suppress.Domain(from.Domain), Address: suppress.Key(to), Reason: suppress.Complaint, Class: r.Type,
			Detail: "report " + j.ID.String(), Since: now, Until: now.Add(s.node.config.Load().Suppression.KeepComplaints.D())})
	}
	log.Info("complaint", "type", r.Type, obs.KeyFrom, from.String(), obs.KeyNrcpt, len(entries))
	return entries
}

// fromVERP is the recipient that a reverse-path of VERP with the usual delimiters names: list+user=there@here.
func fromVERP(a address.Address) (address.Address, bool) {
	_, who, ok := strings.Cut(a.Local, "+")
	at := strings.LastIndexByte(who, '=')
	if !ok || at <= 0 {
		return address.Address{}, false
	}
	to, err := address.Parse(who[:at]+"@"+who[at+1:], true)
	return to, err == nil && to.Domain != ""
}
