package pop3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/pop3"
	"github.com/postrider/postrider/internal/wire/sasl"
	"github.com/postrider/postrider/test/dialogue"
)

// store is a Backend in memory: every user has the messages of one maildrop.
type store struct {
	mu       sync.Mutex
	messages map[int64]map[uint32]string // by account and UID
	damaged  map[uint32]bool
	seen     []uint32
	broken   error // what Update says
	open     map[int64]bool
}

// The messages that scripts find.
var sample = []string{
	"Subject: one\r\n\r\nHello.\r\n.dot\r\n..two\r\n.\r\nend\r\n",
	"Subject: two\r\nFrom: Gr\xc3\xbc\xc3\x9fe\r\n\r\n" + "1\r\n2\r\n3\r\n",
	"Subject: bare\n\nno CR\n.\nlast without end",
	"Subject: damaged\r\n\r\n",
}

func newStore() *store {
	s := &store{messages: map[int64]map[uint32]string{1: {}, 2: {}}, damaged: map[uint32]bool{104: true}, open: map[int64]bool{}}
	for i, m := range sample {
		s.messages[1][uint32(101+i)] = m
	}
	return s
}

func (s *store) Open(_ context.Context, id sasl.Identity, add func(uint32, int64)) (pop3.Maildrop, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch id.Account {
	case 3:
		return nil, errors.New("the disk is full of secrets")
	case 4:
		panic("no maildrop at all")
	}
	if s.open[id.Account] {
		return nil, pop3.ErrInUse
	}
	s.open[id.Account] = true
	var uids []uint32
	for uid := range s.messages[id.Account] {
		uids = append(uids, uid)
	}
	slices.Sort(uids)
	for _, uid := range uids {
		add(uid, int64(len(s.messages[id.Account][uid])))
	}
	return &drop{s, id.Account}, nil
}

type drop struct {
	*store
	account int64
}

func (d *drop) UniqueID(uid uint32) string { return fmt.Sprintf("id-%d", uid) }

type body struct{ *bytes.Reader }

func (d *drop) Body(_ context.Context, uid uint32, _ bool) (pop3.Body, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m, ok := d.messages[d.account][uid]
	switch {
	case !ok:
		return nil, pop3.ErrGone
	case d.damaged[uid]:
		return nil, pop3.ErrDamaged
	}
	return body{bytes.NewReader([]byte(m))}, nil
}

func (d *drop) Update(_ context.Context, seen, removed []uint32) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken != nil {
		return d.broken
	}
	d.seen = append(d.seen, seen...)
	for _, uid := range removed {
		delete(d.messages[d.account], uid)
	}
	return nil
}

func (d *drop) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.open, d.account)
}

// remove takes a message away, as another session would.
func (s *store) remove(account int64, uid uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.messages[account], uid)
}

// users: the password of each is "secret word".
var users = map[string]int64{"alice": 1, "bob": 2, "broken": 3, "panic": 4, "z\u00f6e": 2}

func (s *store) Password(_ context.Context, name, password string) (sasl.Identity, error) {
	if name == "busy" {
		return sasl.Identity{}, status.Temp(454, 7, 0, "Temporary authentication failure")
	}
	name, master, _ := strings.Cut(name, "*")
	id, ok := users[name]
	if !ok || password != "secret word" {
		return sasl.Identity{}, sasl.ErrCredentials
	}
	return sasl.Identity{Account: id, Name: name, Master: master}, nil
}

func (s *store) Keys(context.Context, string) (sasl.Keys, sasl.Identity, error) {
	return sasl.Keys{}, sasl.Identity{}, sasl.ErrCredentials
}

func testConfig(s *store) pop3.Config {
	return pop3.Config{Hostname: "pop.example.test", SASL: sasl.NewServer(s, sasl.Options{})}
}

func newServer(s *store, c pop3.Config) *pop3.Server {
	return pop3.New(s, newLog(), c)
}

func newLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

type identity = sasl.Identity

// TestDialogues plays the scripts over protected connections.
func TestDialogues(t *testing.T) {
	dialogue.Files(t, "testdata/dialogue/*.txt", func(*testing.T) func(net.Conn) {
		s := newStore()
		srv := newServer(s, testConfig(s))
		return func(c net.Conn) { srv.ServeConn(context.Background(), c, pop3.Secure) }
	})
}

// TestStartTLSDialogues plays the scripts that begin in the clear.
func TestStartTLSDialogues(t *testing.T) {
	tlsConfig, _ := dialogue.TLS(t, "pop.example.test")
	dialogue.Files(t, "testdata/starttls/*.txt", func(*testing.T) func(net.Conn) {
		s := newStore()
		c := testConfig(s)
		c.TLS, c.LoginDelay = tlsConfig, 90*time.Second
		srv := newServer(s, c)
		return func(c net.Conn) { srv.ServeConn(context.Background(), c, pop3.StartTLS) }
	})
}
