package aliases

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/status"
)

// disk is Files of a test: .forward files by "user" or "user+extension", others by path. Every user of it is a system user.
type disk struct {
	forward, include map[string]string
	users            []string
	fail             error
	reads            int
	expected         []string
}

func (d *disk) User(_ context.Context, a address.Address) (string, error) {
	base, _, _ := strings.Cut(a.Local, "+")
	if slices.Contains(d.users, base) {
		return base, nil
	}
	return "", nil
}

func (d *disk) Forward(_ context.Context, user, extension string) (string, bool, error) {
	d.reads++
	if text, ok := d.forward[user+"+"+extension]; ok {
		return text, true, d.fail
	}
	text, ok := d.forward[user]
	return text, ok, d.fail
}

func (d *disk) Expect(_ context.Context, users []address.Address) {
	for _, a := range users {
		d.expected = append(d.expected, a.Local)
	}
}

func (d *disk) Include(_ context.Context, l Local) (string, error) {
	d.reads++
	if d.fail != nil {
		return "", d.fail
	}
	text, ok := d.include[strings.TrimPrefix(l.Text, ":include:")]
	if !ok {
		return "", fmt.Errorf("%s: everybody may write to it: %w", l.Text, ErrUnusable)
	}
	return text, nil
}

func expander(t testing.TB, aliases string, d *disk) *Expander {
	t.Helper()
	fixed, _, err := table.Aliases(aliases)
	if err != nil {
		t.Fatal(err)
	}
	both := []string{FromAlias, FromForward}
	return &Expander{Maps: []Map{{fixed, "/etc/aliases"}}, Origin: "host.test", Delimiter: "+", IsLocal: func(_ context.Context, d string) (bool, error) { return d == "host.test" || d == "mx.host.test", nil },
		Files: d, Forward: true, Commands: both, Write: both, OwnerRequestSpecial: true}
}

// show writes targets as a test states them.
func show(targets []Target) string {
	var out []string
	for _, t := range targets {
		var s string
		switch t.Kind {
		case Mailbox:
			s = "box " + t.Address.Local
		case Address:
			s = t.Address.String()
		case Command, File:
			s = t.Local.Source + " " + t.Local.User + t.Local.Path + " " + t.Local.Text
		case Discard:
			s = "discard"
		case Failed:
			s = t.Err.Enhanced.String() + " " + t.Err.Public
		}
		if t.Owner != nil {
			s += " from " + t.Owner.String()
		}
		out = append(out, s)
	}
	return strings.Join(out, "; ")
}

