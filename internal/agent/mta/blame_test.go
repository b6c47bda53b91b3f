package mta

import (
	"context"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/state/queue"
)

// What keeps us from connecting at all says nothing of the site: others, with other addresses of ours, may reach it.
func TestOwnTroubleIsNotTheSites(t *testing.T) {
	called := func(name string, e syscall.Errno) error {
		return &net.OpError{Op: "dial", Err: os.NewSyscallError(name, e)}
	}
	refused := called("connect", syscall.ECONNREFUSED)
	const host, host6 = "192.0.2.1", "2001:db8::1"
	for _, c := range []struct {
		name   string
		fails  map[string]error // by address
		v4     bool             // an egress pool without an address of IPv6
		class  flow.Class
		signal flow.Signal
	}{
		{name: "refused", fails: map[string]error{host: refused}, class: flow.ClassNetwork, signal: flow.Unreachable},
		{name: "the network is down there", fails: map[string]error{host: called("connect", syscall.ENETUNREACH)}, class: flow.ClassNetwork, signal: flow.Unreachable},
		{name: "an address that is not ours", fails: map[string]error{host: called("bind", syscall.EADDRNOTAVAIL)}, class: flow.ClassLocal},
		{name: "no right to it", fails: map[string]error{host: called("bind", syscall.EACCES)}, class: flow.ClassLocal},
		{name: "no port left", fails: map[string]error{host: called("connect", syscall.EADDRNOTAVAIL)}, class: flow.ClassLocal},
		{name: "too many files", fails: map[string]error{host: called("socket", syscall.EMFILE)}, class: flow.ClassLocal},
		{name: "too many files of all", fails: map[string]error{host: called("socket", syscall.ENFILE)}, class: flow.ClassLocal},
		{name: "no memory", fails: map[string]error{host: called("connect", syscall.ENOBUFS)}, class: flow.ClassLocal},
		{name: "no address of the family", v4: true, fails: map[string]error{host6: nil}, class: flow.ClassLocal},
		{name: "no address of one family, the other refused", v4: true, fails: map[string]error{host6: nil, host: refused}, class: flow.ClassNetwork, signal: flow.Unreachable},
		{name: "no IPv6 in the kernel", fails: map[string]error{host6: called("socket", syscall.EAFNOSUPPORT)}, class: flow.ClassLocal},
		{name: "no IPv6 on this host, IPv4 refused", fails: map[string]error{host6: called("connect", syscall.EADDRNOTAVAIL), host: refused},
			class: flow.ClassNetwork, signal: flow.Unreachable},
		{name: "no way for IPv6, too many files for IPv4", fails: map[string]error{host6: called("connect", syscall.ENETUNREACH), host: called("socket", syscall.EMFILE)},
			class: flow.ClassLocal},
		{name: "too many files for one host, the other refused", fails: map[string]error{host: called("socket", syscall.EMFILE), "192.0.2.2": refused}, class: flow.ClassNetwork},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{zone: twoHosts()}
				w.zone.ip = map[string][]string{}
				for addr := range c.fails {
					name := "one.example"
					if addr == "192.0.2.2" {
						name = "two.example"
					}
					w.zone.ip[name] = append(w.zone.ip[name], addr)
				}
				if len(w.zone.ip) == 1 {
					w.zone.mx["example.com"] = w.zone.mx["example.com"][:1]
				}
				a := start(t, w, func(s *Settings, o *Options) {
					if c.v4 {
						s.Egress = []*Pool{{From: []Source{{Addr: netip.MustParseAddr("198.51.100.1")}}}}
					}
					o.Dial = func(_ context.Context, _ netip.Addr, to netip.AddrPort) (net.Conn, error) {
						return nil, c.fails[to.Addr().String()]
					}
				})
				o := a.Deliver(t.Context(), []*queue.Task{task("b@example.com")})[0][0]
				if o.Result != flow.Deferred || o.Class != c.class || o.Signal != c.signal {
					t.Errorf("class %s, signal %d: %+v", o.Class, o.Signal, o)
				}
			})
		})
	}
}

// An address that this host does not have, for real.
func TestSourceThatTheHostLacks(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := dial(t.Context(), netip.MustParseAddr("192.0.2.77"), l.Addr().(*net.TCPAddr).AddrPort())
	if err == nil {
		_ = c.Close() // a host that binds to any address (ip_nonlocal_bind)
		return
	}
	if blame(err, false) != byUs {
		t.Errorf("%v is the other side's", err)
	}
}
