package system

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
)

// Model is what the mailboxes must hold: every acknowledged delivery once, and what its account's one IMAP client did
// since. A command whose answer never came is in doubt: it was done in whole or not at all.
//
// Places are told apart by mailbox and UID; one that was given up never comes back. What a Check has settled is forgotten but
// for the highest UID of each mailbox, so a model is as large as its mailboxes, however long it goes on.
type Model struct {
	mu       sync.Mutex
	accounts map[string]*accountModel
	remote   map[string]bool // by token: owed to the next hop
	before   map[string]bool // those that CheckRemote settled last
	Report   Report
}

// Report is what was promised and what was found.
type Report struct {
	Kills        int
	Delivered    int // recipients whose message was acknowledged by 250
	Appended     int // by APPENDUID
	Changed      int // acknowledged STORE, COPY, MOVE, EXPUNGE
	Doubtful     int // commands and transactions cut off by a kill
	DoubtfulDone int // of them those that took place
	Found        int // messages looked at after the kills
	Lost         int
	Duplicated   int
	Damaged      int
	Wrong        int // flags, UIDs, half of a command
	Remote       int // messages that the remote host was owed
	RemoteTwice  int // of them those that it got more than once: allowed, delivery there is at least once
	Upkeeps      int // rounds of compaction and sweep that the server was asked for, those cut off included
	Compacted    int // packs, as far as the answer came
	Deleted      int // the same
}

// Line is the report in one line, for machines.
func (r Report) Line(name string, seconds float64) string {
	b, err := json.Marshal(map[string]any{"test": name, "kills": r.Kills, "acknowledged": r.Delivered + r.Appended + r.Changed + r.Remote,
		"deliveries": r.Delivered, "appended": r.Appended, "changes": r.Changed, "remote": r.Remote, "in_doubt": r.Doubtful,
		"in_doubt_done": r.DoubtfulDone, "found": r.Found, "lost": r.Lost, "duplicated": r.Duplicated, "damaged": r.Damaged, "wrong": r.Wrong,
		"remote_duplicates": r.RemoteTwice, "upkeeps": r.Upkeeps, "packs_compacted": r.Compacted, "packs_deleted": r.Deleted,
		"seconds": math.Round(seconds)})
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (r Report) String() string {
	return fmt.Sprintf("%d kills; acknowledged: %d deliveries, %d appended, %d changes, %d to a remote host; in doubt: %d, of which done: %d; "+
		"found %d; lost %d, duplicated %d, damaged %d, wrong %d; remote duplicates (allowed): %d; %d rounds of upkeep, %d packs compacted, %d deleted",
		r.Kills, r.Delivered, r.Appended, r.Changed, r.Remote, r.Doubtful, r.DoubtfulDone, r.Found, r.Lost, r.Duplicated, r.Damaged,
		r.Wrong, r.RemoteTwice, r.Upkeeps, r.Compacted, r.Deleted)
}

type accountModel struct {
	sent   map[string]*sent // by token
	places map[Place]*content
	doubt  *change
	high   map[string]uint32 // by mailbox: UIDs up to here were given out
}

type sent struct {
	acked bool
	place bool // it was seen in a place, once
}

type content struct {
	token string
	flags string // sorted
	gone  bool
}

// change is a command of the account's client. Of the fields those are set that it needs.
type change struct {
	from  []Place // places that it touches
	gives string  // flags of from afterwards; with to: unused
	takes bool    // from is gone afterwards
	to    string  // mailbox that gets the tokens
	token []string
	flags []string // of the new places, by token
}

// NewModel makes the model of accounts whose mailboxes are empty.
func NewModel(accounts []string) *Model {
	m := &Model{accounts: map[string]*accountModel{}, remote: map[string]bool{}}
	for _, a := range accounts {
		m.accounts[a] = &accountModel{sent: map[string]*sent{}, places: map[Place]*content{}, high: map[string]uint32{}}
	}
	return m
}

// Sending says that a message is on its way to accounts.
func (m *Model) Sending(token string, to []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range to {
		if a := m.accounts[name]; a != nil { // else forward@
			a.sent[token] = &sent{}
		}
	}
}

// Sent says that it was acknowledged, or (err) that the answer never came.
func (m *Model) Sent(token string, to []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range to {
		switch a := m.accounts[name]; {
		case err != nil:
			m.Report.Doubtful++
		case a == nil:
			m.remote[token] = true
			m.Report.Remote++
		default:
			a.sent[token].acked = true
			m.Report.Delivered++
		}
	}
}

// CheckRemote compares what the next hop was owed with how often it got each token since the last call. Nothing may be on its
// way.
func (m *Model) CheckRemote(times map[string]int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for token := range m.remote {
		switch n := times[token]; {
		case n == 0:
			m.Report.Lost++
			errs = append(errs, fmt.Errorf("%s was acknowledged and never reached the next hop", token))
		case n > 1:
			m.Report.RemoteTwice++
		}
	}
	for token := range m.before { // again, after it was found
		if times[token] > 0 {
			m.Report.RemoteTwice++
		}
	}
	m.before, m.remote = m.remote, map[string]bool{}
	return errors.Join(errs...)
}

// Upkeep counts a round of upkeep.
func (m *Model) Upkeep(compacted, deleted int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Report.Upkeeps++
	m.Report.Compacted += compacted
	m.Report.Deleted += deleted
}

// begin says that a command is on its way.
func (m *Model) begin(account string, c *change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.accounts[account].doubt = c
}

// done says that it was acknowledged, with the places that it made.
func (m *Model) done(account string, c *change, made []Place) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.accounts[account]
	a.doubt = nil
	if len(made) != len(c.token) {
		return fmt.Errorf("%s: %d places made for %d messages", account, len(made), len(c.token))
	}
	for i, p := range made {
		if a.places[p] != nil || p.UID <= a.high[p.Mailbox] {
			m.Report.Wrong++
			return fmt.Errorf("%s was given out twice", p)
		}
		a.places[p] = &content{token: c.token[i], flags: c.flags[i]}
	}
	for _, p := range c.from {
		switch {
		case c.takes:
			a.places[p].gone = true
		case c.to == "":
			a.places[p].flags = c.gives
		}
	}
	if len(c.from) == 0 {
		m.Report.Appended++
	} else {
		m.Report.Changed++
	}
	return nil
}

