package privhelper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/postrider/postrider/test/needs"
	"golang.org/x/sys/unix"
)

// The users of a test have no entry in the system: ids are enough.
const alID, boID, nobodyID = 61001, 61002, 61999

type house struct {
	*Client
	dir string // with home/al, home/bo, aliases
	log *record
}

// helping starts a helper that is root, whose children are this program.
func helping(t *testing.T, more string) *house {
	needs.Root(t, "deliveries as several users")
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755), os.Chmod(filepath.Dir(dir), 0o755))
	h := &house{dir: dir}
	var passwd strings.Builder
	for name, id := range map[string]int{"al": alID, "bo": boID, "nobody": nobodyID} {
		home := h.path("home", name)
		must(t, os.MkdirAll(home, 0o755), os.Chown(home, id, id))
		fmt.Fprintf(&passwd, "%s:x:%d:%d::%s:/bin/bash\n", name, id, id, home)
	}
	fmt.Fprintf(&passwd, "root:x:0:0::/root:/bin/sh\ndaemon:x:1:1::%s:/bin/sh\n", h.path("home", "al"))
	conf := `[helper]
enabled = true
[routing]
alias_maps = ["hash:aliases, texthash:` + h.path("lists", "aliases") + `", "pcre:/etc/other"]
allow_mail_to_commands = ["alias", "forward"]
allow_mail_to_files = ["alias", "forward"]
forward_path = ["$home/.forward${recipient_delimiter}${extension}", "$home/.forward"]
` + more
	must(t, os.WriteFile(h.path("passwd"), []byte(passwd.String()), 0o644), os.WriteFile(h.path("postrider.toml"), []byte(conf), 0o644),
		os.Mkdir(h.path("lists"), 0o755))
	self, err := os.Executable()
	must(t, err)
	h.log = &record{}
	h.Client, _ = start(t, Spawn(h.log, self, "child", h.path("postrider.toml"), h.path("passwd")), nil)
	return h
}

func (h *house) path(parts ...string) string {
	return filepath.Join(append([]string{h.dir}, parts...)...)
}

func (h *house) write(t *testing.T, owner int, mode fs.FileMode, text string, parts ...string) string {
	t.Helper()
	path := h.path(parts...)
	must(t, os.WriteFile(path, []byte(text), 0o600), os.Chown(path, owner, owner), os.Chmod(path, mode))
	return path
}

func (h *house) deliver(t *testing.T, s Source, text string) error {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "message"))
	must(t, err)
	defer f.Close()
	_, err = f.WriteString(text)
	must(t, err)
	return h.Deliver(t.Context(), s, Envelope{"x$(id)@far.test", "al+ext@host.test", "al+ext@host.test"}, f, int64(len(text)))
}

