package pop3_test

import (
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// A connection in the middle of an AUTH exchange holds no more memory than one that has said nothing.
func TestAuthExchangeHoldsNoBuffer(t *testing.T) {
	const n = 300
	s := newStore()
	config := testConfig(s)
	config.MaxConns, config.MaxConnsPerIP = n, n
	srv := newServer(s, config)
	var list []*client
	for range n {
		c, wait := begin(t, srv)
		defer wait()
		defer c.Close()
		c.send("UTF8") // the pipe takes its memory now
		c.want("+OK")
		list = append(list, c)
	}
	heap := func() int64 {
		runtime.GC()
		runtime.GC() // and what pools keep over one
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for _, c := range list {
		c.send("AUTH LOGIN")
		c.want("+ ")
	}
	if each := (heap() - before) / n; each > 8<<10 {
		t.Errorf("%d bytes more for each", each)
	}
}

// A master user's login is not the account's own: neither of the two makes the other wait.
func TestLoginDelayAndMasterUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		config := testConfig(s)
		config.LoginDelay = time.Minute
		srv := newServer(s, config)
		for _, k := range []struct{ name, want string }{
			{"alice*admin", "+OK 4 messages"}, {"alice", "+OK 4 messages"}, {"alice*admin", "+OK 4 messages"}, {"alice", "-ERR [LOGIN-DELAY]"},
		} {
			c, wait := begin(t, srv)
			c.send("USER "+k.name, "PASS secret word", "QUIT")
			c.want("+OK")
			c.want(k.want)
			_, _ = io.Copy(io.Discard, c)
			wait()
		}
	})
}
