package imap

import (
	"context"
	"strings"
)

// state is a state of a connection, RFC 9051 §3; states is a set of them.
type state uint8

const (
	notAuthenticated state = 1 << iota
	authenticated
	selected
	loggedOut

	anyState = notAuthenticated | authenticated | selected
	loggedIn = authenticated | selected
)

// extension is a set of additions to the protocol. Each lives in a small file of its own; extensions lists them. What an
// extension adds to a table must not be there already.
type extension struct {
	// capabilities returns what it advertises in the connection's present state.
	capabilities func(c *conn) []string
	commands     map[string]command
	uid          map[string]command      // second words of UID
	enable       map[string]enableOption // by name in upper case
	fetch        map[string]fetchItem
	status       map[string]statusItem
	search       map[string]searchKey
}

// command is one verb.
type command struct {
	name   string // set by newTables: "UID FETCH"
	states state
	// parse reads the arguments, from the space behind the verb to the end. A syntax error sticks in p.
	parse func(p *parser) runner
	// silent: it speaks in message sequence numbers, so EXPUNGE must not be sent at its end (RFC 9051 §7.5.1).
	silent bool
	// stream: its last argument is a message literal that run reads itself.
	stream bool
}

// runner is a parsed command.
type runner interface {
	// run does it and writes the untagged responses. An error becomes the tagged reply.
	run(ctx context.Context, c *conn) (done, error)
}

// done is a positive tagged reply. All fields may be empty.
type done struct {
	code string               // without brackets
	late func(c *conn) string // code, where it is known only when all news has been told
	text string
	then func(ctx context.Context) error // to do once the reply has left
}

// enableOption is what ENABLE turns on.
type enableOption struct {
	name string
	on   func(c *conn)
}

// tables is everything that dispatches by name.
type tables struct {
	all      []extension
	commands map[string]command
	uid      map[string]command
	enable   map[string]enableOption
	fetch    map[string]fetchItem
	status   map[string]statusItem
	search   map[string]searchKey
}

// extensions lists what this server speaks.
func extensions() []extension {
	return []extension{
		baseExtension(), startTLSExtension(), loginExtension(), mailboxExtension(), listExtension(), statusExtension(),
		appendExtension(), replaceExtension(), selectExtension(), condstoreExtension(), fetchExtension(), binaryExtension(), storeExtension(),
		searchExtension(), withinExtension(), saveDateExtension(), previewExtension(), objectIDExtension(), copyExtension(), expungeExtension(),
		idleExtension(), idExtension(), enableExtension(), namespaceExtension(), quotaExtension(), partialExtension(), literalExtension(),
	}
}

func newTables(all []extension) *tables {
	t := &tables{all: all, commands: map[string]command{}, uid: map[string]command{}, enable: map[string]enableOption{},
		fetch: map[string]fetchItem{}, status: map[string]statusItem{}, search: map[string]searchKey{}}
	for _, x := range all {
		mergeNamed(t.commands, "", x.commands)
		mergeNamed(t.uid, "UID ", x.uid)
		merge(t.enable, x.enable)
		merge(t.fetch, x.fetch)
		merge(t.status, x.status)
		merge(t.search, x.search)
	}
	return t
}

// mergeNamed is merge for commands, which learn their names.
func mergeNamed(into map[string]command, prefix string, from map[string]command) {
	for k, v := range from {
		v.name = prefix + k
		into[k] = v
	}
}

func merge[V any](into, from map[string]V) {
	for k, v := range from {
		into[k] = v
	}
}

// capabilities is the capability list in the connection's present state.
func (c *conn) capabilities() string {
	var out []string
	for _, x := range c.srv.tables.all {
		if x.capabilities != nil {
			out = append(out, x.capabilities(c)...)
		}
	}
	return strings.Join(out, " ")
}

// always advertises names in every state.
func always(names ...string) func(*conn) []string {
	return func(*conn) []string { return names }
}

// afterLogin advertises names once the client has logged in.
func afterLogin(names ...string) func(*conn) []string {
	return func(c *conn) []string {
		if c.state&loggedIn == 0 {
			return nil
		}
		return names
	}
}