func TestExpand(t *testing.T) {
	d := &disk{users: []string{"al", "bo", "cy", "di", "root"},
		include: map[string]string{
			"/lists/a":    "# members\nal, bo\nx@far.test\n  (Mr) , y@far.test\n",
			"/lists/self": "al\n:include:/lists/self\n",
			"/lists/cmd":  "|/bin/evil\n/tmp/evil\nal\n",
			"/lists/odd":  "al\n\"unbalanced\nbo\n",
		},
		forward: map[string]string{
			"bo": "\\bo, copy@far.test\n", "bo+lists": "|/bin/sort -u\n", "cy": "cy, al.pha, \"|exec /bin/x \\\"$USER\\\"\"", "di": "# nothing\n"},
	}
	e := expander(t, `
root: al
Postmaster: root
team: al, bo, AL, team2
team2: bo, x@far.test, cy@HOST.test
all: :include:/lists/a, z@far.test
owner-all: al
owner-team: owner-all
self: self, al
domains: al@mx.host.test, bo@MX.host.test, al
loop1: loop2, al
loop2: loop1
onlyloop: onlyloop2
onlyloop2: onlyloop
selfinclude: :include:/lists/self
gone: :include:/lists/gone, al
cmd: "|/bin/prog -x $EXTENSION", /var/mail/archive, /srv/Maildir/
cmdlist: :include:/lists/cmd
null: /dev/null
bad: al, @@@, "a b"@far.test
quoted: \bo, "\di"
al.pha: cy
odd: :include:/lists/odd
relative: :include:lists/a, al
list-request: al
phrase: "Mr. X" <x@far.test>, al (the best)
`, d)
	for _, c := range []struct{ local, want string }{
		{"nobody", "?"},
		{"Mailer-Daemon", "box al"},
		{"al", "?"},
		{"root", "box al"},
		{"POSTMASTER", "box al"},
		{"team", "box al from owner-team@host.test; box bo from owner-team@host.test; copy@far.test from owner-team@host.test; x@far.test from owner-team@host.test; " +
			"box cy@ from owner-team@host.test"},
		{"all", "box al from owner-all@host.test; box bo from owner-all@host.test; copy@far.test from owner-all@host.test; x@far.test from owner-all@host.test; " +
			"y@far.test from owner-all@host.test; z@far.test from owner-all@host.test"},
		{"owner-team", "box al"},
		{"self", "box self; box al"},
		{"domains", "box al; box bo; copy@far.test"},
		{"loop1", "5.4.6 alias database loop: loop1 -> loop2 -> loop1; box al"},
		{"onlyloop", "550 5.4.6 alias database loop: onlyloop -> onlyloop2 -> onlyloop"},
		{"selfinclude", "box al"},
		{"gone", "5.3.5 the list gone cannot be expanded; box al"},
		{"cmd+extra", "alias /etc/aliases |/bin/prog -x $EXTENSION; alias /etc/aliases /var/mail/archive; alias /etc/aliases /srv/Maildir/"},
		{"cmdlist", `5.7.1 mail to command is restricted in the expansion of cmdlist (it stands in an :include: file); 5.7.1 mail to file is restricted in the expansion of cmdlist (it stands in an :include: file); box al`},
		{"null", "discard"},
		{"bad", `box al; 5.1.3 bad address in the expansion of bad; "a b"@far.test`},
		{"quoted", "box bo; copy@far.test; box di"},
		{"bo", "box bo; copy@far.test"},
		{"bo+lists", "forward bo |/bin/sort -u"},
		{"bo+else", "box bo; copy@far.test"},
		{"cy", `box cy; forward cy |exec /bin/x "$USER"`},
		{"al.pha", `box cy; forward cy |exec /bin/x "$USER"`},
		{"di", "box di"},
		{"odd", `5.2.4 line 2 of a file in the expansion of odd cannot be used; box al; box bo; copy@far.test`},
		{"relative", "5.2.4 a list in the expansion of relative has no plain absolute path; box al"},
		{"list-request", "box al"},
		{"phrase", "x@far.test; box al"},
	} {
		targets, known, err := e.Expand(t.Context(), address.Address{Local: c.local, Domain: "host.test"})
		got := show(targets)
		if err != nil {
			got = err.Error()
		} else if !known {
			got = "?"
		}
		if c.local == "team" { // cy has a .forward of his own
			c.want = strings.Replace(c.want, "box cy@", "box cy", 1) + `; forward cy |exec /bin/x "$USER" from owner-team@host.test`
		}
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.local, got, c.want)
		}
	}
}

func TestExpandOwnerAndRestrictions(t *testing.T) {
	e := expander(t, "a-list: x@far.test\nowner-a-list: boss@far.test\na: y@far.test\nprog: |/bin/x, al\nplus-request: z@far.test", &disk{})
	e.ExpandOwner, e.Delimiter, e.Commands = true, "-", nil
	for local, want := range map[string]string{
		"a-list": "x@far.test from boss@far.test", "a-other": "y@far.test", "plus-request": "z@far.test", "owner-a": "?",
		"prog": `5.7.1 mail to command is restricted in the expansion of prog (allow_mail_to_commands); box al`,
	} {
		targets, known, err := e.Expand(t.Context(), address.Address{Local: local, Domain: "host.test"})
		got := show(targets)
		if !known {
			got = "?"
		}
		if got != want || err != nil {
			t.Errorf("%s: %s, %v; want %s", local, got, err, want)
		}
	}
}

