package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/agent/lda"
	"github.com/postrider/postrider/internal/agent/lookup"
	"github.com/postrider/postrider/internal/config"
	aliasing "github.com/postrider/postrider/internal/decide/aliases"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/privhelper"
	"github.com/postrider/postrider/internal/state/directory"
	"github.com/postrider/postrider/internal/state/queue"
	"golang.org/x/sys/unix"
)

// localNames says what names of this host stand for: aliases(5) and .forward, by the configuration it was made of.
type localNames struct {
	*aliasing.Expander
	directory route.Directory
	luser     bool // names that do not exist go to luser_relay
}

var _ route.Expander = localNames{}

// newLocalNames is nil where neither is configured.
func (n *Node) newLocalNames(c *config.Config, router *route.Router) (route.Expander, error) {
	s := &c.Routing
	if len(s.AliasMaps) == 0 && len(s.ForwardPath) == 0 {
		return nil, nil
	}
	maps, err := aliasMaps(n.tables, s.AliasMaps)
	if err != nil {
		return nil, fmt.Errorf("routing.alias_maps: %w", err)
	}
	return localNames{directory: router.Directory, luser: s.LuserRelay != "", Expander: &aliasing.Expander{Maps: maps, Origin: router.Rules.MyOrigin, Delimiter: c.Delivery.RecipientDelimiter,
		IsLocal: func(ctx context.Context, domain string) (bool, error) {
			class, err := router.Class(ctx, address.Address{Local: "postmaster", Domain: domain})
			return class == route.LocalDomain, err
		},
		Files: localFiles{n, c, &forwards{now: n.opt.Now}}, Forward: len(s.ForwardPath) > 0, Commands: s.AllowMailToCommands, Write: s.AllowMailToFiles,
		ExpandOwner: s.ExpandOwnerAlias, OwnerRequestSpecial: s.OwnerRequestSpecial}}, nil
}

// aliasMaps opens the tables. Those that are text files may name commands and files, since the helper can read them too.
func aliasMaps(tables *lookup.Opener, items []string) (maps []aliasing.Map, err error) {
	for _, item := range items {
		names, err := table.Split(item)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			list, err := tables.Aliases(name)
			if err != nil {
				return nil, err
			}
			kind, _, _ := strings.Cut(strings.TrimPrefix(name, "proxy:"), ":")
			for _, t := range list {
				m := aliasing.Map{Table: t}
				if file, ok := t.(*lookup.File); ok && kind != "regexp" && kind != "pcre" && kind != "cidr" {
					m.Path = file.Path()
				}
				maps = append(maps, m)
			}
		}
	}
	return maps, nil
}

// Expand implements route.Expander. It expands to the end; what it calls Self has no alias and no .forward any more.
func (l localNames) Expand(ctx context.Context, name route.Local) ([]route.Member, bool, error) {
	if name.Final {
		return nil, false, nil
	}
	targets, known, err := l.Expander.Expand(ctx, name.Address)
	if err != nil || !known {
		return nil, known, err
	}
	members := make([]route.Member, 0, len(targets))
	for _, t := range targets {
		m := route.Member{Address: t.Address, Sender: t.Owner}
		if name.From.IsZero() {
			m.Sender = nil // what a notification causes must not be answered, RFC 5321 §4.5.5
		}
		switch t.Kind {
		case aliasing.Mailbox:
			m.Self = true
			if len(targets) > 1 {
				if err := l.stranger(ctx, &m); err != nil {
					return nil, false, err
				}
			}
		case aliasing.Command:
			m.Transport, m.NextHop = flow.Pipe, t.Local.String()
		case aliasing.File:
			m.Transport, m.NextHop = flow.File, t.Local.String()
		case aliasing.Discard:
			m.Transport, m.NextHop = flow.Drop, "/dev/null"
		case aliasing.Failed:
			m.Transport, m.NextHop = flow.Error, t.Err.Enhanced.String()+" "+t.Err.Public
		}
		members = append(members, m)
	}
	return members, true, nil
}

