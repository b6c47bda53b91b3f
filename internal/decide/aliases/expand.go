package aliases

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/status"
)

// Bounds of one expansion.
const (
	MaxTargets = 10_000 // targets
	maxSteps   = 50_000 // destinations looked at
	maxDepth   = 100    // aliases and files that lead to one another, as in local(8)
	maxFiles   = 1000   // :include: and .forward files expanded
)

// Map is one table of alias_maps.
type Map struct {
	table.Table
	Path string // of its text file, which may name commands and files; "" for other tables
}

// Expander expands. Its fields stay as they are while it is used.
type Expander struct {
	Maps      []Map
	Origin    string // the domain of names that have none
	Delimiter string // characters that begin an address extension
	// IsLocal tells a domain whose names aliases(5) is about.
	IsLocal func(ctx context.Context, domain string) (bool, error)
	Files   Files // nil: no file can be read
	// Forward tells whether .forward files are read.
	Forward bool
	// Commands and Write say where commands and files may stand: FromAlias, FromForward.
	Commands, Write []string
	// ExpandOwner makes the owner the address that owner-NAME stands for; else owner-NAME itself is the sender.
	ExpandOwner bool
	// OwnerRequestSpecial keeps owner-NAME and NAME-request whole, where "-" is a delimiter.
	OwnerRequestSpecial bool
}

// errors that are not a status.Error's own text.
var (
	errTooMany = status.Perm(550, 2, 4, "Mailing list expansion problem")
	errLoop    = status.Perm(550, 4, 6, "Mail alias loop")
)

// Expand returns what a local address stands for; known is false when neither an alias nor a .forward has it: then it is the
// user of that name, whom the caller knows or not. With one target or more that is not Failed there is no error. An error is
// permanent when nothing but Failed targets is left, and temporary when something could not be asked.
func (e *Expander) Expand(ctx context.Context, a address.Address) (targets []Target, known bool, err error) {
	x := &expansion{Expander: e, ctx: ctx, domain: a.Domain, seen: map[seen]bool{}, done: map[string]bool{}}
	if err := x.local(a, frame{}); err != nil {
		return nil, false, err
	}
	switch {
	case len(x.done) == 0:
		return nil, false, nil
	case len(x.targets) == 0:
		return nil, true, errTooMany.With("", errors.New("there is no destination"))
	}
	if i := slices.IndexFunc(x.targets, func(t Target) bool { return t.Kind != Failed }); i < 0 {
		return nil, true, x.targets[0].Err
	}
	return x.targets, true, nil
}

// frame is where in the expansion a destination stands.
type frame struct {
	path     []string // the aliases and files that led here, the last one first to be named in a loop
	name     address.Address
	self     address.Address // in a .forward: its user
	source   Local           // who may name commands and files: the alias file, or the .forward
	included bool            // in a :include: file
	owner    *address.Address
}

func (f frame) inside(name string) frame {
	f.path = append(f.path[:len(f.path):len(f.path)], name)
	return f
}

type seen struct {
	kind Kind
	key  string
}

type expansion struct {
	*Expander
	ctx     context.Context
	domain  string // of the recipient: the host's own
	targets []Target
	seen    map[seen]bool
	done    map[string]bool // aliases, .forward and :include: files that were expanded, or are being
	steps   int
	files   int
}

// add takes a target unless it is there already: the first stands.
func (x *expansion) add(t Target, f frame) error {
	t.Owner = f.owner
	k := seen{t.Kind, t.Address.Key()}
	switch t.Kind {
	case Command, File:
		k.key = t.Local.String()
	case Failed:
		k.key = t.Err.Public
	}
	if x.seen[k] {
		return nil
	}
	if len(x.targets) >= MaxTargets {
		return errTooMany.With("", fmt.Errorf("more than %d targets", MaxTargets))
	}
	x.seen[k] = true
	x.targets = append(x.targets, t)
	return nil
}

// fail notes a target that cannot be delivered. The text is for strangers: names, but no commands, paths or contents of files.
func (x *expansion) fail(e *status.Error, f frame, format string, args ...any) error {
	public := *e
	public.Public = plain(fmt.Sprintf(format, args...))
	return x.add(Target{Kind: Failed, Address: f.name, Err: &public}, f)
}

// local expands a name of this host: the alias, else the .forward, else the user.
func (x *expansion) local(a address.Address, f frame) error {
	if len(f.path) > maxDepth {
		return x.fail(errLoop, f, "more than %d aliases lead to one another: %s", maxDepth, arrows(f.path))
	}
	f.name = a
	for _, key := range x.keys(a.Local) {
		m, value, found, err := x.lookup(key.Text)
		if err != nil {
			return err
		}
		if found {
			return x.alias(a, key.Text, strings.TrimLeft(key.Ext, x.Delimiter), m, value, f)
		}
	}
	// RFC 5321 §4.5.1 wants a postmaster; MAILER-DAEMON is who our notifications seem to come from.
	if strings.EqualFold(a.Local, "MAILER-DAEMON") {
		x.done[address.FoldLocal(a.Local)] = true
		a.Local = "postmaster"
		return x.local(a, f)
	}
	return x.user(a, f)
}

