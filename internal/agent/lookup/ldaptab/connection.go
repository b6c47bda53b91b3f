package ldaptab

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"
)

type endpoint struct {
	network, address string
	tls              bool // from the first byte
	secure           *tls.Config
}

type login struct {
	dn, password string
	startTLS     bool
}

// connection is one, bound.
type connection struct {
	*ldap.Conn
	raw *bounded
}

func (l login) dial(ctx context.Context, at endpoint) (_ *connection, err error) {
	raw, err := (&net.Dialer{}).DialContext(ctx, at.network, at.address)
	if err != nil {
		return nil, err
	}
	limited := &bounded{Conn: raw}
	var c net.Conn = limited
	if at.tls {
		secure := tls.Client(c, at.secure)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, raw.Close())
		}
		c = secure
	}
	conn := &connection{ldap.NewConn(c, at.tls), limited}
	conn.Start()
	stop := conn.until(ctx)
	defer stop()
	defer func() {
		if err != nil {
			conn.close()
		}
	}()
	if l.startTLS && !at.tls && at.network == "tcp" {
		if err := conn.StartTLS(at.secure); err != nil {
			return nil, err
		}
	}
	if l.dn != "" {
		if err := conn.Bind(l.dn, l.password); err != nil {
			return nil, err
		}
	}
	return conn, nil
}

func (c *connection) close() {
	// The library says farewell first; a server that takes nothing any more must not keep anybody.
	_ = c.raw.SetDeadline(time.Unix(1, 0))
	_ = c.Close()
}

// until ends what is under way when the context does: the connection is lost then. What is read from now on is counted anew.
func (c *connection) until(ctx context.Context) (stop func()) {
	c.raw.read.Store(0)
	if deadline, ok := ctx.Deadline(); ok {
		c.SetTimeout(max(time.Until(deadline), time.Millisecond))
	}
	cancel := context.AfterFunc(ctx, c.close)
	return func() { cancel() }
}

// maxRead bounds what a directory says in answer to one question, bytes.
const maxRead = 16 << 20

// bounded is a connection that breaks when more is read than allowed.
type bounded struct {
	net.Conn
	read atomic.Int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	if b.read.Add(int64(n)) > maxRead {
		return 0, errors.New("the directory says more than 16 MiB")
	}
	return n, err
}
