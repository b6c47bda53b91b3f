package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/status"
)

// postqueue is Postfix's command of that name: it lists the queue (-p, -j) and has mail tried now (-f, -i, -s).
// docs/postfix-commands.md has what differs.
func postqueue(a *app, args []string) int {
	p := &postfixTool{app: a, name: "postqueue", code: exitUnavailable,
		usage: "postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site"}
	return p.end(p.postqueue(args))
}

func (p *postfixTool) postqueue(args []string) error {
	options, operands, err := p.options(args, "c:fi:jps:v")
	if err != nil {
		return err
	}
	var what []option
	for _, o := range options {
		if o.letter != 'c' && o.letter != 'v' {
			what = append(what, o)
		}
	}
	if len(what) != 1 || len(operands) > 0 {
		return p.misused()
	}
	if err := p.place(options); err != nil {
		return err
	}
	value := what[0].value
	switch what[0].letter {
	case 'p':
		return p.lists((*app).listQueue)
	case 'j':
		return p.lists((*app).listQueueJSON)
	case 'f':
		return p.flush(admin.JobsChange{Action: admin.Flush, All: true})
	case 'i':
		if !maybeID(value) {
			return postfixWords(fmt.Sprintf("Cannot flush queue ID - invalid name: %q", value))
		}
		if _, err := queueid.Parse(value); err != nil {
			return nil // none of ours: there is no such message
		}
		return p.flush(admin.JobsChange{Action: admin.Flush, Filter: admin.JobFilter{IDs: []string{value}}})
	}
	if !isSite(value) {
		return postfixWords(fmt.Sprintf("Cannot flush mail queue - invalid destination: %q", value))
	}
	return p.flush(admin.JobsChange{Action: admin.Flush, Filter: admin.JobFilter{Recipient: "@" + value}})
}

// isSite tells whether -s could mean a destination: a host name, or an address literal.
func isSite(s string) bool {
	domain, err := address.CanonicalDomain(s)
	if err != nil || domain == "" {
		return false
	}
	if _, literal := address.LiteralIP(domain); literal {
		return true
	}
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 || s[i] == '*' || s[i] == '?' {
			return false
		}
	}
	return strings.ContainsFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
}

// lists shows the queue, also while no server runs.
func (p *postfixTool) lists(list func(*app, context.Context, admin.API) error) error {
	return p.operateQueueAlone(func() {
		p.warn("Mail system is down -- accessing queue directly")
	}, func(ctx context.Context, api admin.API) error { return list(p.app, ctx, api) })
}

// flush asks the running server.
func (p *postfixTool) flush(c admin.JobsChange) error {
	config, err := p.load(nil)
	if err != nil {
		return err
	}
	ctx := context.Background()
	client, err := admin.Dial(ctx, config.RunDir)
	if errors.Is(err, admin.ErrNoServer) {
		return postfixWords("Cannot flush mail queue - mail system is down")
	}
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = client.ChangeJobs(ctx, c)
	return err
}

const queueLine = "%-17s %8v %-19s %s\n"

// listQueue writes the queue in the form of `postqueue -p`, which programs read.
func (a *app) listQueue(ctx context.Context, api admin.API) error {
	w := bufio.NewWriter(a.stdout)
	total, n := int64(0), 0
	err := api.Queue(ctx, admin.JobFilter{}, func(j admin.Job) error {
		if n == 0 {
			fmt.Fprintf(w, queueLine, "----Queue ID-----", "--Size--", "---Arrival Time----", "--Sender/Recipient------")
		}
		n++
		total += j.Size
		writeJob(w, j)
		return nil
	})
	if err != nil {
		return errors.Join(err, w.Flush())
	}
	switch n {
	case 0:
		fmt.Fprintln(w, "Mail queue is empty")
	case 1:
		fmt.Fprintf(w, "-- %d Kbytes in 1 Request.\n", total/1024)
	default:
		fmt.Fprintf(w, "-- %d Kbytes in %d Requests.\n", total/1024, n)
	}
	return w.Flush()
}

