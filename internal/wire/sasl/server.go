package sasl

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"strings"
	"unicode/utf8"
)

// The mechanisms, by their registered names.
const (
	Plain       = "PLAIN"
	Login       = "LOGIN"
	ScramSHA256 = "SCRAM-SHA-256"
)

// Limits of what a peer may send, in bytes.
const (
	MaxName     = 512  // authentication identity
	MaxPassword = 1024 // PLAIN and LOGIN
	maxNonce    = 512  // the client's, in SCRAM
)

// Identity is who has logged in.
type Identity struct {
	Account int64  // the directory's id
	Name    string // the login address, in its canonical form
	Master  string // who logged in for it, with a password of their own; empty: itself
}

// IsZero tells whether nobody has logged in.
func (i Identity) IsZero() bool { return i == Identity{} }

// Authenticator answers for the directory. An agent fills it.
type Authenticator interface {
	// Password checks a password sent in the clear (PLAIN, LOGIN). A wrong one, and an unknown name, must be
	// ErrCredentials and take the same time. Any other error means that it cannot be told now; it reaches the client through
	// status.Of. name and password are as the client sent them: valid UTF-8 without NUL, not empty, within MaxName and
	// MaxPassword.
	Password(ctx context.Context, name, password string) (Identity, error)
	// Keys returns the stored keys of name for SCRAM. For an unknown name, or one without keys, it returns ErrCredentials:
	// the exchange then goes on with invented keys and fails at its end. It also fails there for keys of nobody, the zero
	// Identity.
	Keys(ctx context.Context, name string) (Keys, Identity, error)
}

// Delegator may be implemented by an Authenticator some of whose users act for others.
type Delegator interface {
	// PasswordAs is Password for somebody who wants to act as user, the authorization identity of RFC 4616 §2, which is not
	// empty and not name. Whoever may not gets ErrAuthzid, after a right password; a user that does not exist is
	// ErrCredentials, after the same time.
	PasswordAs(ctx context.Context, user, name, password string) (Identity, error)
}

// Options of a Server; the zero value offers everything.
type Options struct {
	// Mechanisms offered, in the order shown to clients; nil means SCRAM-SHA-256, PLAIN, LOGIN.
	Mechanisms []string
	// Random is the source of nonces; nil means crypto/rand.
	Random io.Reader
	// Iterations of the keys invented for unknown users; should be the directory's own number; 0 means DefaultIterations.
	Iterations int
	// External answers for the name that a client's certificate has proven; nil: EXTERNAL is not offered. A name that may
	// not log in is ErrCredentials.
	External func(ctx context.Context, name string) (Identity, error)
	// Report hears how each exchange ended. ctx is the one given to Next, with its Origin. It must not block; nil: nobody.
	Report func(ctx context.Context, r Result)
}

// Result is how an exchange ended.
type Result struct {
	Mechanism string
	Name      string   // as the client sent it; empty if it did not get so far
	Identity  Identity // zero after a failure
	Err       error    // nil: logged in
}

// Server starts exchanges for one service. It is safe for concurrent use.
type Server struct {
	auth  Authenticator
	opt   Options
	decoy [32]byte // key from which salts of unknown users are derived, for the life of the Server
}

// NewServer makes a Server.
func NewServer(auth Authenticator, opt Options) *Server {
	if opt.Mechanisms == nil {
		opt.Mechanisms = []string{ScramSHA256, Plain, Login}
	}
	if opt.Random == nil {
		opt.Random = rand.Reader
	}
	if opt.Iterations == 0 {
		opt.Iterations = DefaultIterations
	}
	s := &Server{auth: auth, opt: opt}
	// A failing source shows itself again, as an error, in each SCRAM exchange.
	_, _ = io.ReadFull(opt.Random, s.decoy[:])
	return s
}

// Mechanisms returns the names to advertise to everyone, in order of preference; see Offered. The slice must not be changed.
func (s *Server) Mechanisms() []string { return s.opt.Mechanisms }

