package node

import (
	"fmt"
	"net/netip"
	"runtime"

	"github.com/postrider/postrider/internal/agent/certs"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/wire/link"
	"golang.org/x/sys/unix"
)

// ownDescriptors are for databases, packs, logs, listeners.
const ownDescriptors = 300

// spoken is how many descriptors a configuration keeps from mail clients' connections: a large message on its way in has a
// pack of its own, and HTTP counts its connections by itself.
func spoken(c *config.Config) int {
	return ownDescriptors + c.Limits.MessagesAtOnce + c.MTA.Concurrency + max(one(c.Listeners.HTTP), one(c.Listeners.HTTPS))*c.HTTP.MaxConnections
}

// admitted is how many connections of mail clients a configuration admits, all services together.
func admitted(c *config.Config) int {
	n := 0
	for _, l := range []config.Listener{c.Listeners.SMTP, c.Listeners.Submission, c.Listeners.Submissions, c.Listeners.LMTP} {
		if l.Enabled {
			n += c.SMTP.MaxConnections
		}
	}
	for _, s := range []struct{ plain, tls, most int }{
		{one(c.Listeners.IMAP), one(c.Listeners.IMAPS), c.IMAP.MaxConnections}, {one(c.Listeners.POP3), one(c.Listeners.POP3S), c.POP3.MaxConnections},
	} {
		n += max(s.plain, s.tls) * s.most
	}
	return n
}

func one(l config.Listener) int {
	if l.Enabled {
		return 1
	}
	return 0
}

// raiseDescriptors raises the limit of open files to what a configuration needs, as far as this process may, and returns
// it. Go's start has raised it to the hard limit already; beyond that takes CAP_SYS_RESOURCE.
func raiseDescriptors(c *config.Config) int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 1024 // POSIX's usual one
	}
	need := uint64(admitted(c) + spoken(c))
	if l.Cur < need {
		more := unix.Rlimit{Cur: need, Max: max(l.Max, need)}
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &more) == nil {
			l = more
		}
	}
	return int(min(l.Cur, 1<<30))
}

// forClients is how many connections of clients have room below a limit of open files.
func forClients(c *config.Config, limit int) int { return max(limit-spoken(c), limit/2) }

// roomForClients raises the limit of open files and returns how many connections of mail clients have room. It is for a server
// that starts, or whose limits change: a command opens few files, and its limit is not the server's.
func (n *Node) roomForClients(c *config.Config) int {
	limit := raiseDescriptors(c)
	if text := scarceDescriptors(c, limit); text != "" {
		n.log.Warn("the limit of open files is low", "detail", text)
	} else if room := forClients(c, limit); room < admitted(c) {
		n.log.Debug("the limit of open files bounds connections", "room", room)
	}
	return forClients(c, limit)
}

// newShared bounds what all services have in common.
func (n *Node) newShared(c *config.Config) *link.Shared {
	s := link.NewShared(n.roomForClients(c), runtime.GOMAXPROCS(0))
	s.Exempt = n.exempt
	s.NewTLS = n.handshake
	s.Banned = func(a netip.Addr) bool {
		_, banned := n.banned(a)
		return banned
	}
	return s
}

// exempt says that an address stands for many, and no limit of one address holds for it.
func (n *Node) exempt(a netip.Addr) bool {
	return n.config.Load().Limits.ExemptNetworks.Contains(a.Unmap())
}

// plenty of connections: with room for so many, nobody is warned that the shipped ceilings are higher still.
const plenty = 10_000

// scarceDescriptors says that a limit of open files has room for few connections, or for fewer than somebody asked for by
// raising the shipped ceilings; "": it has not.
func scarceDescriptors(c *config.Config, limit int) string {
	room := forClients(c, limit)
	shipped := config.Defaults()
	shipped.Listeners = c.Listeners
	if admitted(c) <= room || room >= plenty && admitted(c) <= admitted(shipped) {
		return ""
	}
	return fmt.Sprintf("the configuration admits %d connections, but the limit of open files is %d: %d are taken, the others are told to come later "+
		"(set LimitNOFILE=%d in the unit, or lower the keys max_connections)", admitted(c), limit, room, admitted(c)+spoken(c))
}

// CheckLimits looks whether the system lets a server do what a configuration admits. Here the limit is that of the command,
// which a service manager's may exceed.
func CheckLimits(c *config.Config) (warnings []certs.Problem) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return nil
	}
	if text := scarceDescriptors(c, int(min(l.Max, 1<<30))); text != "" {
		return []certs.Problem{{Key: "smtp.max_connections", Text: "if the service has the limits of this shell: " + text}}
	}
	return nil
}
