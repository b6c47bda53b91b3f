package dsn

import (
	"strings"

	"github.com/postrider/postrider/internal/mail/header"
)

// subject says the worst of what happened.
func (r *Report) subject() string {
	worst := r.worst()
	switch {
	case r.Audience == Postmaster:
		return "Double bounce: mail that could be neither delivered nor returned"
	case worst == Failed && r.Audience == Copy:
		return "Copy for the postmaster: undelivered mail"
	case worst == Delayed && r.Audience == Copy:
		return "Copy for the postmaster: delayed mail"
	case worst == Failed:
		return "Undelivered mail returned to sender"
	case worst == Delayed:
		return "Delivery of your mail is delayed; still trying"
	case worst == Relayed:
		return "Your mail was handed on"
	}
	return "Your mail was delivered"
}

func (r *Report) worst() Action {
	worst := Expanded
	for i := range r.Recipients {
		worst = min(worst, r.Recipients[i].Action)
	}
	return worst
}

// text is the part for people: what happened, the remote's words, what to do. Lines end in CRLF.
func (r *Report) text() string {
	var b strings.Builder
	line := func(s string) { b.WriteString(s + "\r\n") }
	line("This is the mail system at " + plain(r.Host, true) + ".")
	line("")
	for _, l := range r.opening() {
		line(l)
	}
	line("")
	if r.Original.Subject != "" {
		line("    Subject: " + clip(plain(r.Original.Subject, true), 200))
	}
	if r.Audience != Sender {
		line("    Sender: <" + plain(r.Sender.Display(), true) + ">")
	}
	if !r.Arrival.IsZero() {
		line("    Received: " + header.FormatDate(r.Arrival))
	}
	for i := range r.Recipients {
		r.Recipients[i].describe(line)
	}
	line("")
	line("The details for your postmaster are in the second part of this report,")
	line("the message or its header in the third.")
	return b.String()
}

// opening says what has happened as a whole.
func (r *Report) opening() []string {
	worst := r.worst()
	switch {
	case r.Audience == Postmaster:
		return []string{"The message below could not be delivered, and its sender cannot be told:", "there is none, or the address takes no mail. It is tried no more; this",
			"report is the last that is heard of it."}
	case r.Audience == Copy && worst == Failed:
		return []string{"A message could not be delivered. Its sender has been told the following."}
	case r.Audience == Copy:
		return []string{"A message has not been delivered yet. Its sender has been told the following."}
	case worst == Failed:
		return []string{"Your message could not be delivered to the recipients listed as failed", "below. We will not try these again."}
	case worst == Delayed:
		return []string{"Your message has not been delivered yet to the recipients listed below.", "This is only a warning. You do not need to send it again: we keep trying."}
	case worst == Relayed:
		return []string{"Your message has been handed on for the recipients listed below."}
	}
	return []string{"Your message has been delivered to the recipients listed below."}
}

func (p *Recipient) describe(line func(string)) {
	line("")
	line("<" + plain(p.Final.Display(), true) + ">: " + p.Action.String())
	if _, addr, ok := strings.Cut(p.ORcpt, ";"); ok && !strings.EqualFold(addr, p.Final.String()) {
		line("    (you wrote to " + clip(plain(addr, true), 300) + ")")
	}
	a := p.advice()
	for _, s := range a.what {
		line("    " + s)
	}
	if said := words(p.Diagnostic); len(said) > 0 {
		if p.Remote != "" {
			line("    The server " + plain(p.Remote, true) + " said:")
		} else {
			line("    The reason:")
		}
		for _, s := range said {
			line("        " + s)
		}
	}
	if p.Action == Delayed && !p.RetryUntil.IsZero() {
		line("    We try until " + header.FormatDate(p.RetryUntil) + ".")
	}
	for _, s := range a.todo {
		line("    " + s)
	}
}

// clip cuts a text between characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
