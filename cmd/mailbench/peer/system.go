package peer

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
)

// Domain is the one that all systems are responsible for (RFC 2606 §2).
const Domain = "example.test"

// System is a whole mail system: from SMTP to a user's mailbox.
type System interface {
	Name() string                    // what a reader of the table calls it
	Missing() []string               // what must be installed first; nil when all is there
	Start(ctx context.Context) error // returns when it takes mail and logins
	Stop() error
	Roots() []int // the processes that were started; theirs are all others
	SMTP() string // host:port
	IMAP() Access // how a user reads
	POP3() Access
	Relay() Route
	Version() string
	Config() string // as it runs, its folder written as $DIR
}

// Access is how a user's mailbox is reached.
type Access struct {
	Addr     string
	TLS      *tls.Config // nil: in the clear
	Password func(user int) string
}

// RelayDomain is where relayed mail is for; all of it goes to Route.Sink.
const RelayDomain = "far.test"

// Route is a way through a system: what is sent to Addr for users of RelayDomain, in the clear and without a login, is
// sent on to Sink, in the clear.
type Route struct {
	Addr string
	Sink string // of 127.0.0.1; nobody listens there but the caller
}

// Users is how an address list for load.ExpandRecipients is written.
func Users() string { return "user%d@" + Domain }

// Address returns a user's address; users are numbered from 1.
func Address(user int) string { return fmt.Sprintf("user%d@%s", user, Domain) }

// freePort returns a TCP port of loopback that nobody uses just now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// hideDir replaces the folder of a system by a word that means the same on every machine.
func hideDir(text, dir string) string { return strings.ReplaceAll(text, dir, "$DIR") }
