package privhelper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/config"
	"golang.org/x/sys/unix"
)

// failure is why a delivery was not made, as the sender shall read it.
type failure struct{ status, text string }

func (f *failure) Error() string { return f.status + " " + f.text }

func undelivered(status, format string, args ...any) error {
	return &failure{status, fmt.Sprintf(format, args...)}
}

// forward hands out the .forward of a system user.
func (h *Helper) forward(m Message) Message {
	c, err := h.configuration()
	if err != nil {
		return failed(err)
	}
	who, err := h.person(string(m.Get("user")))
	if errors.Is(err, errNobody) {
		return message(replyMissing, "text", err.Error())
	}
	if err == nil {
		err = become(who)
	}
	if err != nil {
		return failed(err)
	}
	text, notes, err := forwardText(c, who, string(m.Get("extension")))
	reply := message(replyOK, "data", text, "notes", strings.Join(notes, "\n"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		reply.Op = replyMissing
	case err != nil:
		return failed(err)
	}
	return reply
}

// have tells which of many users seem to have a .forward, so that a list of a thousand who have none is one request. It looks
// at names only, opens nothing, and is root meanwhile: what cannot be looked at may be there.
func (h *Helper) have(m Message) Message {
	c, err := h.configuration()
	if err != nil {
		return failed(err)
	}
	wanted := map[string]bool{}
	for name := range strings.SplitSeq(string(m.Get("users")), "\n") {
		wanted[name] = true
	}
	var names []string
	err = h.eachIdentity(func(who identity) bool {
		if wanted[who.name] {
			wanted[who.name] = false // of two lines of a name the first counts
			if h.isPerson(who) && seemsForwarded(c, who) {
				names = append(names, who.name)
			}
		}
		return true
	})
	if err != nil {
		return failed(err)
	}
	return message(replyOK, "data", strings.Join(names, "\n"))
}

func seemsForwarded(c *config.Config, who identity) bool {
	for _, form := range c.Routing.ForwardPath {
		if path, ok := forwardPath(form, who, "", c.Delivery.RecipientDelimiter); ok {
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
				return true
			}
		}
	}
	return false
}

// include hands out a :include: file, read as the user who names it.
func (h *Helper) include(m Message) Message {
	c, err := h.configuration()
	if err != nil {
		return failed(err)
	}
	want := string(m.Get("text"))
	who, text, err := h.source(c, m)
	var content string
	if err == nil {
		path, ok := strings.CutPrefix(want, ":include:")
		// What default_privs may read, everybody may: a list may include another. What a user may read is his own.
		if !ok || who.name != c.Routing.DefaultPrivs && !named(text, want, string(m.Get("source")) == "alias") {
			return refused(fmt.Sprintf("%q is not named there", want))
		}
		content, err = readOwn(path, written{anyone: true}, MaxFile)
	}
	return included(content, err)
}

func included(content string, err error) Message {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return message(replyMissing, "text", err.Error())
	case errors.Is(err, errUnsafe), errors.Is(err, errUntrusted), errors.Is(err, fs.ErrPermission), errors.Is(err, unix.ELOOP):
		return refused(err.Error())
	case err != nil:
		return failed(err)
	}
	return Message{Op: replyOK, Fields: []Field{{"data", []byte(content)}}}
}

// deliver gives the message in m.File to the program or the file that m names, as the user who named it.
func (h *Helper) deliver(m Message) Message {
	err := h.delivery(m)
	var why *failure
	switch {
	case err == nil:
		return message(replyOK)
	case errors.As(err, &why):
		return message(replyUndelivered, "status", why.status, "text", why.text)
	case errors.Is(err, errUnsafe), errors.Is(err, errUntrusted), errors.Is(err, fs.ErrNotExist):
		return refused(err.Error())
	}
	return failed(err)
}