func TestForwardFiles(t *testing.T) {
	h := helping(t, "")
	ask := func(user, extension string) string {
		text, found, notes, err := h.Forward(t.Context(), user, extension)
		return fmt.Sprint(text, "|", found, "|", notes, "|", err)
	}
	if got := ask("al", ""); got != "|false||<nil>" {
		t.Errorf("none: %s", got)
	}
	plain := h.write(t, alID, 0o600, "bo\n", "home", "al", ".forward")
	ext := h.write(t, alID, 0o600, "\\al\n", "home", "al", ".forward+lists")
	for _, c := range []struct{ user, extension, want string }{
		{"al", "", "bo\n|true||<nil>"}, {"al", "lists", "\\al\n|true||<nil>"}, {"al", "other", "bo\n|true||<nil>"},
		{"al", "../../bo/.forward", "bo\n|true||<nil>"}, {"bo", "", "|false||<nil>"},
		{"daemon", "", "|false||<nil>"}, {"root", "", "|false||<nil>"}, {"zoe", "", "|false||<nil>"}, {"al:x", "", "|false||<nil>"},
	} {
		if got := ask(c.user, c.extension); got != c.want {
			t.Errorf("%s %s: %s", c.user, c.extension, got)
		}
	}
	for name, c := range map[string]struct {
		do   func() error
		want string
	}{
		"everybody may write": {func() error { return os.Chmod(plain, 0o646) }, "chmod o-w " + plain},
		"the group may":       {func() error { return errors.Join(os.Chmod(plain, 0o660), os.Chown(plain, alID, boID)) }, "chmod g-w " + plain},
		"somebody else's":     {func() error { return errors.Join(os.Chmod(plain, 0o644), os.Chown(plain, boID, boID)) }, "chown al " + plain},
		"a link":              {func() error { return errors.Join(os.Remove(plain), os.Symlink(ext, plain)) }, "too many levels of symbolic links"},
		"a folder":            {func() error { return errors.Join(os.Remove(plain), os.Mkdir(plain, 0o755)) }, "not a regular file"},
		"a pipe":              {func() error { return errors.Join(os.Remove(plain), unix.Mkfifo(plain, 0o644)) }, "not a regular file"},
	} {
		must(t, os.RemoveAll(plain))
		h.write(t, alID, 0o644, "bo\n", "home", "al", ".forward")
		must(t, c.do())
		if got := ask("al", ""); !strings.HasPrefix(got, "|false|") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
	must(t, os.RemoveAll(plain))
	h.write(t, alID, 0o664, "bo\n", "home", "al", ".forward") // a group of his own, as Debian makes them
	if got := ask("al", ""); got != "bo\n|true||<nil>" {
		t.Errorf("his own group may write: %s", got)
	}
	h.write(t, 0, 0o600, "bo\n", "home", "al", ".forward")
	if got := ask("al", ""); !strings.Contains(got, "permission denied") || !strings.HasPrefix(got, "|false") {
		t.Errorf("of root, and he may not read it: %s", got)
	}
}

// One request finds out who of many users has a .forward, even one that cannot be used.
func TestWhoHasForward(t *testing.T) {
	h := helping(t, "")
	h.write(t, alID, 0o666, "bo\n", "home", "al", ".forward")
	users := []string{"zoe", "al", "bo", "root", "daemon", "al"}
	for i := range 2000 {
		users = append(users, fmt.Sprint("user", i))
	}
	have, asked, err := h.Have(t.Context(), users)
	if err != nil || fmt.Sprint(have) != "[al]" || asked < 500 || asked >= len(users) {
		t.Errorf("%v of %d, %v", have, asked, err)
	}
	must(t, os.Remove(h.path("home", "al", ".forward")), os.Symlink("/nonexistent", h.path("home", "bo", ".forward")))
	if have, _, err := h.Have(t.Context(), users); err != nil || fmt.Sprint(have) != "[bo]" {
		t.Errorf("%v, %v", have, err)
	}
}

func TestDeliverFiles(t *testing.T) {
	h := helping(t, "mailbox_size_limit = \"1MiB\"\n")
	box, dir := h.path("home", "al", "box"), h.path("home", "al", "Mail dir")+"/"
	h.write(t, alID, 0o600, fmt.Sprintf("%s, %q, |/bin/true\n/etc/postrider-test\n%s/link\n%s/exe\n/root/x\n", box, dir, h.path("home", "al"), h.path("home", "al")), "home", "al", ".forward")
	from := func(text string) Source { return Source{Kind: "forward", User: "al", Text: text} }
	must(t, h.deliver(t, from(box), "From x\n\none\n\n"), h.deliver(t, from(box), "From x\n\ntwo\n\n"), h.deliver(t, from(dir), "three\n"))
	text, err := os.ReadFile(box)
	must(t, err)
	if string(text) != "From x\n\none\n\nFrom x\n\ntwo\n\n" {
		t.Errorf("mbox: %q", text)
	}
	var st unix.Stat_t
	must(t, unix.Stat(box, &st))
	if st.Uid != alID || st.Gid != alID || st.Mode&0o777 != 0o600 {
		t.Errorf("mbox: owner %d:%d, mode %o", st.Uid, st.Gid, st.Mode)
	}
	in, err := filepath.Glob(dir + "new/*")
	if err != nil || len(in) != 1 {
		t.Fatalf("Maildir: %v, %v", in, err)
	}
	if text, _ := os.ReadFile(in[0]); string(text) != "three\n" {
		t.Errorf("Maildir: %q", text)
	}
	if left, _ := os.ReadDir(dir + "tmp"); len(left) > 0 {
		t.Errorf("left in tmp: %v", left)
	}
	if err := h.deliver(t, from(box), strings.Repeat("x", 1<<20)); err == nil || !strings.HasPrefix(err.Error(), "5.2.2 ") {
		t.Errorf("too large: %v", err)
	}
	if after, _ := os.ReadFile(box); string(after) != string(text) {
		t.Error("a delivery that failed has changed the file")
	}
	must(t, os.Symlink(box, h.path("home", "al", "link")))
	h.write(t, alID, 0o755, "", "home", "al", "exe")
	for path, want := range map[string]string{h.path("home", "al", "link"): "5.2.0 ", h.path("home", "al", "exe"): "5.7.1 ", "/root/x": "5.2.0 ", "/etc/postrider-test": "5.2.0 "} {
		if err := h.deliver(t, from(path), "x"); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	// What nobody has written is not done, whoever asks.
	for _, s := range []Source{from(h.path("home", "al", "other")), from("/bin/true"), from("|/bin/tru"), from("|/bin/true x"), from(box[:len(box)-1]), from(""), from("x"),
		{Kind: "forward", User: "bo", Text: box}, {Kind: "forward", User: "root", Text: box}, {Kind: "alias", Path: h.path("home", "al", ".forward"), Text: box},
		{Kind: "alias", Path: "/etc/passwd", Text: "/root"}, {Kind: "root", Text: box}} {
		if err := h.deliver(t, s, "x"); !errors.Is(err, ErrRefused) && !errors.Is(err, ErrUnavailable) {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if err := h.Deliver(t.Context(), from(box), Envelope{}, os.Stdin, 7); !errors.Is(err, ErrRefused) {
		t.Errorf("not a whole message: %v", err)
	}
	if _, err := h.ask(t.Context(), message(opDeliver, append(from(box).pairs(), "size", "0")...)); !errors.Is(err, ErrRefused) && !errors.Is(err, ErrUnavailable) {
		t.Errorf("no message: %v", err)
	}
}

func TestDeliverCommands(t *testing.T) {
	h := helping(t, "command_time_limit = \"1s\"\n")
	out := h.path("home", "al", "out")
	lines := map[string]string{ // command → what the sender reads; "" when delivered
		"/usr/bin/tee " + out: "",
		"(id -u; id -G; env | sort; cat; ulimit -c; pwd) > " + out + "2": "",
		"exit 0": "",
		"grep -q body /dev/stdin && test ! -e /dev/fd/3": "",
		"exit 75":                       "4.3.0 temporary failure",
		"exit 67":                       "5.1.1 user unknown",
		"echo no such list; exit 67":    "5.1.1 no such list",
		"echo 4.2.1 on leave; exit 69":  "4.2.1 on leave",
		"echo oops >&2; exit 3":         "5.3.0 Command died with status 3: \"echo oops >&2; exit 3\". Command output: oops",
		"kill -9 $$":                    "4.3.0 Command died with signal 9",
		"sleep 60 & wait":               "5.3.0 Command time limit exceeded",
		"/nonexistent/program":          "5.3.5 ",
		h.path("passwd"):                "4.3.5 ",
		"(sleep 7 & ) ; exit 0":         "", // in the background, with the output open
		"no-such-program-in-any-folder": "5.3.0 Command died with status 127",
	}
	var forward strings.Builder
	for line := range lines {
		forward.WriteString("\"|" + line + "\"\n")
	}
	h.write(t, alID, 0o600, forward.String(), "home", "al", ".forward")
	var group sync.WaitGroup
	for line, want := range lines {
		group.Go(func() {
			err := h.deliver(t, Source{Kind: "forward", User: "al", Extension: "ext", Text: "|" + line}, "From x\n\nbody\n")
			if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
				t.Errorf("%s: %v, want %q", line, err, want)
			}
		})
	}
	group.Wait()
	text, err := os.ReadFile(out)
	if err != nil || string(text) != "From x\n\nbody\n" {
		t.Errorf("%q, %v", text, err)
	}
	text, err = os.ReadFile(out + "2")
	must(t, err)
	want := fmt.Sprintf("%d\n%d\nEXTENSION=ext\nHOME=%s\nLOGNAME=al\nORIGINAL_RECIPIENT=al+ext@host.test\nPATH=/usr/bin:/bin\nPWD=%[3]s\nRECIPIENT=al+ext@host.test\nSENDER=x__id_@far.test\nSHELL=/bin/bash\nFrom x\n\nbody\n0\n%[3]s\n",
		alID, alID, h.path("home", "al"))
	if got := strings.ReplaceAll(string(text), "OLDPWD=\n", ""); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// Whoever owns the alias file has the rights; for root's it is default_privs.
func TestDeliverAliases(t *testing.T) {
	h := helping(t, "default_privs = \"nobody\"\n")
	spool := h.path("spool")
	must(t, os.Mkdir(spool, 0o777), os.Chmod(spool, 0o777))
	root := h.write(t, 0, 0o644, "a: |id -u > "+spool+"/root\nl: :include:"+h.path("lists", "members")+"\n", "aliases")
	list := h.write(t, boID, 0o644, "b: \"|id -u > "+spool+"/list\"\n", "lists", "aliases")
	for path, file := range map[string]string{root: "root", list: "list"} {
		if err := h.deliver(t, Source{Kind: "alias", Path: path, Text: "|id -u > " + spool + "/" + file}, "x"); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	for file, want := range map[string]int{"root": nobodyID, "list": boID} {
		if got, err := os.ReadFile(filepath.Join(spool, file)); string(got) != fmt.Sprintln(want) {
			t.Errorf("%s: %q, %v", file, got, err)
		}
	}
	members := h.write(t, boID, 0o644, "al\nbo\n", "lists", "members")
	include := Source{Kind: "alias", Path: root, Text: ":include:" + members}
	if text, err := h.Include(t.Context(), include); err != nil || text != "al\nbo\n" {
		t.Errorf("include: %q, %v", text, err)
	}
	must(t, os.Chmod(members, 0o666))
	if _, err := h.Include(t.Context(), include); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "chmod o-w") {
		t.Errorf("include of what everybody writes: %v", err)
	}
	must(t, os.Chmod(members, 0o600))
	if _, err := h.Include(t.Context(), include); !errors.Is(err, ErrRefused) {
		t.Errorf("include of what default_privs may not read: %v", err)
	}
	must(t, os.Remove(members))
	if _, err := h.Include(t.Context(), include); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("include of what is not there: %v", err)
	}
	// A user's other files are no lists of his.
	h.write(t, alID, 0o600, "bo\n", "home", "al", ".forward")
	secret := h.write(t, alID, 0o600, "secret\n", "home", "al", "secret")
	if text, err := h.Include(t.Context(), Source{Kind: "forward", User: "al", Text: ":include:" + secret}); !errors.Is(err, ErrRefused) || text != "" {
		t.Errorf("a file that no .forward names: %q, %v", text, err)
	}
	// An alias file in a folder of somebody else, or that everybody may write to.
	must(t, os.Chown(h.path("lists"), alID, alID))
	if err := h.deliver(t, Source{Kind: "alias", Path: list, Text: "|id -u > " + spool + "/list"}, "x"); !errors.Is(err, ErrRefused) {
		t.Errorf("in a folder of al's: %v", err)
	}
	must(t, os.Chmod(root, 0o666))
	if err := h.deliver(t, Source{Kind: "alias", Path: root, Text: "|id -u > " + spool + "/root"}, "x"); !errors.Is(err, ErrRefused) {
		t.Errorf("everybody writes root's aliases: %v", err)
	}
}

func TestNamed(t *testing.T) {
	forward := "# |/bin/commented\n\"|/bin/a b\", /home/al/box\n|/bin/q \\\"$x\\\"\n:INCLUDE: /lists/m (all)\n  , /dir/\n\"| /bin/spaced\"\n\"|/bin/one\n\n  two\"\n" +
		"\"|/usr/bin/procmail -p /home/al/.procmailrc\"\n\"|/usr/bin/formail -x X | /bin/sh\"\n|cat /home/al/a\n\"|x host:/home/al/b\"\n\"|cat :include:/home/al/c\"\n(/home/al/d) al"
	for want, is := range map[string]bool{
		"|/bin/a b": true, "/home/al/box": true, `|/bin/q \"$x\"`: true, ":include:/lists/m": true, "/dir/": true, "|/bin/spaced": true, "|/bin/one  two": true,
		"|/bin/commented": false, "|/bin/a": false, "/bin/a b": false, "/home/al": false, "/lists/m": false, "|": false, "": false, "box": false, "|/bin/one": false,
		// Arguments of commands, parts of pipelines and comments are no destinations.
		"/home/al/.procmailrc": false, "|/bin/sh": false, "/home/al/a": false, "/home/al/b": false, ":include:/home/al/c": false, "/home/al/d": false,
	} {
		if got := named(forward, want, false); got != is {
			t.Errorf(".forward: %q: %v", want, got)
		}
	}
	aliases := "al: \"|/bin/a \\\"b\\\"\", /home/al/box\nx:/y, :include:/m\n\"/z:|q\": |/bin/w :/v, |/u:/t\n"
	for want, is := range map[string]bool{"|/bin/a \"b\"": true, "/home/al/box": true, "/y": true, ":include:/m": true, "|/bin/w :/v": true, "|/u:/t": true,
		"|q": false, "/z": false, "/v": false, "/t": false, "/m": false} {
		if got := named(aliases, want, true); got != is {
			t.Errorf("aliases: %q: %v", want, got)
		}
	}
}

// A million aliases do not make a delivery wait.
func TestNamedInALargeFile(t *testing.T) {
	var b strings.Builder
	for i := range 1_000_000 {
		fmt.Fprintf(&b, "user%d: box%d\n", i, i)
	}
	b.WriteString("last: \"|/bin/last one\"\n")
	if text := b.String(); !named(text, "|/bin/last one", true) || named(text, "|/bin/other", true) {
		t.Error("not found, or what is not there is")
	}
}

// The largest entry in the smallest pieces is not copied anew for each of them.
func TestNamedInALongEntry(t *testing.T) {
	text := "al: x\n" + strings.Repeat(" y\n", MaxFile/3)
	if n := testing.AllocsPerRun(1, func() { named(text, "|/bin/x", true) }); n > 100 {
		t.Errorf("%v allocations", n)
	}
}

// The deliveries have a lane of their own: what takes long keeps no password from being checked.
func TestDeliveriesLeaveRoom(t *testing.T) {
	enough, arrived := make(chan struct{}), make(chan struct{}, maxConnections)
	c, _ := start(t, func(_ context.Context, m Message) (Message, error) {
		if m.Op == opDeliver {
			if m.File == nil {
				return message(replyRefused, "text", "no message"), nil
			}
			arrived <- struct{}{}
			<-enough
		}
		return message(replyOK), nil
	}, func(s *Server) { s.Timeout, s.Log = 300*time.Millisecond, slog.New(slog.DiscardHandler) })
	f, err := os.Create(filepath.Join(t.TempDir(), "m"))
	must(t, err)
	defer f.Close()
	answers := make(chan error, maxDeliveries+1)
	for range maxDeliveries {
		go func() { answers <- c.Deliver(context.Background(), Source{}, Envelope{}, f, 0) }()
	}
	for range maxDeliveries {
		<-arrived
	}
	if err := c.Deliver(t.Context(), Source{}, Envelope{}, f, 0); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "too many deliveries") {
		t.Errorf("one too many: %v", err)
	}
	must(t, c.Ping(t.Context()))
	close(enough)
	for range maxDeliveries {
		must(t, <-answers)
	}
}

// So have the files of users: a home that hangs keeps no password from being checked.
func TestReadsLeaveRoom(t *testing.T) {
	enough, arrived := make(chan struct{}), make(chan struct{}, maxConnections)
	c, _ := start(t, func(_ context.Context, m Message) (Message, error) {
		if m.Op == opForward {
			arrived <- struct{}{}
			<-enough
		}
		return message(replyOK), nil
	}, func(s *Server) { s.Log = slog.New(slog.DiscardHandler) })
	answers := make(chan error, maxReads)
	ask := func() error {
		_, _, _, err := c.Forward(context.Background(), "al", "")
		return err
	}
	for range maxReads {
		go func() { answers <- ask() }()
	}
	for range maxReads {
		<-arrived
	}
	for range maxConnections {
		if err := ask(); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "too many files") {
			t.Fatalf("one too many: %v", err)
		}
	}
	if ok, err := c.Verify(t.Context(), "al", "x"); !ok || err != nil {
		t.Error(ok, err)
	}
	close(enough)
	for range maxReads {
		must(t, <-answers)
	}
}

// A helper that is told to end lets a delivery end first, for a while.
func TestDeliveriesEndBeforeTheHelper(t *testing.T) {
	dir := t.TempDir()
	l, err := Listen(filepath.Join(dir, "s"), os.Geteuid())
	must(t, err)
	arrived, goOn, whole := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	s := &Server{Peers: []uint32{uint32(os.Geteuid())}, Log: slog.New(slog.DiscardHandler), Run: func(ctx context.Context, _ Message) (Message, error) {
		close(arrived)
		<-goOn
		whole <- ctx.Err()
		return message(replyOK), nil
	}}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- s.Serve(ctx, l) }()
	f, err := os.Create(filepath.Join(dir, "m"))
	must(t, err)
	defer f.Close()
	answer := make(chan error)
	go func() {
		answer <- (&Client{Socket: filepath.Join(dir, "s")}).Deliver(context.Background(), Source{}, Envelope{}, f, 0)
	}()
	<-arrived
	cancel()
	close(goOn)
	must(t, <-whole, <-answer, <-served)
}

// What a crash has left of a message does not swallow the next one.
func TestMboxAfterACrash(t *testing.T) {
	h := helping(t, "")
	box := h.write(t, alID, 0o600, "From x\n\nhalf a li", "home", "al", "box")
	h.write(t, alID, 0o600, box+"\n", "home", "al", ".forward")
	must(t, h.deliver(t, Source{Kind: "forward", User: "al", Text: box}, "From y\n\ntwo\n\n"))
	if text, err := os.ReadFile(box); string(text) != "From x\n\nhalf a li\n\nFrom y\n\ntwo\n\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// A message that cannot be read to its end was not delivered, whatever the command says.
func TestInputThatBreaks(t *testing.T) {
	i := &input{r: iotest.TimeoutReader(strings.NewReader("half"))}
	if _, err := io.ReadAll(iotest.OneByteReader(i)); err == nil || !i.broken.Load() {
		t.Errorf("%v", err)
	}
}

// Nobody becomes root, by id or by group.
func TestBecome(t *testing.T) {
	needs.Root(t, "becoming another user")
	for _, who := range []identity{{name: "root"}, {name: "wheel", uid: 5}, {name: "x", gid: 5}} {
		if err := become(who); err == nil {
			t.Errorf("%+v", who)
		}
	}
}