// What may be better later must not end a message, and one that is lost must not look like a user without .forward.
func TestExpandLater(t *testing.T) {
	away := &disk{users: []string{"al"}, forward: map[string]string{"al": "x@far.test"}, fail: errors.New("the helper does not answer")}
	e := expander(t, "list: :include:/x, x@far.test", away)
	for _, local := range []string{"al", "list"} {
		if _, _, err := e.Expand(t.Context(), address.Address{Local: local, Domain: "host.test"}); !status.IsTemporary(err) {
			t.Errorf("%s: %v", local, err)
		}
	}
	e.Maps = []Map{{failing{}, ""}}
	if _, _, err := e.Expand(t.Context(), address.Address{Local: "x", Domain: "host.test"}); !status.IsTemporary(err) {
		t.Errorf("a table that does not answer: %v", err)
	}
}

type failing struct{}

func (failing) Lookup(context.Context, string) (string, bool, error) {
	return "", false, errors.New("down")
}
func (failing) Pattern() bool { return false }

func TestBombs(t *testing.T) {
	var doubling, chain, wide strings.Builder
	for i := range 60 { // 2^60 without memory
		fmt.Fprintf(&doubling, "d%d: d%d, d%d, f%d\nf%d: d%d, u%d\n", i, i+1, i+1, i, i, i+1, i)
	}
	doubling.WriteString("d60: end@far.test\n")
	for i := range 300 {
		fmt.Fprintf(&chain, "c%d: c%d, u%d@far.test\n", i, i+1, i)
	}
	for i := range 1_000_000 / 20 { // 1,000,000 lines would be refused by their size alone
		fmt.Fprintf(&wide, "user%d@far.test\n", i)
	}
	huge := strings.Repeat("a@b.test\n", 1_000_000)
	d := &disk{include: map[string]string{"/wide": wide.String(), "/huge": huge}}
	e := expander(t, doubling.String()+chain.String()+"wide: :include:/wide\nhuge: :include:/huge, al", d)
	for local, want := range map[string]string{"d0": "", "c0": "more than 100 aliases lead to one another", "wide": "5.2.4", "huge": "a file of 9000000 bytes"} {
		targets, _, err := e.Expand(t.Context(), address.Address{Local: local, Domain: "host.test"})
		got := show(targets) + fmt.Sprint(err)
		if !strings.Contains(got, want) || len(targets) > MaxTargets {
			t.Errorf("%s: %d targets, %.200s", local, len(targets), got)
		}
		if local == "d0" && len(targets) != 61 {
			t.Errorf("doubling: %d targets", len(targets))
		}
	}
}

func TestLocalString(t *testing.T) {
	for _, l := range []Local{{Source: FromAlias, Path: "/etc/aliases", Text: "|a\tb"}, {Source: FromForward, User: "al", Extension: "x", Text: "/f/"}} {
		if back, ok := ParseLocal(l.String()); !ok || back != l {
			t.Errorf("%+v came back as %+v", l, back)
		}
	}
	for _, s := range []string{"", "alias\t\t\t\t", "root\t\t\t\t|x", "alias\t|x"} {
		if l, ok := ParseLocal(s); ok {
			t.Errorf("%q is %+v", s, l)
		}
	}
}

