package privhelper

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/config"
)

// Program is a delivery to a program of [pipes.NAME].
type Program struct {
	Name, NextHop string
	Sender        string // as ${sender} has it; "": the null sender
	Recipients    []Recipient
	Macros        map[string]string // config.MessageMacros besides sender and nexthop; without control characters
}

// Recipient is one of those that a program is started for.
type Recipient struct {
	Local, Domain                 string
	OriginalLocal, OriginalDomain string
}

// Program gives a message to a program: at least once. message is a regular file of size bytes. The error is an *Undelivered,
// or one of the others.
func (c *Client) Program(ctx context.Context, p Program, file *os.File, size int64) error {
	var recipients, macros strings.Builder
	for _, r := range p.Recipients {
		fmt.Fprintf(&recipients, "%s\t%s\t%s\t%s\n", r.Local, r.Domain, r.OriginalLocal, r.OriginalDomain)
	}
	for name, value := range p.Macros {
		fmt.Fprintf(&macros, "%s=%s\n", name, value)
	}
	m := message(opDeliver, "source", "program", "path", p.Name, "text", p.NextHop, "size", strconv.FormatInt(size, 10), "sender", p.Sender,
		"recipients", recipients.String(), "macros", macros.String())
	m.File = file
	return c.deliver(ctx, m)
}

// parseRecipients reads the lines that Client.Program writes.
func parseRecipients(text string) (out []Recipient, err error) {
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 4 {
			return nil, fmt.Errorf("%w: %d fields in a recipient", errUnsafe, len(f))
		}
		out = append(out, Recipient{f[0], f[1], f[2], f[3]})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: no recipients", errUnsafe)
	}
	return out, nil
}

// program runs a program of the configuration, in the helper's own reading, as the user who stands there.
func (h *Helper) program(c *config.Config, m Message) error {
	name := string(m.Get("path"))
	p := c.Pipes[name]
	if p == nil {
		return fmt.Errorf("%w: there is no [pipes.%s]", errUnsafe, name)
	}
	recipients, err := parseRecipients(string(m.Get("recipients")))
	if err != nil {
		return err
	}
	args, err := arguments(p, m, recipients, c.Delivery.RecipientDelimiter)
	if err != nil {
		return err
	}
	if err := whole(m); err != nil {
		return err
	}
	who, err := h.account(p)
	if err != nil {
		return fmt.Errorf("pipes.%s.user = %q: %w", name, p.User, err)
	}
	if err := become(who); err != nil {
		return err
	}
	if err := limit(c.Routing.MailboxSizeLimit, p.TimeLimit); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.TimeLimit.D())
	defer cancel()
	if _, err := exec.LookPath(args[0]); err != nil { // it can be mended, and the mail waits
		return undelivered("4.3.0", "Command %q cannot be run: %v", args[0], err)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	shell := who.shell
	if shell == "" {
		shell = "/bin/sh"
	}
	cmd.Env = []string{"HOME=" + who.home, "LOGNAME=" + who.name, "SHELL=" + shell, "PATH=" + searched}
	cmd.Dir = p.Directory
	return run(ctx, cmd, m.File, args[0])
}

// account finds who runs a program. The users of the system itself may, but for root.
func (h *Helper) account(p *config.Pipe) (identity, error) {
	user, group := p.Account()
	who, err := h.identity(func(i identity) bool { return i.name == user })
	if err != nil || group == "" {
		return who, err
	}
	who.gid, err = h.group(group)
	return who, err
}

// group finds a group's number, group(5).
func (h *Helper) group(name string) (gid int, err error) {
	text, err := readWhole(h.Shadow.Group, "/etc/group")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if n, err := strconv.ParseUint(f[min(2, len(f)-1)], 10, 31); err == nil && len(f) == 4 && f[0] == name {
			return int(n), nil
		}
	}
	return 0, fmt.Errorf("no such group %q", name)
}

// arguments expands argv. An argument with a recipient's macro comes once for each recipient, pipe(8). What a stranger has
// chosen never begins an option: an argument that only then begins with "-" is refused unless a "--" stands before it.
func arguments(p *config.Pipe, m Message, recipients []Recipient, delimiter string) (args []string, err error) {
	ended := false
	message := messageValues(p, m)
	for _, item := range p.Argv {
		used, err := config.MacrosOf(item)
		if err != nil {
			return nil, err
		}
		each := recipients[:1]
		for _, name := range used {
			if isRecipientMacro(name) {
				each = recipients
			}
		}
		for _, r := range each {
			own := recipientValues(p, r, delimiter)
			text, err := config.ExpandMacros(item, func(name string) string {
				if isRecipientMacro(name) {
					return own[name]
				}
				return message[name]
			})
			switch {
			case err != nil:
				return nil, err
			case strings.ContainsRune(text, 0):
				return nil, undelivered("5.1.3", "an address has a byte 0")
			case strings.HasPrefix(text, "-") && !strings.HasPrefix(item, "-") && !ended:
				return nil, undelivered("5.1.3", "an address that begins with \"-\" would be an option of the program")
			}
			args = append(args, text)
		}
		ended = ended || item == "--"
	}
	return args, nil
}

func isRecipientMacro(name string) bool {
	for _, known := range config.RecipientMacros() {
		if name == known {
			return true
		}
	}
	return false
}

// messageValues are the macros that are the same for all recipients.
func messageValues(p *config.Pipe, m Message) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(string(m.Get("macros"))) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		values[name] = value
	}
	values["sender"] = string(m.Get("sender"))
	if values["sender"] == "" {
		values["sender"] = p.NullSender
	} else if i := strings.LastIndexByte(values["sender"], '@'); i >= 0 && p.Has('q') {
		values["sender"] = quoted(values["sender"][:i]) + values["sender"][i:]
	}
	values["nexthop"] = string(m.Get("text"))
	if p.Has('h') {
		values["nexthop"] = strings.ToLower(values["nexthop"])
	}
	values["size"] = string(m.Get("size"))
	return values
}

// recipientValues are the macros of one recipient.
func recipientValues(p *config.Pipe, r Recipient, delimiter string) map[string]string {
	if p.Has('h') {
		r.Domain, r.OriginalDomain = strings.ToLower(r.Domain), strings.ToLower(r.OriginalDomain)
	}
	if p.Has('u') {
		r.Local, r.OriginalLocal = strings.ToLower(r.Local), strings.ToLower(r.OriginalLocal)
	}
	user, extension := r.Local, ""
	if i := strings.IndexAny(r.Local, delimiter); delimiter != "" && i > 0 {
		user, extension = r.Local[:i], r.Local[i+1:]
	}
	whole := func(local, domain string) string {
		if p.Has('q') {
			local = quoted(local)
		}
		if domain == "" {
			return local
		}
		return local + "@" + domain
	}
	return map[string]string{"recipient": whole(r.Local, r.Domain), "original_recipient": whole(r.OriginalLocal, r.OriginalDomain),
		"user": user, "extension": extension, "mailbox": r.Local, "domain": r.Domain}
}

// quoted writes a local part as RFC 5321 §4.1.2 has it: in quotes, unless it is a dot-string.
func quoted(local string) string {
	const atom = "!#$%&'*+-/=?^_`{|}~abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789."
	plain := local != "" && local[0] != '.' && local[len(local)-1] != '.' && !strings.Contains(local, "..")
	for i := range len(local) {
		plain = plain && (local[i] >= 0x80 || strings.IndexByte(atom, local[i]) >= 0)
	}
	if plain {
		return local
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(local) + `"`
}
