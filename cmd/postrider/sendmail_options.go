package main

import (
	"os"
	"strings"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/header"
)

// The letters of sendmail's options. Options may be joined, and values stand behind the letter or in the next argument
// (POSIX getopt): -ti, -fuser, -f user.
const (
	sendmailFlags  = "GIUaimnstvxT"       // without a value
	sendmailValues = "ABCFLNORVXbcefhopr" // with one
	sendmailMaybe  = "dq"                 // with one if it stands behind the letter
)

// parseSendmail reads a command line. Options that mean nothing here are accepted where ignoring them does no harm; the
// error says what to do instead of the others.
func parseSendmail(args []string) (*sendmailOptions, error) {
	o := &sendmailOptions{}
	for len(args) > 0 {
		arg := args[0]
		if arg == "--" {
			args = args[1:]
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			break
		}
		args = args[1:]
		for i := 1; i < len(arg); i++ {
			c, value := arg[i], arg[i+1:]
			switch {
			case strings.IndexByte(sendmailFlags, c) >= 0:
				o.flag(c)
				continue
			case strings.IndexByte(sendmailMaybe, c) >= 0:
			case strings.IndexByte(sendmailValues, c) < 0:
				return nil, usagef("there is no option -%c; see sendmail(1)", c)
			case value == "" && len(args) == 0:
				return nil, usagef("the option -%c wants a value", c)
			case value == "":
				value, args = args[0], args[1:]
			}
			if err := o.value(c, value); err != nil {
				return nil, err
			}
			break
		}
	}
	for _, operand := range args {
		list, err := parseRecipients(operand)
		if err != nil {
			return nil, err
		}
		o.recipients = append(o.recipients, list...)
	}
	if o.interval != "" && o.mode == modeDeliver && len(o.recipients) == 0 && !o.extract {
		return nil, usagef("-q%s: the server tries again by itself (mta.retry); -q alone makes it try everything now", o.interval)
	}
	return o, nil
}

// flag obeys an option without a value; those not named here are of other times.
func (o *sendmailOptions) flag(c byte) {
	switch c {
	case 'i':
		o.ignoreDots = true
	case 't':
		o.extract = true
	case 'v':
		o.verbose = true
	case 'I':
		o.mode = modeAliases
	}
}

// value obeys an option with a value.
func (o *sendmailOptions) value(c byte, value string) (err error) {
	switch c {
	case 'b':
		return o.setMode(value)
	case 'q':
		return o.queueRun(value)
	case 'f', 'r':
		o.sender, err = parseSender(value)
		o.senderSaid = true
	case 'F':
		o.name, o.named = value, true
	case 'N':
		o.notify, err = parseNotify(value)
	case 'R':
		o.ret, err = parseRet(value)
	case 'V':
		o.envID = value
		if len(value) > 100 || cleanName(value) != value {
			err = usagef("-V: an envelope id has at most 100 characters, none of them a control character")
		}
	case 'c', 'C':
		// Of old a configuration file, which is not ours to read.
		if info, statErr := os.Stat(value); statErr == nil && info.IsDir() {
			o.dir = value
		} else if c == 'c' {
			err = withCode(exitNoInput, "-c %s: there is no such data directory", value)
		}
	case 'o':
		o.ignoreDots = o.ignoreDots || value == "i" || value == "it" || value == "ti"
		o.extract = o.extract || value == "t"
	case 'O':
		name, on, _ := strings.Cut(value, "=")
		o.ignoreDots = o.ignoreDots || strings.EqualFold(name, "IgnoreDots") && !strings.EqualFold(on, "false")
	case 'X':
		// Postfix: -XV, or with the delimiters behind it. Others of X name a file for a log of the conversation, which is not written.
		if delimiters, verp := strings.CutPrefix(value, "V"); verp {
			if o.verp = delimiters; delimiters == "" {
				o.verp = "+="
			}
			if len(o.verp) != 2 || strings.Trim(o.verp, "-=+") != "" {
				err = usagef("-XV: the delimiters are two of the characters -=+")
			}
		}
	}
	return err
}

