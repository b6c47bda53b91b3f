package node

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/directory"
	"github.com/postrider/postrider/internal/wire/dovecotauth"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// authService is the name under which logins for other servers stand in the log.
const authService = "auth"

func (n *Node) authConfig(c *config.Config) dovecotauth.Config {
	return dovecotauth.Config{Auth: n.saslServer(authService), Plaintext: c.Edges.AuthPlaintext, Trusted: c.Edges.AuthNetworks.Contains,
		LoggedIn: n.loggedInElsewhere, Log: n.log.With(obs.KeyComponent, authService)}
}

// loggedInElsewhere hears of a login for which another server has asked. Its session is that server's.
func (n *Node) loggedInElsewhere(o sasl.Origin, who sasl.Identity, mech string) error {
	p := obs.Peer{Service: authService, Session: obs.SessionID(authService, o.Session), Addr: plain(o.Remote), Local: o.Local.Addr().Unmap(), TLS: o.TLS}
	n.events.Emit(obs.Login{Peer: p, Mech: mech, Account: who.Name, Master: who.Master})
	if who.Master == "" {
		n.logins.note(directory.LastLogin{Account: who.Account, Service: authService, At: n.opt.Now(), Client: p.Addr.Addr().String()})
	}
	return nil
}

// listenAuth opens edges.auth_socket.
func (s *services) listenAuth(c *config.Config) error {
	path := c.Edges.AuthSocket
	if path == "" {
		return nil
	}
	l, err := listenSocket(path, c.Edges.AuthSocketGroup)
	if err != nil {
		return fmt.Errorf("edges.auth_socket: %w", err)
	}
	s.listeners = append(s.listeners, listener{authService, l})
	return nil
}

// listenSocket makes a socket that its owner, and a group, may open. One that a server left behind is replaced.
func listenSocket(path, group string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&os.ModeSocket == 0 {
			return nil, fmt.Errorf("%s is there and no socket", path)
		}
		if c, err := net.Dial("unix", path); err == nil {
			_ = c.Close()
			return nil, fmt.Errorf("%s: another server answers there", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err = os.Chmod(path, 0o600); err == nil && group != "" {
		err = giveTo(path, group)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func giveTo(path, group string) error {
	g, err := user.LookupGroup(group)
	if err != nil {
		return fmt.Errorf("group %q: %w", group, err)
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return err
	}
	if err := os.Chown(path, -1, gid); err != nil {
		return fmt.Errorf("%w (the server's user must be in the group: adduser postrider %s)", err, group)
	}
	return os.Chmod(path, 0o660)
}
