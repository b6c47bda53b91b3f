package aliases

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/status"
)

// MaxFile bounds the text of a :include: or .forward file, bytes.
const MaxFile = 1 << 20

// ErrUnusable is a file that is there and cannot be used: it belongs to somebody else, everybody may write to it, it is too
// large. It is wrapped with the reason and the mend.
var ErrUnusable = errors.New("cannot be used")

// Files reads what aliases(5) and .forward lead to. An error other than ErrUnusable is temporary.
type Files interface {
	// User returns the system user whose account has an address; "" when it is none's.
	User(ctx context.Context, a address.Address) (user string, err error)
	// Expect is told whose .forward is asked for next, where they are many, so that one question can be asked for all. It
	// answers nothing and may do nothing.
	Expect(ctx context.Context, users []address.Address)
	// Forward returns the .forward of a system user; found is false when there is none. It says in a log which file cannot
	// be used, and why; that one is as if it were not there, as in local(8).
	Forward(ctx context.Context, user, extension string) (text string, found bool, err error)
	// Include returns a file that l (its Text is ":include:/path") names.
	Include(ctx context.Context, l Local) (text string, err error)
}

// forwardMark begins the entry of a .forward in a path; a colon is in no name.
const forwardMark = ".forward:"

// includeMark begins that of a :include: file.
const includeMark = ":include:"

// include expands a :include: file.
func (x *expansion) include(name string, f frame) error {
	bad := status.Perm(550, 2, 4, "").With("", fmt.Errorf(":include:%.200s", name))
	switch {
	case !path.IsAbs(name) || path.Clean(name) != name || controls(name):
		return x.fail(bad, f, "a list in the expansion of %s has no plain absolute path", f.name.Local)
	case f.included && f.source.Source == FromForward:
		return x.fail(bad, f, "a list in the expansion of %s stands in a file that a .forward includes; name it in the .forward", f.name.Local)
	}
	mark := includeMark + name
	if x.done[mark] {
		return nil // being expanded, or expanded: its members are there
	}
	if x.files++; x.files > maxFiles || len(f.path) > maxDepth {
		return x.fail(bad, f, "the expansion of %s has more than %d files", f.name.Local, maxFiles)
	}
	x.done[mark] = true
	if x.Files == nil {
		return x.fail(bad, f, "a list in the expansion of %s cannot be read here", f.name.Local)
	}
	l := f.source
	l.Text = mark
	text, err := x.Files.Include(x.ctx, l)
	if errors.Is(err, ErrUnusable) {
		// The reason is for the operator's log; the sender learns the list's name.
		return x.fail(status.Perm(550, 3, 5, ""), f, "the list %s cannot be expanded", f.name.Local)
	}
	if err != nil {
		return later(mark, err)
	}
	f = f.inside(mark)
	f.included = true
	return x.text(text, f)
}

// user expands the .forward of the user of an address; without one it is his mailbox.
func (x *expansion) user(a address.Address, f frame) error {
	mailbox := Target{Kind: Mailbox, Address: a}
	if !x.Forward || x.Files == nil {
		return x.add(mailbox, f)
	}
	user, err := x.Files.User(x.ctx, a)
	if err != nil {
		return later("the user of "+a.String(), err)
	}
	base, extension, split := address.SplitDelimiter(a.Local, x.Delimiter)
	if split && x.OwnerRequestSpecial && hasOwnerForm(a.Local) && a.Local[len(base)] == '-' {
		extension = ""
	}
	// An extension is a part of a file's name: one that could lead elsewhere is none, as in local(8).
	if strings.ContainsAny(extension, "/\x00\t\n") {
		extension = ""
	}
	mark := forwardMark + user + "+" + extension
	// A user who is among those he forwards to gets his copy into his mailbox; one who is named again does not.
	if user == "" || slices.Contains(f.path, mark) {
		return x.add(mailbox, f)
	}
	if x.done[mark] {
		return nil
	}
	text, found, err := x.Files.Forward(x.ctx, user, extension)
	if err != nil {
		return later(mark, err)
	}
	if !found {
		return x.add(mailbox, f)
	}
	if x.files++; x.files > maxFiles {
		return x.fail(errTooMany, f, "more than %d files", maxFiles)
	}
	x.done[mark] = true
	f = f.inside(mark)
	f.self = a
	f.source, f.included = Local{Source: FromForward, User: user, Extension: extension}, false
	before := len(x.targets)
	if err := x.text(text, f); err != nil {
		return err
	}
	if len(x.targets) == before && !x.someLed(text) {
		return x.add(mailbox, f) // an empty file, or one of comments only: as if it were not there
	}
	return nil
}

// expect tells Files of the users among a list's destinations.
func (x *expansion) expect(list []table.Destination) error {
	if !x.Forward || x.Files == nil || len(list) < 2 {
		return nil
	}
	var users []address.Address
	for _, d := range list[:min(len(list), MaxTargets)] {
		if d.Kind != table.AliasAddress {
			continue
		}
		a, _, err := parseAddress(d.Text, x.Origin)
		if err != nil {
			continue
		}
		local, err := x.IsLocal(x.ctx, a.Domain)
		if err != nil {
			return err
		}
		if _, _, split := address.SplitDelimiter(a.Local, x.Delimiter); local && !split {
			a.Domain = x.domain
			users = append(users, a)
		}
	}
	if len(users) > 1 {
		x.Files.Expect(x.ctx, users)
	}
	return nil
}

// someLed tells whether a text has any destination.
func (x *expansion) someLed(text string) bool {
	list, _ := table.IncludedLines(text)
	return len(list) > 0
}

// text expands the destinations of a file. Lines that cannot be used are passed over, but not in silence.
func (x *expansion) text(text string, f frame) error {
	if len(text) > MaxFile {
		return x.fail(errTooMany, f, "a file of %d bytes, and %d are allowed", len(text), MaxFile)
	}
	list, bad := table.IncludedLines(text)
	for i, p := range bad {
		if i == 3 {
			break
		}
		e := errTooMany.With(f.path[len(f.path)-1], errors.New(p.String()))
		if err := x.fail(e, f, "line %d of a file in the expansion of %s cannot be used", p.Line, f.name.Local); err != nil {
			return err
		}
	}
	return x.destinations(list, f)
}

// later is a temporary failure of the whole.
func later(what string, err error) error {
	if status.IsPermanent(err) {
		return err
	}
	return status.Temp(451, 3, 0, "Local configuration cannot be read now").With(what, err)
}