// present lists an account's places with their contents, in order.
func (m *Model) present(account string) (places []Place, contents []content) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.accounts[account]
	for _, p := range slices.SortedFunc(maps.Keys(a.places), func(p, q Place) int {
		if c := strings.Compare(p.Mailbox, q.Mailbox); c != 0 {
			return c
		}
		return int(int64(p.UID) - int64(q.UID))
	}) {
		if c := a.places[p]; !c.gone {
			places, contents = append(places, p), append(contents, *c)
		}
	}
	return places, contents
}

// unknown returns a function that tells which UIDs of a mailbox the model does not know.
func (m *Model) unknown(account, mailbox string) func(uid uint32) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := map[uint32]bool{}
	for p := range m.accounts[account].places {
		if p.Mailbox == mailbox {
			known[p.UID] = true
		}
	}
	return func(uid uint32) bool { return !known[uid] }
}

// Learn takes in what was delivered to INBOX meanwhile: a List with unknown.
func (m *Model) Learn(account string, list []Found) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.accounts[account]
	var errs []error
	for _, f := range list {
		if f.Token == "" && f.Err == nil || a.places[f.Place] != nil {
			continue
		}
		errs = append(errs, m.newPlace(a, f, nil))
	}
	return errors.Join(errs...)
}

// Check compares the account with what its mailboxes hold (every place; bodies where the model did not know it), settles
// the command in doubt, and returns what is wrong.
func (m *Model) Check(account string, list []Found) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.accounts[account]
	doubt := a.doubt
	a.doubt = nil
	if doubt != nil {
		m.Report.Doubtful++
	}
	seen := map[Place]bool{}
	var errs []error
	open := doubt.pending()
	for _, f := range list {
		m.Report.Found++
		seen[f.Place] = true
		switch c := a.places[f.Place]; {
		case c == nil && f.UID <= a.high[f.Mailbox]:
			m.Report.Wrong++
			errs = append(errs, fmt.Errorf("%s (%s) was expunged and is back", f.Place, f.Token))
		case c == nil:
			errs = append(errs, m.newPlace(a, f, open))
		case c.gone:
			m.Report.Wrong++
			errs = append(errs, fmt.Errorf("%s (%s) was expunged and is back", f.Place, c.token))
		case f.Err != nil:
			m.Report.Damaged++
			errs = append(errs, fmt.Errorf("%s (%s): %w", f.Place, c.token, f.Err))
		default:
			errs = append(errs, m.flags(f, c, doubt))
		}
	}
	taken := m.missing(a, seen, doubt, &errs)
	errs = append(errs, m.whole(doubt, open, taken)...)
	for token, s := range a.sent {
		if s.acked && !s.place {
			m.Report.Lost++
			s.place = true // say it once
			errs = append(errs, fmt.Errorf("%s: %s was acknowledged and is not there", account, token))
		}
	}
	a.forget()
	return errors.Join(errs...)
}

