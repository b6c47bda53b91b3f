package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/submit"
)

// sendmail is the program of that name, for whoever on this host wants to send mail; docs/sendmail.md has its options. It
// hands the message to the running server through submit.sock, and leaves it in the drop folder where no server takes it.
func sendmail(a *app, args []string) int {
	o, err := parseSendmail(args)
	if err != nil {
		return a.sendmailFail(err)
	}
	return a.sendmailRun(o)
}

// mailq is `sendmail -bp`, newaliases is `sendmail -bi`; they take the same options.
func mailq(a *app, args []string) int { return sendmail(a, append([]string{"-bp"}, args...)) }

func newaliases(a *app, args []string) int { return sendmail(a, append([]string{"-bi"}, args...)) }

func (a *app) sendmailRun(o *sendmailOptions) int {
	a.flags.Dir = o.dir
	switch o.mode {
	case modeAliases:
		return a.checkAliases()
	case modeQueue:
		return a.mailQueue()
	case modeFlush:
		return a.sendmailFail(a.flushQueue(o.flush))
	case modeVerify:
		return a.sendmailFail(a.verify(o))
	case modeSMTP:
		return a.sendmailFail(a.smtpSession(o))
	}
	text, err := a.readMessage(o)
	if err != nil {
		return a.sendmailFail(err)
	}
	defer text.close()
	head, err := a.head(o, text)
	if err != nil {
		return a.sendmailFail(err)
	}
	said, err := a.mailPlace().hand(context.Background(), head, text)
	if err == nil && o.verbose {
		fmt.Fprintln(a.stdout, said)
	}
	return a.sendmailFail(err)
}

// sendmailFail prints an error and returns the exit code that programs which call sendmail know.
func (a *app) sendmailFail(err error) int {
	if err == nil {
		return 0
	}
	text, code := err.Error(), exitCode(err)
	var refused *status.Error
	if errors.As(err, &refused) {
		text, code = fmt.Sprintf("%s (%d %s)", refused.Public, refused.Code, refused.Enhanced), refusalCode(refused)
	}
	for line := range strings.Lines(text) {
		fmt.Fprintf(a.stderr, "sendmail: %s\n", printable(strings.TrimSuffix(line, "\n")))
	}
	return code
}

// refusalCode is the exit code for the server's refusal.
func refusalCode(e *status.Error) int {
	switch {
	case e.Class == status.Temporary:
		return exitTemporary
	case e.Enhanced.Subject == 1: // RFC 3463 §3.2: addressing
		return exitNoUser
	case e.Enhanced.Subject == 7: // §3.8: policy
		return exitDenied
	}
	return exitUnavailable
}

// mailPlace is where a system takes mail from programs.
type mailPlace struct {
	run, data string
	maxDrop   int64 // bytes of a message that is left in the drop folder
	hostname  string
}

// mailPlace finds the system. Most users may not read its configuration: then the places are those of the defaults.
func (a *app) mailPlace() mailPlace {
	c := config.Defaults()
	if file, overrides, err := a.where(); err == nil {
		read, err := config.Load(file, overrides)
		if err != nil {
			read, err = config.Load("", overrides)
		}
		if err == nil {
			c = read
		}
	}
	return mailPlace{run: c.RunDir, data: c.DataDir, maxDrop: int64(c.SMTP.MaxMessageSize), hostname: c.Hostname}
}

// hand gives a message to the server; where none takes it, to the drop folder. When it returns nil the message is durable.
func (p mailPlace) hand(ctx context.Context, h *submit.Head, text *spool) (said string, err error) {
	body, err := text.reader()
	if err != nil {
		return "", err
	}
	id, err := submit.Send(ctx, p.run, h, body)
	var later *submit.Later
	switch {
	case err == nil:
		return "Ok: queued as " + id, nil
	case errors.Is(err, submit.ErrHead):
		return "", &codeError{exitData, err}
	case !errors.Is(err, submit.ErrNoServer) && !errors.As(err, &later):
		return "", err
	case h.Size > p.maxDrop:
		return "", withCode(exitTemporary, "%w; and a message of %d bytes is too large to wait for it (the limit is %d)", err, h.Size, p.maxDrop)
	}
	again, dropErr := text.reader()
	if dropErr == nil {
		dropErr = submit.Drop(filepath.Join(p.data, submit.DropName), h, again)
	}
	if dropErr != nil {
		return "", withCode(exitTemporary, "the message is not sent: %w\n%w", err, dropErr)
	}
	return "Ok: left for the server, which is not there", nil
}

// head is what goes in front of the message.
func (a *app) head(o *sendmailOptions, text *spool) (*submit.Head, error) {
	recipients := o.recipients
	if o.extract {
		more, err := extractRecipients(text.start())
		if err != nil {
			return nil, err
		}
		recipients = append(recipients, more...)
	}
	if len(recipients) == 0 && o.extract {
		return nil, usagef("no recipients: there are none on the command line, and none in To, Cc and Bcc")
	}
	if len(recipients) == 0 {
		return nil, usagef("no recipients: name them on the command line, or use -t to take them from the message")
	}
	if len(recipients) > submit.MaxRecipients {
		return nil, withCode(exitData, "%d recipients are more than %d", len(recipients), submit.MaxRecipients)
	}
	login, full := userNames(a.getenv)
	if name := a.getenv("NAME"); name != "" {
		full = name
	}
	if o.named {
		full = o.name
	}
	h := &submit.Head{Token: submit.NewToken(time.Now()), Sender: login, Name: cleanName(full), Recipients: recipients, Notify: o.notify, Ret: o.ret,
		EnvID: o.envID, VERP: o.verp, Size: text.size}
	if o.senderSaid {
		h.Sender = o.sender
	}
	if err := h.Check(); err != nil {
		return nil, &codeError{exitData, err}
	}
	return h, nil
}

// userNames are login and full name of whoever runs the program, as the system knows them.
func userNames(getenv func(string) string) (login, full string) {
	uid := strconv.Itoa(os.Getuid())
	u, err := user.LookupId(uid)
	if err != nil { // not in the file: the shell may know
		for _, key := range []string{"LOGNAME", "USER"} {
			if login = getenv(key); login != "" && !strings.ContainsAny(login, "@ \t\r\n") {
				return login, ""
			}
		}
		return "uid" + uid, ""
	}
	full = u.Name
	if strings.Contains(full, "&") && u.Username != "" { // passwd(5): the login name, capitalised
		full = strings.ReplaceAll(full, "&", strings.ToUpper(u.Username[:1])+u.Username[1:])
	}
	return u.Username, full
}

// cleanName makes a full name fit for the head.
func cleanName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "")
	}
	return strings.Trim(s, " ")
}

// sendmailOptions are a command line.
type sendmailOptions struct {
	mode       sendmailMode
	extract    bool // -t
	ignoreDots bool // -i
	verbose    bool // -v
	sender     string
	senderSaid bool
	name       string
	named      bool
	notify     envelope.Notify
	ret        envelope.Ret
	envID      string
	verp       string // the delimiters; empty: not asked for
	dir        string
	recipients []string
	interval   string          // of -q15m, which says nothing to us
	flush      admin.JobFilter // of -q, -qI, -qR
}

type sendmailMode int

const (
	modeDeliver sendmailMode = iota
	modeSMTP
	modeQueue
	modeAliases
	modeVerify
	modeFlush
)
