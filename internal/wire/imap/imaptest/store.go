// Package imaptest is a mail store in memory behind the interfaces of package imap, and its Authenticator: for tests and
// demonstrations. It keeps the contracts of backend.go, one lock for everything, and nothing beyond the process.
//
// Files: store.go (accounts, the feed), account.go (mailboxes by name), mailbox.go (messages).
package imaptest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/internal/wire/imap/view"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// Store is all accounts.
type Store struct {
	clock func() time.Time

	mu       sync.Mutex
	users    map[string]*user
	watchers map[imap.MailboxID]map[int]func(view.Event)
	watches  int // number of the last
	fail     error

	quota     int64  // bytes; 0: none
	forgotten uint64 // tombstones up to this modification sequence count as lost
}

type user struct {
	id        int64
	name      string
	password  string
	keys      sasl.Keys
	modseq    uint64
	validity  uint32
	emails    uint64
	mailboxes []*mailbox
	subs      map[string]imap.Name
}

type mailbox struct {
	user    *user
	id      imap.MailboxID
	name    imap.Name
	use     string
	uidNext uint32
	list    []message
	gone    map[uint32]uint64 // expunged UIDs and when
}

type message struct {
	view.Message
	date, saved time.Time
	*email
}

// New makes an empty store.
func New(clock func() time.Time) *Store {
	return &Store{clock: clock, users: map[string]*user{}, watchers: map[imap.MailboxID]map[int]func(view.Event){}}
}

// AddUser makes an account with INBOX and the usual folders.
func (s *Store) AddUser(name, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := &user{id: int64(len(s.users) + 1), name: name, password: password, modseq: 1, validity: 1000, subs: map[string]imap.Name{}}
	// The salt is fixed: tests repeat themselves.
	u.keys, _ = sasl.DeriveKeys(password, []byte("imaptest-salt-16"), sasl.DefaultIterations)
	s.users[name] = u
	u.create(imap.Name{"INBOX"}, "")
	for _, f := range []string{"Archive", "Drafts", "Junk", "Sent", "Trash"} {
		u.create(imap.Name{f}, `\`+f)
		u.subs[key(imap.Name{f})] = imap.Name{f}
	}
}

// Fail makes every later operation on messages return err; nil ends that.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// SetQuota limits every account; 0: no limit. Nothing is refused for it: it is only shown.
func (s *Store) SetQuota(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quota = bytes
}

// Forget makes the store forget what was expunged up to a modification sequence.
func (s *Store) Forget(modseq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgotten = modseq
}

// Deliver appends a message to a user's mailbox, as a delivery agent would.
func (s *Store) Deliver(name string, mailbox imap.Name, raw string, flags view.Flags) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.users[name].find(mailbox)
	m.add(newEmail([]byte(raw)), flags, s.clock(), s.clock())
	s.feedLast(m, 1)
}

// Watchers is the number of running watches.
func (s *Store) Watchers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, w := range s.watchers {
		n += len(w)
	}
	return n
}

// Password implements sasl.Authenticator.
func (s *Store) Password(_ context.Context, name, password string) (sasl.Identity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[name]
	if u == nil || u.password != password {
		return sasl.Identity{}, sasl.ErrCredentials
	}
	return sasl.Identity{Account: u.id, Name: u.name}, nil
}

// Keys implements sasl.Authenticator.
func (s *Store) Keys(_ context.Context, name string) (sasl.Keys, sasl.Identity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[name]
	if u == nil {
		return sasl.Keys{}, sasl.Identity{}, sasl.ErrCredentials
	}
	return u.keys, sasl.Identity{Account: u.id, Name: u.name}, nil
}

// Account implements imap.Backend.
func (s *Store) Account(_ context.Context, id sasl.Identity) (imap.Account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &account{s, s.users[id.Name]}, nil
}

// Watch implements imap.Backend.
func (s *Store) Watch(id imap.MailboxID, sink func(view.Event)) (func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watches++
	n := s.watches
	if s.watchers[id] == nil {
		s.watchers[id] = map[int]func(view.Event){}
	}
	s.watchers[id][n] = sink
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers[id], n)
	}, nil
}

// Load implements imap.Backend.
func (s *Store) Load(_ context.Context, id imap.MailboxID, add func(view.Message)) (uint32, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return 0, 0, s.fail
	}
	m := s.byID(id)
	if m == nil {
		return 0, 0, imap.ErrNonexistent
	}
	for i := range m.list {
		add(m.list[i].Message)
	}
	return m.uidNext, m.user.modseq, nil
}

func (s *Store) byID(id imap.MailboxID) *mailbox {
	for _, u := range s.users {
		for _, m := range u.mailboxes {
			if m.id == id {
				return m
			}
		}
	}
	return nil
}

// feed tells the watchers of m; s.mu is held.
func (s *Store) feed(m *mailbox, ev view.Event) {
	for _, sink := range s.watchers[m.id] {
		sink(ev)
	}
}

// feedLast tells of the last n messages, which are new and share a modification sequence.
func (s *Store) feedLast(m *mailbox, n int) {
	ev := view.Event{}
	for i := range m.list[len(m.list)-n:] {
		msg := m.list[len(m.list)-n+i].Message
		ev.ModSeq, ev.Messages = msg.ModSeq, append(ev.Messages, msg)
	}
	s.feed(m, ev)
}

func key(n imap.Name) string { return strings.Join(n, "\x00") }

func (u *user) find(n imap.Name) *mailbox {
	for _, m := range u.mailboxes {
		if key(m.name) == key(n) {
			return m
		}
	}
	return nil
}

func (u *user) create(n imap.Name, use string) *mailbox {
	u.validity++
	m := &mailbox{user: u, name: slices.Clone(n), use: use, uidNext: 1,
		id: imap.MailboxID{Account: u.id, Mailbox: int64(u.validity), UIDValidity: u.validity}}
	u.mailboxes = append(u.mailboxes, m)
	return m
}

// add appends a message under the user's next modification sequence.
func (m *mailbox) add(e *email, flags view.Flags, date, saved time.Time) uint32 {
	m.user.modseq++
	if e.number == 0 {
		m.user.emails++
		e.number = m.user.emails
	}
	m.list = append(m.list, message{view.Message{UID: m.uidNext, Flags: flags, ModSeq: m.user.modseq}, date, saved, e})
	m.uidNext++
	return m.uidNext - 1
}

// DeliverMany appends n messages at once; equal texts are parsed once.
func (s *Store) DeliverMany(name string, mailbox imap.Name, n int, message func(i int) (raw string, flags view.Flags)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, known := s.users[name].find(mailbox), map[string]*email{}
	for i := range n {
		raw, flags := message(i)
		if known[raw] == nil {
			known[raw] = newEmail([]byte(raw))
		}
		m.add(known[raw], flags, s.clock(), s.clock())
	}
	s.feedLast(m, n)
}