// stranger makes a member that is no user here one that the sender hears of, or luser_relay's. (An alias that stands for
// nobody else is refused.)
func (l localNames) stranger(ctx context.Context, m *route.Member) error {
	_, ours, err := l.directory.Lookup(ctx, m.Address)
	switch {
	case err != nil && !status.IsPermanent(err):
		return err
	case err == nil && ours:
	case l.luser:
		m.Self = false
	default:
		m.Transport, m.NextHop = flow.Error, fmt.Sprintf("5.1.1 unknown user: %q", m.Address.Local)
	}
	return nil
}

// localFiles reads what aliases and .forward lead to, by the helper.
type localFiles struct {
	node     *Node
	config   *config.Config
	forwards *forwards
}

// forwards remembers for a moment what was read, so that a session that names a user many times costs one process, and the
// judgement of a recipient and its routing read the same.
type forwards struct {
	now  func() time.Time
	mu   sync.Mutex
	read map[[2]string]forward
}

type forward struct {
	text  string
	found bool
	until time.Time
}

const (
	forwardLife = 10 * time.Second
	maxForwards = aliasing.MaxTargets
)

func (f *forwards) get(key [2]string) (forward, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	one, ok := f.read[key]
	return one, ok && f.now().Before(one.until)
}

func (f *forwards) put(key [2]string, one forward) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.read == nil || len(f.read) >= maxForwards {
		f.read = map[[2]string]forward{}
	}
	one.until = f.now().Add(forwardLife)
	f.read[key] = one
}

// User implements aliases.Files: the user of the account that an address is of.
func (f localFiles) User(ctx context.Context, a address.Address) (string, error) {
	r, err := f.node.directory.Resolve(ctx, a)
	if status.IsPermanent(err) {
		return "", nil
	}
	if err != nil || r.Match != directory.MatchAccount || len(r.Targets) != 1 {
		return "", err
	}
	user, err := f.node.directory.SystemUser(ctx, r.Targets[0].Address)
	if errors.Is(err, directory.ErrNotFound) {
		return "", nil
	}
	return user, err
}

// Expect implements aliases.Files: a request costs a process, and most users have no .forward. What fails here fails again
// where it matters.
func (f localFiles) Expect(ctx context.Context, list []address.Address) {
	var users []string
	for _, a := range list {
		user, err := f.User(ctx, a)
		if err != nil {
			return
		}
		if _, known := f.forwards.get([2]string{user, ""}); user != "" && !known {
			users = append(users, user)
		}
	}
	for len(users) > 1 {
		have, asked, err := helperOf(f.config).Have(ctx, users)
		if err != nil || asked == 0 {
			return
		}
		for _, user := range users[:asked] {
			if !slices.Contains(have, user) {
				f.forwards.put([2]string{user, ""}, forward{})
			}
		}
		users = users[asked:]
	}
}

// Forward implements aliases.Files.
func (f localFiles) Forward(ctx context.Context, user, extension string) (string, bool, error) {
	key := [2]string{user, extension}
	if one, ok := f.forwards.get(key); ok {
		return one.text, one.found, nil
	}
	text, found, notes, err := helperOf(f.config).Forward(ctx, user, extension)
	if err == nil {
		f.forwards.put(key, forward{text: text, found: found})
	}
	for line := range strings.Lines(notes) {
		f.node.log.Warn("a .forward cannot be used", "user", user, "reason", strings.TrimSuffix(line, "\n"))
	}
	return text, found, err
}

