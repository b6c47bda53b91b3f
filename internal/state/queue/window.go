package queue

import (
	"slices"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/queue/sched"
)

// The window: in memory are the jobs without rows, those with an attempt under way, and those of which a recipient is due
// within the horizon, as far as there is room. All others lie in rows only, and feed brings them when their time comes.
const (
	defaultWindow = 100_000     // recipients
	horizon       = time.Minute // what is due within it is brought
	siteShare     = 20          // a site has at most this part of the window, so that one that is slow leaves room for others
	restShare     = 200         // one that rests has this part,
	restsShare    = 10          // and all that rest this one, as long as it is one recipient for each
	payerShare    = 50          // who has less than this part of a class's may send new mail also where that is full
	feedEvery     = horizon / 2
	feedPause     = time.Second // after a read that failed
	feedBreath    = 5 * time.Millisecond
	rewindEvery   = 5 * time.Minute // feed begins anew when a class has a little room, where half of its part does not move
)

// classes are those of the scheduler, in the order in which feed brings them.
var classes = [...]sched.Class{sched.Urgent, sched.Normal, sched.Bulk}

// share is a class's part of the window: what comes in bulk leaves the rest to others, and they leave it some.
func (q *Queue) share(c sched.Class) int {
	if c == sched.Normal {
		return max(q.opt.Window/2, 1)
	}
	return max(q.opt.Window/4, 1)
}

// local tells whether a recipient needs nobody else: such are never kept waiting for room in the window.
func local(t flow.Transport) bool { return t == flow.Mailbox || t == flow.Drop || t == flow.Error }

// mailstore is the site of recipients of which local is true.
const mailstore = ""

// siteRoom is how many recipients of one site may wait in memory. q.mu is held.
func (q *Queue) siteRoom(site string) int {
	n := q.opt.Window / siteShare
	if rests, all := q.sched.Rests(site); rests {
		n = min(q.opt.Window/restShare, q.opt.Window/restsShare/all)
	}
	return max(n, 1)
}

// overfull tells whether a site rests now, and had more room before. q.mu is held.
func (q *Queue) overfull(site string) bool {
	rests, _ := q.sched.Rests(site)
	return rests && q.lines[site] > q.siteRoom(site)
}

// shed leaves to the rows what sites have in memory beyond their room, since they rest now. q.mu is held.
func (q *Queue) shed() {
	over := map[string]int{}
	for site, n := range q.lines {
		if q.overfull(site) {
			over[site] = n - q.siteRoom(site)
		}
	}
	if len(over) == 0 {
		return
	}
	for _, it := range q.jobs {
		some := false
		for _, r := range it.rcpts {
			if r.turn != 0 && !r.flying && !local(r.transport) && over[r.site] > 0 {
				over[r.site]--
				q.setTurn(r, 0)
				some = true
			}
		}
		if some {
			q.settle(it)
		}
	}
}

// roomFor tells whether a recipient that is due may stand in the scheduler's lines. q.mu is held.
func (q *Queue) roomFor(it *item, r *recipient) bool {
	share := q.share(it.urgency)
	switch {
	case local(r.transport):
	case q.resident[it.urgency]-it.counted > share+share/8 && !q.modest(it): // feed stops at its share: what it brought has its place
		q.rewind[it.urgency] = true // feed may have passed it
		return false
	case q.lines[r.site] >= q.siteRoom(r.site):
		q.crowded[r.site] = true
		return false
	}
	return true
}

// modest tells whether new mail is from somebody who has little in memory: it does not wait because others have much. q.mu is held.
func (q *Queue) modest(it *item) bool {
	share := q.share(it.urgency)
	return !it.rows && q.payers[it.payer] <= share/payerShare && q.resident[it.urgency] <= 2*share
}