// FuzzExpand: whatever stands in aliases, :include: and .forward files, an expansion ends, within its bounds, without a
// target twice, and never with a command that its source may not name.
func FuzzExpand(f *testing.F) {
	f.Fuzz(func(t *testing.T, aliases, include, forward, local string) {
		if len(aliases)+len(include)+len(forward) > 1<<14 {
			return
		}
		d := &disk{users: []string{"al", "bo"}, include: map[string]string{"/i": include, "/j": forward}, forward: map[string]string{"al": forward, "bo+x": include}}
		e := expander(t, aliases, d)
		e.Write = []string{FromForward}
		a, err := address.New(local, "host.test")
		if err != nil {
			return
		}
		targets, known, err := e.Expand(t.Context(), a)
		if err != nil && (targets != nil || !status.IsPermanent(err)) {
			t.Fatalf("%d targets and %v: nothing here is temporary", len(targets), err)
		}
		if err == nil && known != (len(targets) > 0) {
			t.Fatalf("known %v, %d targets", known, len(targets))
		}
		if len(targets) > MaxTargets || d.reads > maxFiles+MaxTargets {
			t.Fatalf("%d targets, %d reads", len(targets), d.reads)
		}
		twice := map[string]bool{}
		for _, one := range targets {
			one.Owner = nil
			name := fmt.Sprint(one.Kind, show([]Target{one}), one.Local.Extension)
			if one.Kind == Mailbox || one.Kind == Address {
				name = fmt.Sprint(one.Kind, one.Address.Key())
			}
			if twice[name] {
				t.Fatalf("%s twice", name)
			}
			twice[name] = true
			if one.Kind == File && one.Local.Source == FromAlias {
				t.Fatalf("an alias writes %q", one.Local.Text)
			}
			if back, ok := ParseLocal(one.Local.String()); one.Kind == Command && (!ok || back != one.Local) {
				t.Fatalf("%+v does not travel", one.Local)
			}
			if one.Kind == Failed && (one.Err == nil || one.Err.Public == "" || strings.ContainsAny(one.Err.Public, "\r\n\x00")) {
				t.Fatalf("a failure without a proper text: %+v", one.Err)
			}
		}
	})
}

// A user who is reached a second time, after his .forward was expanded, gets no copy that he did not ask for.
func TestForwardOnce(t *testing.T) {
	d := &disk{users: []string{"al", "bo", "cy"}, forward: map[string]string{"al": "x@far.test\n", "bo": "al\n", "cy": "bo, cy\n"}}
	e := expander(t, "twice: al, al@mx.host.test\nround: al, bo\nkeep: cy, bo\n", d)
	for local, want := range map[string]string{"twice": "x@far.test", "round": "x@far.test", "keep": "x@far.test; box cy", "cy": "x@far.test; box cy"} {
		targets, _, err := e.Expand(t.Context(), address.Address{Local: local, Domain: "host.test"})
		if got := show(targets); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", local, got, err, want)
		}
	}
}

// Of the users of a list, in a file or not, one question can be asked.
func TestForwardsAreExpected(t *testing.T) {
	d := &disk{include: map[string]string{"/l": "al\nbo@mx.host.test\nx@far.test\ncy+ext\n"}}
	e := expander(t, "list: di, :include:/l, /box, Eve\none: al\n", d)
	for _, local := range []string{"list", "one"} {
		if _, _, err := e.Expand(t.Context(), address.Address{Local: local, Domain: "host.test"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(d.expected, " "); got != "di Eve al bo" {
		t.Errorf("expected are %s", got)
	}
}

// What a stranger reads of a target that cannot be used is ASCII, and nothing out of the files of aliases and their lists.
func TestFailuresTellStrangersLittle(t *testing.T) {
	d := &disk{include: map[string]string{"/lists/secret": "\"boss@far.test\nal\n<private@@x>\n", "/srv/secret/inner": "inner\n"}}
	e := expander(t, "loop: a1\na1: a2\na2: a1\ninner: :include:/srv/secret/inner\nprog: \"|/bin/rt --key secret\"\nfile: /srv/secret/box\nodd: :include:/lists/secret\n", d)
	e.Commands, e.Write = nil, nil
	for _, local := range []string{"loop", "inner", "prog", "file", "odd"} {
		targets, _, err := e.Expand(t.Context(), address.Address{Local: local, Domain: "host.test"})
		said := show(targets)
		if err != nil {
			said = status.Of(err).Public
		}
		for _, word := range []string{"secret", "boss", "private"} {
			if strings.Contains(said, word) {
				t.Errorf("%s: %s", local, said)
			}
		}
		if strings.ContainsFunc(said, func(r rune) bool { return r > 0x7e }) {
			t.Errorf("%s: not ASCII: %s", local, said)
		}
	}
}