// Start begins an exchange; mech is compared without regard to case. An unknown one is ErrMechanism.
func (s *Server) Start(mech string) (*Exchange, error) {
	if s.opt.External != nil && strings.EqualFold(mech, External) {
		x := &Exchange{server: s, mech: External}
		x.next = x.external
		return x, nil
	}
	for _, m := range s.opt.Mechanisms {
		if !strings.EqualFold(m, mech) {
			continue
		}
		x := &Exchange{server: s, mech: m}
		switch m {
		case Plain:
			x.next = x.plain
		case Login:
			x.next = x.loginName
		case ScramSHA256:
			x.next = x.scramFirst
		default:
			return nil, ErrMechanism
		}
		return x, nil
	}
	return nil, ErrMechanism
}

// Exchange is one run of one mechanism.
type Exchange struct {
	server *Server
	mech   string
	next   func(ctx context.Context, response []byte) (challenge []byte, done bool, err error)
	name   string // authentication identity, once the client has sent it
	scram  scramState
	id     Identity
}

// Mechanism returns the registered name.
func (x *Exchange) Mechanism() string { return x.mech }

// Identity returns who logged in, once Next has said done without an error.
func (x *Exchange) Identity() Identity { return x.id }

// Next takes the client's response, nil where there is no initial response yet, and returns the challenge to send, or
// done: then nothing is sent but the protocol's own success. An error ends the exchange; after its end Next must not be
// called (it answers ErrMalformed).
func (x *Exchange) Next(ctx context.Context, response []byte) (challenge []byte, done bool, err error) {
	step := x.next
	if step == nil {
		return nil, false, ErrMalformed
	}
	if response == nil && x.mech != Login { // PLAIN, SCRAM and EXTERNAL begin with the client
		return []byte{}, false, nil
	}
	challenge, done, err = step(ctx, response)
	if err != nil || done {
		x.next = nil
	}
	if err != nil {
		x.id = Identity{}
	}
	if report := x.server.opt.Report; report != nil && x.next == nil {
		report(ctx, Result{Mechanism: x.mech, Name: x.name, Identity: x.id, Err: err})
	}
	return challenge, done, err
}

// plain: authzid NUL authcid NUL password, RFC 4616 §2.
func (x *Exchange) plain(ctx context.Context, response []byte) ([]byte, bool, error) {
	parts := bytes.Split(response, []byte{0})
	if len(parts) != 3 || !utf8.Valid(response) {
		return nil, false, ErrMalformed
	}
	authzid, name, password := string(parts[0]), string(parts[1]), string(parts[2])
	if authzid == "" || authzid == name {
		return x.password(ctx, name, password, x.server.auth.Password)
	}
	d, ok := x.server.auth.(Delegator)
	if !ok {
		return nil, false, ErrAuthzid
	}
	if len(authzid) > MaxName {
		return nil, false, ErrCredentials
	}
	return x.password(ctx, name, password, func(ctx context.Context, name, password string) (Identity, error) {
		return d.PasswordAs(ctx, authzid, name, password)
	})
}

// loginName asks for the name, or takes it from an initial response; the prompts are those that old clients wait for.
func (x *Exchange) loginName(_ context.Context, response []byte) ([]byte, bool, error) {
	if response == nil {
		return []byte("Username:"), false, nil
	}
	if len(response) > MaxName {
		return nil, false, ErrCredentials
	}
	x.name = string(response)
	x.next = x.loginPassword
	return []byte("Password:"), false, nil
}

func (x *Exchange) loginPassword(ctx context.Context, response []byte) ([]byte, bool, error) {
	return x.password(ctx, x.name, string(response), x.server.auth.Password)
}

// check is Authenticator.Password.
type check func(ctx context.Context, name, password string) (Identity, error)

func (x *Exchange) password(ctx context.Context, name, password string, check check) ([]byte, bool, error) {
	if len(name) > MaxName || len(password) > MaxPassword {
		return nil, false, ErrCredentials
	}
	x.name = name
	for _, s := range []string{name, password} {
		if strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
			return nil, false, ErrMalformed
		}
	}
	if name == "" || password == "" {
		// RFC 4616 §2 forbids the message; the person who typed nothing should read that the password is wrong, not of protocols.
		return nil, false, ErrCredentials
	}
	id, err := check(ctx, name, password)
	if err != nil {
		return nil, false, err
	}
	x.id = id
	return nil, true, nil
}