// setTurn says which unit stands for a recipient in the scheduler; 0: none. q.mu is held.
func (q *Queue) setTurn(r *recipient, turn uint64) {
	switch {
	case r.turn == 0 && turn != 0:
		q.lines[r.site]++
	case r.turn != 0 && turn == 0:
		if q.lines[r.site]--; q.lines[r.site] == 0 {
			delete(q.lines, r.site)
		}
		if q.crowded[r.site] && q.lines[r.site] <= q.siteRoom(r.site)/2 {
			q.bring()
		}
	}
	r.turn = turn
}

// settle gives the scheduler what is due of an item and not there yet, and lets the item go to its rows when nothing is left
// to do now. It follows every change of an item. q.mu is held.
func (q *Queue) settle(it *item) {
	delete(q.parked, it)
	q.measure(it)
	if it.stored && it.pending == 0 && it.flying == 0 {
		it.job = nil // the rows have it
	}
	if q.jobs[it.id] != it || it.pinned > 0 || len(it.rcpts) == 0 {
		return
	}
	limit := q.opt.Now().Add(horizon)
	var due, misplaced []*recipient
	busy, idle := 0, 0
	for _, r := range it.rcpts {
		switch {
		case r.flying || r.turn != 0 && !it.held:
			busy++
		case !it.held && !r.next.After(limit) && q.roomFor(it, r):
			due = append(due, r)
		default:
			q.setTurn(r, 0)
			idle++
			q.awaits(it, r, limit)
			if r.site != r.rowSite {
				misplaced = append(misplaced, r)
			}
		}
	}
	q.schedule(it, due)
	switch {
	case idle > 0 && !it.rows:
		q.writeRows(it, nil)
	case len(misplaced) > 0 && it.pending == 0: // feed would look for them at their site
		q.updateRows(it, change{again: misplaced})
	}
	switch {
	case idle == 0:
	case it.pending > 0 || !it.stored: // its row does not say yet what feed would look for
		q.parked[it] = true
	case busy+len(due) == 0:
		q.evict(it)
	}
}

// awaits sees to it that feed comes upon a recipient that waits for its time, whether its item stays in memory or not. q.mu is
// held.
func (q *Queue) awaits(it *item, r *recipient, limit time.Time) {
	if it.held {
		return
	}
	c, next := it.urgency, r.next.UnixMicro()
	q.soonest[c] = min(q.soonest[c], next)
	if r.next.After(limit) && q.passed[c].next >= next { // the clock went back since feed has looked there
		q.passed[c] = place{next: next - 1}
	}
}

// measure counts an item's recipients for the window. q.mu is held.
func (q *Queue) measure(it *item) {
	n := 0
	if it.rows && q.jobs[it.id] == it {
		n = len(it.rcpts)
	}
	q.resident[it.urgency] += n - it.counted
	if q.payers[it.payer] += n - it.counted; q.payers[it.payer] == 0 {
		delete(q.payers, it.payer)
	}
	it.counted = n
	if (q.rewind[it.urgency] || q.wanting[it.urgency]) && q.drained(it.urgency) {
		q.bring()
	}
}

// drained tells whether a class has much room again. q.mu is held.
func (q *Queue) drained(c sched.Class) bool { return q.resident[c] <= q.share(c)/2 }

// evict leaves an item to its rows. q.mu is held.
func (q *Queue) evict(it *item) {
	delete(q.jobs, it.id)
	q.measure(it)
	q.away[it.stateOfRow()]++
	q.depart(it.id)
	if !it.ref.IsZero() && !q.opt.Journal.Saved(it.ref) {
		q.replayed[it.id] = it.ref
	}
}

// depart notes that what a load under way has read of a job may be old. q.mu is held.
func (q *Queue) depart(id queueid.ID) {
	if q.departed != nil {
		q.departed[id] = true
	}
}

func (it *item) stateOfRow() State {
	switch {
	case it.corrupt:
		return Corrupt
	case it.held:
		return Hold
	}
	return Queued
}

// bring wakes feed. q.mu is held.
func (q *Queue) bring() {
	select {
	case q.hungry <- struct{}{}:
	default:
	}
}