func (o *sendmailOptions) setMode(value string) error {
	switch value {
	case "m":
		o.mode = modeDeliver
	case "s":
		o.mode = modeSMTP
	case "p":
		o.mode = modeQueue
	case "i":
		o.mode = modeAliases
	case "v":
		o.mode = modeVerify
	case "d", "D", "l":
		return usagef("-b%s: the server is started by `postrider serve`, or by the service manager", value)
	case "t":
		return usagef("-bt: there are no rewriting rules to test; `postrider queue show` and the log tell where mail goes")
	case "h", "H":
		return usagef("-b%s: there is no table of hosts to show or to clear", value)
	default:
		return usagef("-b%s: there is no such mode; -bm, -bs, -bp, -bi and -bv are", value)
	}
	return nil
}

// queueRun is -q: alone it flushes the queue, with I and an id one message, with R what goes to a domain; with a time it is for
// a daemon of other times.
func (o *sendmailOptions) queueRun(value string) error {
	switch {
	case value == "":
		o.mode = modeFlush
	case value[0] >= '0' && value[0] <= '9':
		o.interval = value
	case value[0] == 'I' && maybeID(value[1:]):
		o.mode, o.flush = modeFlush, admin.JobFilter{IDs: []string{value[1:]}}
	case value[0] == 'R' && isSite(value[1:]):
		o.mode, o.flush = modeFlush, admin.JobFilter{Recipient: "@" + value[1:]}
	default:
		return usagef("-q%s: wants nothing, a time, I and a queue id, or R and a domain", value)
	}
	return nil
}

// parseRecipients reads an operand: an address, or a list of them, as people write them.
func parseRecipients(s string) ([]string, error) {
	list, more := header.ParseList(s, maxOperand)
	if more {
		return nil, withCode(exitData, "more than %d addresses in one argument", maxOperand)
	}
	var out []string
	for _, m := range list {
		if m.Kind != header.Individual {
			continue
		}
		if m.Local == "" {
			return nil, withCode(exitData, "%q is not an address", s)
		}
		out = append(out, addressText(m))
	}
	if len(out) == 0 {
		return nil, withCode(exitData, "%q is not an address", s)
	}
	return out, nil
}

const maxOperand = 10_000

// addressText is an entry of an address list as the server wants it: without a domain where there was none.
func addressText(m header.Mailbox) string {
	return address.Address{Local: m.Local, Domain: m.Domain}.String()
}

// parseSender reads the value of -f: empty is the null reverse-path.
func parseSender(s string) (string, error) {
	if s = strings.TrimSpace(s); s == "" || s == "<>" {
		return "", nil
	}
	list, err := parseRecipients(s)
	if err == nil && len(list) != 1 {
		err = withCode(exitData, "-f %q: that is more than one address", s)
	}
	if err != nil {
		return "", err
	}
	return list[0], nil
}

// parseNotify reads -N: never, or a list (RFC 3461 §4.1).
func parseNotify(s string) (n envelope.Notify, err error) {
	words := map[string]envelope.Notify{"never": envelope.NotifyNever, "success": envelope.NotifySuccess, "failure": envelope.NotifyFailure,
		"delay": envelope.NotifyDelay}
	for word := range strings.SplitSeq(strings.ToLower(s), ",") {
		one := words[strings.TrimSpace(word)]
		if one == 0 {
			return 0, usagef("-N %s: wants never, or some of success, failure, delay, separated by commas", s)
		}
		n |= one
	}
	if n&envelope.NotifyNever != 0 && n != envelope.NotifyNever {
		return 0, usagef("-N %s: never stands alone", s)
	}
	return n, nil
}

// parseRet reads -R (RFC 3461 §4.3).
func parseRet(s string) (envelope.Ret, error) {
	switch strings.ToLower(s) {
	case "full":
		return envelope.RetFull, nil
	case "hdrs":
		return envelope.RetHeaders, nil
	}
	return 0, usagef("-R %s: wants full or hdrs", s)
}