// forget drops what a Check has settled: nothing is on its way.
func (a *accountModel) forget() {
	clear(a.sent) // what was not acknowledged and is not there never comes; a second copy of anything is nobody's
	for p, c := range a.places {
		a.high[p.Mailbox] = max(a.high[p.Mailbox], p.UID)
		if c.gone {
			delete(a.places, p)
		}
	}
}

// flags judges a place that is where it should be.
func (m *Model) flags(f Found, c *content, doubt *change) error {
	is := canonical(f.Flags)
	if is == c.flags {
		return nil
	}
	if doubt != nil && !doubt.takes && doubt.to == "" && slices.Contains(doubt.from, f.Place) && is == doubt.gives {
		c.flags = is
		m.Report.DoubtfulDone++
		return nil
	}
	m.Report.Wrong++
	want := c.flags
	c.flags = is
	return fmt.Errorf("%s (%s) has flags %q, acknowledged were %q", f.Place, c.token, is, want)
}

// missing judges the places that are not there, and counts those that the command in doubt took.
func (m *Model) missing(a *accountModel, seen map[Place]bool, doubt *change, errs *[]error) (taken int) {
	for p, c := range a.places {
		if c.gone || seen[p] {
			continue
		}
		c.gone = true
		if doubt != nil && doubt.takes && slices.Contains(doubt.from, p) {
			taken++
			continue
		}
		m.Report.Lost++
		*errs = append(*errs, fmt.Errorf("%s (%s) is not there", p, c.token))
	}
	return taken
}

// whole judges whether the command in doubt was done in whole or not at all.
func (m *Model) whole(doubt *change, open map[string]int, taken int) []error {
	if doubt == nil {
		return nil
	}
	left := 0
	for _, n := range open {
		left += n
	}
	made := len(doubt.token) - left
	if made > 0 || taken > 0 {
		m.Report.DoubtfulDone++
	}
	var errs []error
	if made > 0 && left > 0 {
		m.Report.Wrong++
		errs = append(errs, fmt.Errorf("of %d messages that one command made, %d are there", len(doubt.token), made))
	}
	if doubt.takes && (taken > 0 && taken < len(doubt.from) || doubt.to != "" && taken != made) {
		m.Report.Wrong++
		errs = append(errs, fmt.Errorf("of %d messages that one command takes away, %d are gone and %d are at their new place", len(doubt.from), taken, made))
	}
	return errs
}

// pending counts the messages that the command would make, by mailbox and token.
func (c *change) pending() map[string]int {
	open := map[string]int{}
	if c != nil {
		for i, token := range c.token {
			open[c.to+"/"+token+"/"+c.flags[i]]++
		}
	}
	return open
}

// newPlace judges a place that the model does not know: made by the command in doubt, or by a delivery, or a fault.
func (m *Model) newPlace(a *accountModel, f Found, open map[string]int) error {
	if f.Err != nil {
		m.Report.Damaged++
		return fmt.Errorf("%s: %w", f.Place, f.Err)
	}
	flags := canonical(f.Flags)
	a.places[f.Place] = &content{token: f.Token, flags: flags}
	key := f.Mailbox + "/" + f.Token + "/" + flags
	if open[key] > 0 {
		open[key]--
		return nil
	}
	s := a.sent[f.Token]
	if s == nil || s.place || f.Mailbox != "INBOX" || flags != "" {
		m.Report.Duplicated++
		return fmt.Errorf("%s: %s (flags %q) is there and nobody put it there (again)", f.Place, f.Token, flags)
	}
	s.place = true
	if !s.acked {
		m.Report.DoubtfulDone++
	}
	return nil
}

// canonical sorts flags; \Recent is the server's own.
func canonical(flags []string) string {
	list := slices.DeleteFunc(slices.Clone(flags), func(f string) bool { return strings.EqualFold(f, `\Recent`) })
	slices.Sort(list)
	return strings.Join(list, " ")
}