func (h *Helper) delivery(m Message) error {
	c, err := h.configuration()
	if err != nil {
		return err
	}
	want, source := string(m.Get("text")), string(m.Get("source"))
	switch source {
	case "program":
		return h.program(c, m)
	case "mailbox":
		return h.userMailbox(c, m)
	}
	if err := allowed(c, source, want); err != nil {
		return err
	}
	if err := whole(m); err != nil {
		return err
	}
	who, text, err := h.source(c, m)
	if err != nil {
		return err
	}
	if !named(text, want, source == "alias") {
		return fmt.Errorf("%w: %q is not, or no longer, named there", errUnsafe, want)
	}
	if err := limit(c.Routing.MailboxSizeLimit, c.Routing.CommandTimeLimit); err != nil {
		return err
	}
	switch {
	case want[0] == '|':
		return command(c, m, who, want[1:])
	case strings.HasSuffix(want, "/"):
		return maildir(m.File, want)
	}
	return mbox(m.File, want, who, int64(c.Routing.MailboxSizeLimit))
}

// userMailbox delivers to what mailbox_command or home_mailbox name, as a user of the system: they stand in the configuration,
// in the helper's own reading.
func (h *Helper) userMailbox(c *config.Config, m Message) error {
	r, want := &c.Routing, string(m.Get("text"))
	if len(want) < 2 || want != "|"+r.MailboxCommand && want != r.HomeMailbox {
		return fmt.Errorf("%w: %q is neither routing.mailbox_command nor routing.home_mailbox", errUnsafe, want)
	}
	if err := whole(m); err != nil {
		return err
	}
	who, err := h.person(string(m.Get("user")))
	if errors.Is(err, errNobody) {
		return undelivered("5.1.1", "unknown user: %q", m.Get("user"))
	}
	if err == nil {
		err = become(who)
	}
	if err == nil {
		err = limit(r.MailboxSizeLimit, r.CommandTimeLimit)
	}
	if err != nil {
		return err
	}
	path := filepath.Join(who.home, want)
	switch {
	case want[0] == '|':
		return command(c, m, who, want[1:])
	case strings.HasSuffix(want, "/"):
		return maildir(m.File, path)
	}
	return mbox(m.File, path, who, int64(r.MailboxSizeLimit))
}

// allowed asks the operator's settings, in the helper's own reading.
func allowed(c *config.Config, source, want string) error {
	switch {
	case strings.HasPrefix(want, "|") && slices.Contains(c.Routing.AllowMailToCommands, source):
		return nil
	case strings.HasPrefix(want, "/") && slices.Contains(c.Routing.AllowMailToFiles, source):
		return nil
	}
	return fmt.Errorf("%w: %q of a source %q: routing.allow_mail_to_commands, routing.allow_mail_to_files", errUnsafe, want, source)
}

// whole tells whether the message is all there. It is a file, not a pipe: half a message of a server that died in the
// middle must not look like one.
func whole(m Message) error {
	size, err := strconv.ParseInt(string(m.Get("size")), 10, 64)
	if err != nil || m.File == nil {
		return fmt.Errorf("%w: no message came", errUnsafe)
	}
	info, err := m.File.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() != size {
		return fmt.Errorf("%w: the message has %d bytes, and %d were announced", errUnsafe, info.Size(), size)
	}
	_, err = m.File.Seek(0, 0)
	return err
}

// limit sets what this process and what it starts may use.
func limit(file config.Size, span config.Duration) error {
	size, seconds := uint64(file), uint64(span.D().Seconds())+1
	for what, max := range map[int]uint64{unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: 1024, unix.RLIMIT_FSIZE: size, unix.RLIMIT_CPU: seconds} {
		var now unix.Rlimit
		if err := unix.Getrlimit(what, &now); err != nil {
			return err
		}
		max = min(max, now.Max)
		// EPERM is the unit's filter of system calls; the unit has limits of its own then.
		if err := unix.Setrlimit(what, &unix.Rlimit{Cur: max, Max: max}); err != nil && !errors.Is(err, unix.EPERM) {
			return os.NewSyscallError("setrlimit", err)
		}
	}
	return nil
}