// schedule gives the scheduler units for recipients, one for each route and due time.
func (q *Queue) schedule(it *item, rcpts []*recipient) {
	if len(rcpts) == 1 { // the ordinary case, without a map
		q.sched.Add(q.unit(it, rcpts[0]))
		return
	}
	type key struct {
		transport flow.Transport
		route     string
		due       int64
	}
	at := map[key]int{}
	var units []sched.Unit
	for _, r := range rcpts {
		k := key{r.transport, r.route, r.next.UnixMicro()}
		i, ok := at[k]
		if !ok || len(units[i].Recipients) >= maxUnit {
			at[k] = len(units)
			units = append(units, q.unit(it, r))
			continue
		}
		q.setTurn(r, units[i].Turn)
		units[i].Recipients = append(units[i].Recipients, r.no)
	}
	for _, u := range units {
		q.sched.Add(u)
	}
}

// maxUnit bounds the recipients of one attempt; RFC 5321 §4.5.3.1.8 has servers take 100 at least.
const maxUnit = 100

// unit makes the unit of a recipient. q.mu is held.
func (q *Queue) unit(it *item, r *recipient) sched.Unit {
	q.turns++
	q.setTurn(r, q.turns)
	return sched.Unit{ID: it.id, Turn: r.turn, Transport: r.transport, Route: r.route, MX: q.opt.Site != nil && hasExchangers(r),
		Payer: it.payer, Class: it.urgency, Recipients: []int{r.no}, Due: r.next, Expire: it.expires}
}

// hasExchangers tells whether a recipient's route is a domain whose mail exchangers are asked for.
func hasExchangers(r *recipient) bool {
	if r.transport != flow.SMTP || r.route == "" {
		return false
	}
	hops, err := flow.ParseNextHop(flow.SMTP, r.route)
	return err == nil && len(hops) == 1 && hops[0].MX && hops[0].Port == 0
}

// payerOf is who takes turns with others: an account, else the sender's domain, else the client.
func payerOf(j *flow.Job) string {
	switch {
	case j.Client.Login != "":
		return j.Client.Login
	case j.From.Domain != "":
		return "@" + j.From.Domain
	case j.Client.Addr.IsValid():
		return j.Client.Addr.Addr().String()
	}
	return ""
}

// urgencyOf is a job's class among its payer's.
func urgencyOf(j *flow.Job) sched.Class {
	switch {
	case j.Bulk || j.Priority < 0:
		return sched.Bulk
	case j.Priority > 0 || j.From.IsZero(): // RFC 5321 §6.1: a notification
		return sched.Urgent
	}
	return sched.Normal
}

// newItem makes the item of a job that comes without rows.
func (q *Queue) newItem(job *flow.Job, ref recipe.BlobRef, now time.Time) *item {
	it := &item{id: job.ID, job: job, ref: ref, held: job.Hold != "", received: job.Received, size: job.Size(), submitted: now,
		release: job.NotBefore, payer: payerOf(job), urgency: urgencyOf(job)}
	q.mu.Lock()
	defer q.mu.Unlock()
	it.expires = q.expires(job, job.From.IsZero())
	return it
}

// siteOf is the site of a route as far as it is known. q.mu is held.
func (q *Queue) siteOf(t flow.Transport, route string) string {
	if site := q.sites[route]; t == flow.SMTP && site != "" {
		return site
	}
	return q.sched.SiteOf(t, route)
}

// due moves a recipient's time, and voids its unit. q.mu is held.
func (q *Queue) due(r *recipient, at time.Time) {
	r.next = at
	q.setTurn(r, 0)
}

// ids returns the ids in memory, sorted. q.mu is held.
func (q *Queue) ids(wanted func(*item) bool) []queueid.ID {
	var list []queueid.ID
	for id, it := range q.jobs {
		if wanted(it) {
			list = append(list, id)
		}
	}
	slices.SortFunc(list, queueid.ID.Compare)
	return list
}