// writeJob writes one message, its recipients behind the reason that they wait for.
func writeJob(w *bufio.Writer, j admin.Job) {
	mark := map[string]string{"active": "*", "hold": "!"}[j.State]
	fmt.Fprintf(w, queueLine, j.ID+mark, j.Size, j.Arrival.Local().Format("Mon Jan _2 15:04:05"), plain(postfixSender(j)))
	why := ""
	for _, r := range j.Recipients {
		if reason := postfixReason(r); reason != "" && reason != why {
			why = reason
			fmt.Fprintf(w, "%*s(%s)\n", max(0, 76-len(why)), "", why)
		}
		fmt.Fprintf(w, queueLine, "", "", "", plain(r.Address))
	}
	fmt.Fprintln(w)
}

// postfixSender is the sender as Postfix shows it, who has a name for the null reverse-path.
func postfixSender(j admin.Job) string {
	if j.Sender == "" {
		return "MAILER-DAEMON"
	}
	return j.Sender
}

// postfixReason is why a recipient waits, in the way Postfix puts it, since programs look for its words: "connect to …" for
// a host that is not reached, "host … said:" in front of a host's own.
func postfixReason(r admin.Recipient) string {
	text := strings.ReplaceAll(r.Reason, "\n", " ")
	if where, why, ok := strings.Cut(strings.TrimPrefix(text, connecting), "]:"); ok && strings.HasPrefix(text, connecting) {
		port, why, _ := strings.Cut(why, ": ")
		if why == "timed out" {
			why = "connection timed out"
		}
		if why != "" {
			why = strings.ToUpper(why[:1]) + why[1:]
		}
		text = "connect to " + where + "]:" + port + ": " + why
	}
	if host, _, ok := strings.Cut(r.Relay, "]"); ok && isReply(text) {
		text = "host " + host + "] said: " + replyText(r.Reason)
	}
	return plain(text)
}

// replyText is a reply in one line, with the codes in front of each of its own.
func replyText(s string) string {
	lines := strings.Split(s, "\n")
	code, rest := s[:3], ""
	if fields := strings.Fields(lines[0]); len(fields) > 1 {
		if _, _, ok := status.ParseEnhanced(fields[1]); ok {
			rest = fields[1] + " "
		}
	}
	for i := range lines {
		if i > 0 {
			lines[i] = code + " " + rest + lines[i]
		}
		if i < len(lines)-1 {
			lines[i] = code + "-" + lines[i][min(4, len(lines[i])):]
		}
	}
	return strings.Join(lines, " ")
}

// connecting is how agent/mta begins what became of a host that it could not connect to.
const connecting = "connection to "

// isReply tells whether a text begins as a host's reply does (RFC 5321 §4.2).
func isReply(s string) bool {
	return len(s) >= 3 && (s[0] == '4' || s[0] == '5') && s[1] >= '0' && s[1] <= '5' && s[2] >= '0' && s[2] <= '9' &&
		(len(s) == 3 || s[3] == ' ' || s[3] == '-')
}

// listQueueJSON writes the queue in the form of `postqueue -j`: a line of JSON for each message.
func (a *app) listQueueJSON(ctx context.Context, api admin.API) error {
	w := bufio.NewWriter(a.stdout)
	err := api.Queue(ctx, admin.JobFilter{}, func(j admin.Job) error {
		fmt.Fprintf(w, `{"queue_name": %s, "queue_id": %s, "arrival_time": %d, "message_size": %d, "forced_expire": false, "sender": %s, "recipients": [`,
			quoted(j.State), quoted(j.ID), j.Arrival.Unix(), j.Size, quoted(postfixSender(j)))
		for i, r := range j.Recipients {
			sep := ", "
			if i == 0 {
				sep = ""
			}
			fmt.Fprintf(w, `%s{"address": %s`, sep, quoted(r.Address))
			if reason := postfixReason(r); reason != "" {
				fmt.Fprintf(w, `, "delay_reason": %s`, quoted(reason))
			}
			_ = w.WriteByte('}')
		}
		_, err := w.WriteString("]}\n")
		return err
	})
	return errors.Join(err, w.Flush())
}

// quoted is a string of JSON.
func quoted(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}