// Include implements aliases.Files. A file that is missing may be back soon (an editor's, a job's that writes it anew), so that
// is temporary, as in Postfix. What everybody may read this process reads, where it can; all else is for the helper, who
// reads as the user concerned.
func (f localFiles) Include(ctx context.Context, l aliasing.Local) (string, error) {
	path := strings.TrimPrefix(l.Text, ":include:")
	if l.Source == aliasing.FromAlias {
		text, err := readPublic(path)
		if err == nil || errors.Is(err, aliasing.ErrUnusable) || errors.Is(err, fs.ErrNotExist) && !f.config.Helper.Enabled {
			return text, f.unusable(path, err)
		}
	}
	if !f.config.Helper.Enabled {
		return "", f.unusable(path, fmt.Errorf("%w: the server may not read it (its mode, or limits.sandbox), and helper.enabled is false", aliasing.ErrUnusable))
	}
	if l.Source == aliasing.FromAlias && l.Path == "" {
		return "", f.unusable(path, fmt.Errorf("%w: it cannot be read by everybody, and only text files may name such", aliasing.ErrUnusable))
	}
	text, err := helperOf(f.config).Include(ctx, sourceOf(l))
	if errors.Is(err, privhelper.ErrRefused) {
		err = fmt.Errorf("%w: %w", aliasing.ErrUnusable, err)
	}
	return text, f.unusable(path, err)
}

func (f localFiles) unusable(path string, err error) error {
	if err != nil {
		f.node.log.Warn("an :include: file cannot be used", "path", path, "err", err)
	}
	return err
}

// readPublic reads a file that everybody may read, and not everybody may write to.
func readPublic(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s %w: it is not a regular file", path, aliasing.ErrUnusable)
	case info.Mode()&0o002 != 0:
		return "", fmt.Errorf("%s %w: everybody may write to it: chmod o-w %[1]s", path, aliasing.ErrUnusable)
	case info.Size() > aliasing.MaxFile:
		return "", fmt.Errorf("%s %w: it is larger than %d bytes", path, aliasing.ErrUnusable, aliasing.MaxFile)
	case info.Mode()&0o004 == 0:
		return "", os.ErrPermission
	}
	text, err := io.ReadAll(io.LimitReader(f, aliasing.MaxFile+1))
	return string(text), err
}

func sourceOf(l aliasing.Local) privhelper.Source {
	return privhelper.Source{Kind: l.Source, Path: l.Path, User: l.User, Extension: l.Extension, Text: l.Text}
}

// deliverer is the helper as the delivery agent asks it.
type deliverer struct{ node *Node }

// Deliver implements lda.Helper.
func (d deliverer) Deliver(ctx context.Context, one lda.Delivery) error {
	c := d.node.config.Load()
	if !c.Helper.Enabled {
		return errors.New("helper.enabled is false")
	}
	return undelivered(helperOf(c).Deliver(ctx, sourceOf(one.Local), privhelper.Envelope{Sender: one.Sender.String(), Recipient: one.Recipient.String(),
		Original: one.OriginalRecipient.String()}, one.Message, one.Size))
}

// undelivered puts the helper's words for the sender into an error for him.
func undelivered(err error) error {
	var no *privhelper.Undelivered
	if !errors.As(err, &no) {
		return err
	}
	code, _, ok := status.ParseEnhanced(no.Status)
	if !ok || code.Class == status.Success {
		return err
	}
	if code.Class == status.Permanent {
		return status.Perm(550, code.Subject, code.Detail, printable(no.Text))
	}
	return status.Temp(450, code.Subject, code.Detail, printable(no.Text))
}

// printable is what a command has said, as a sender may read it.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// lineOf is the route key of a delivery: a user has one, whatever extensions a sender thinks of; each command and file of
// aliases(5) has one.
func lineOf(l aliasing.Local) string {
	if l.Source == aliasing.FromForward || l.Source == aliasing.FromMailbox {
		return l.User
	}
	return l.Text
}

// localWorkers is how many commands and files are delivered to at once.
const localWorkers = 10

// localLane serves commands and files.
func (n *Node) localLane(c *config.Config) (queue.Lane, error) {
	dir := filepath.Join(c.DataDir, "lda")
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil { // of what was being delivered at a crash
		return queue.Lane{}, err
	}
	return queue.Lane{Workers: localWorkers, Batch: 1, Agent: &lda.Agent{Source: n.blobs, Helper: deliverer{n}, Dir: dir, Now: n.opt.Now, Log: n.log.Logger}}, nil
}