// alias expands one entry of aliases(5).
func (x *expansion) alias(a address.Address, name, extension string, m Map, value string, f frame) error {
	name = address.FoldLocal(name)
	if n := len(f.path); n > 0 && f.path[n-1] == name {
		return x.user(a, f) // an alias that has its own name among its destinations means the user of that name, local(8)
	}
	if slices.Contains(f.path, name) {
		if slices.ContainsFunc(f.path, func(s string) bool { return strings.HasPrefix(s, forwardMark) }) {
			return x.add(Target{Kind: Mailbox, Address: f.self}, f) // a user who names an alias of his own in his .forward means himself
		}
		i := slices.Index(f.path, name)
		return x.fail(errLoop, f, "alias database loop: %s", arrows(append(f.path[i:len(f.path):len(f.path)], name)))
	}
	if x.done[name] {
		return nil
	}
	x.done[name] = true
	f = f.inside(name)
	f.source, f.included = Local{Source: FromAlias, Path: m.Path, Extension: extension}, false
	if err := x.setOwner(name, a.Domain, &f); err != nil {
		return err
	}
	list, problem := table.Destinations(value)
	if problem != "" {
		return x.fail(errTooMany.With("", errors.New(problem)), f, "the alias %s cannot be used", name)
	}
	return x.destinations(list, f)
}

// setOwner makes owner-NAME the sender of an alias's copies, if there is one. Of owner-NAME and NAME-request themselves there
// is none: what goes wrong with their copies must not come back to them.
func (x *expansion) setOwner(name, domain string, f *frame) error {
	if hasOwnerForm(name) {
		return nil
	}
	_, value, found, err := x.lookup("owner-" + name)
	if err != nil || !found {
		return err
	}
	owner := address.Address{Local: "owner-" + name, Domain: domain}
	if list, problem := table.Destinations(value); x.ExpandOwner && problem == "" && len(list) == 1 && list[0].Kind == table.AliasAddress {
		if a, _, err := parseAddress(list[0].Text, x.Origin); err == nil {
			owner = a
		}
	}
	f.owner = &owner
	return nil
}

func hasOwnerForm(name string) bool {
	return len(name) > 6 && strings.EqualFold(name[:6], "owner-") || len(name) > 8 && strings.EqualFold(name[len(name)-8:], "-request")
}

// destinations expands the right side of an alias, or what a file has.
func (x *expansion) destinations(list []table.Destination, f frame) error {
	if err := x.expect(list); err != nil {
		return err
	}
	for _, d := range list {
		if x.steps++; x.steps > maxSteps {
			return errTooMany.With("", fmt.Errorf("more than %d destinations", maxSteps))
		}
		if err := x.ctx.Err(); err != nil {
			return err
		}
		if err := x.destination(d, f); err != nil {
			return err
		}
	}
	return nil
}

func (x *expansion) destination(d table.Destination, f frame) error {
	switch d.Kind {
	case table.AliasInclude:
		return x.include(d.Text, f)
	case table.AliasCommand:
		return x.special(Command, "|"+d.Text, f)
	case table.AliasFile:
		if d.Text == "/dev/null" {
			return x.add(Target{Kind: Discard, Address: f.name}, f)
		}
		return x.special(File, d.Text, f)
	}
	a, plain, err := parseAddress(d.Text, x.Origin)
	if err != nil {
		return x.fail(status.Perm(550, 1, 3, "").With("", fmt.Errorf("%.100q: %w", d.Text, err)), f, "bad address in the expansion of %s", f.name.Local)
	}
	switch local, err := x.IsLocal(x.ctx, a.Domain); {
	case err != nil:
		return err
	case !local:
		return x.add(Target{Kind: Address, Address: a}, f)
	}
	a.Domain = x.domain // one user, whichever of the host's domains names him
	if plain {          // no alias any more; the .forward counts, as in local(8)
		return x.user(a, f)
	}
	return x.local(a, f)
}

// special takes a command or file, if it may stand where it does. The setting is Postfix's; there, too, :include: files may
// name none by default, and here never, since the helper could not see who wrote that.
func (x *expansion) special(kind Kind, text string, f frame) error {
	what, allowed, why := "command", x.Commands, "allow_mail_to_commands"
	if kind == File {
		what, allowed, why = "file", x.Write, "allow_mail_to_files"
	}
	switch {
	case f.included:
		why = "it stands in an :include: file"
	case !slices.Contains(allowed, f.source.Source):
	case f.source.Source == FromAlias && f.source.Path == "":
		why = "only text files may name it"
	case controls(text):
		why = "it has control characters"
	default:
		local := f.source
		local.Text = text
		return x.add(Target{Kind: kind, Address: f.name, Local: local}, f)
	}
	e := status.Perm(550, 7, 1, "").With("", fmt.Errorf("%.200q", text))
	return x.fail(e, f, "mail to %s is restricted in the expansion of %s (%s)", what, f.name.Local, why)
}

// keys are those that the alias of a local part is looked up by.
func (x *expansion) keys(local string) []table.Key {
	keys := []table.Key{{Text: local}}
	base, _, ok := address.SplitDelimiter(local, x.Delimiter)
	if ok && !(x.OwnerRequestSpecial && hasOwnerForm(local) && local[len(base)] == '-') {
		keys = append(keys, table.Key{Text: base, Partial: true, Ext: local[len(base):]})
	}
	return keys
}

func (x *expansion) lookup(name string) (m Map, value string, found bool, err error) {
	for _, m := range x.Maps {
		if value, found, err = m.Lookup(x.ctx, name); err != nil {
			return m, "", false, status.Temp(451, 3, 0, "Alias table lookup error").With("alias_maps", err)
		}
		if found {
			return m, value, true, nil
		}
	}
	return Map{}, "", false, nil
}

func arrows(path []string) string {
	path = slices.Clone(path)
	for i, name := range path {
		if strings.HasPrefix(name, includeMark) {
			path[i] = includeMark
		}
	}
	if n := len(path); n > 12 {
		path = append(append(path[:6:6], "..."), path[n-5:]...)
	}
	return strings.Join(path, " -> ")
}

// plain makes a text fit for a reply: of ASCII, and short enough for a line, RFC 5321 §4.5.3.1.5.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), maxReply)]
}

const maxReply = 400
