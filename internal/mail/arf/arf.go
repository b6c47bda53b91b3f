// Package arf reads abuse reports (ARF, RFC 5965): what a mailbox provider sends to who sent a message that one of its users called
// spam. From it comes whom no more of the kind is to be sent to.
//
// A report is hostile: anybody can write one. The package says what it says, and nothing of whether it is true. Its input is bounded by
// MaxSize, values by maxValue, recipients by maxRecipients. Providers leave out what they think private, so most may be missing; what is
// missing is taken from the message that the report holds, where that can be told.
//
//	arf.go  Parse
//
// Bytes that are no report give ErrNone.
package arf

import (
	"errors"
	"strings"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/mime"
)

// Limits of a report.
const (
	MaxSize       = 1 << 20 // bytes; what is behind is not looked at
	maxValue      = 1000    // of one field
	maxRecipients = 20
	maxHeader     = 64 << 10
)

// ErrNone says that a message is no abuse report.
var ErrNone = errors.New("not a feedback report (RFC 5965)")

// Report is what a report says; of what it does not say the zero value.
type Report struct {
	Type      string // Feedback-Type in lower case: abuse, fraud, virus, not-spam, other, opt-out, …
	UserAgent string
	SourceIP  string
	// From is the reverse-path of the message that it is about: Original-Mail-From, else Return-Path of the message in the report.
	From address.Address
	// Recipients are who complained: Original-Rcpt-To, else the only recipient in the message's To field.
	Recipients []address.Address
	MessageID  string // of the message that it is about, without angle brackets
	Author     address.Address
}

// Complaint tells whether it is about mail that was not wanted (RFC 5965 §7.3, RFC 6449), and not the opposite, or about something
// else such as authentication.
func (r *Report) Complaint() bool {
	switch r.Type {
	case "abuse", "fraud", "opt-out", "opt-out-list", "complaint":
		return true
	}
	return false
}

// Parse reads a report.
func Parse(b []byte) (*Report, error) {
	b = b[:min(len(b), MaxSize)]
	root := mime.Parse(b).Root
	if root == nil || root.Type != "multipart" || root.Subtype != "report" {
		return nil, ErrNone
	}
	if kind, _ := header.Get(root.Params, "report-type"); !strings.EqualFold(kind, "feedback-report") { // RFC 5965 §2
		return nil, ErrNone
	}
	r, found := &Report{}, false
	for _, p := range root.Children {
		body := partOf(b, p)
		switch p.Type + "/" + p.Subtype {
		case "message/feedback-report":
			if found { // exactly one: RFC 5965 §2
				return nil, ErrNone
			}
			found = true
			r.facts(body)
		case "message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers":
			r.original(body)
		}
	}
	if !found || r.Type == "" {
		return nil, ErrNone
	}
	return r, nil
}

// partOf is a part's body as it stands there: types of message have no encoding (RFC 2046 §5.2).
func partOf(b []byte, p *mime.Part) []byte {
	if p.Body < 0 || p.End > int64(len(b)) || p.Body > p.End {
		return nil
	}
	return b[p.Body:p.End]
}

// facts reads the fields for machines, RFC 5965 §3.
func (r *Report) facts(b []byte) {
	h, _ := header.Parse(b, maxHeader) // what is read of a header that is too long will do
	for _, f := range h.Fields {
		v := clip(h.Value(f))
		switch strings.ToLower(string(h.Name(f))) {
		case "feedback-type":
			if r.Type == "" {
				r.Type = strings.ToLower(v)
			}
		case "user-agent":
			r.UserAgent = v
		case "source-ip":
			r.SourceIP = v
		case "original-mail-from":
			if a, ok := path(v); ok {
				r.From = a
			}
		case "original-rcpt-to":
			if a, ok := path(v); ok && len(r.Recipients) < maxRecipients {
				r.Recipients = append(r.Recipients, a)
			}
		}
	}
}

// original takes from the message what the report does not say.
func (r *Report) original(b []byte) {
	h, _ := header.Parse(b, maxHeader)
	if v, ok := h.Get("Message-ID"); ok {
		r.MessageID = strings.Trim(clip(v), "<>")
	}
	if v, ok := h.Get("Return-Path"); ok && r.From.IsZero() {
		if a, ok := path(clip(v)); ok {
			r.From = a
		}
	}
	if v, ok := h.Get("From"); ok {
		if list, _ := header.ParseList(v, 2); len(list) == 1 {
			r.Author, _ = list[0].Address() // zero: it is none
		}
	}
	if v, ok := h.Get("To"); ok && len(r.Recipients) == 0 && h.Count("To") == 1 && h.Count("Cc") == 0 {
		if list, more := header.ParseList(v, 2); len(list) == 1 && !more {
			if a, err := list[0].Address(); err == nil && a.Domain != "" {
				r.Recipients = append(r.Recipients, a)
			}
		}
	}
}

// path reads an address, with angle brackets or without; "<>" and what is left out of privacy are none.
func path(s string) (address.Address, bool) {
	s = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(s), "<"), ">")
	a, err := address.Parse(s, true)
	return a, err == nil && a.Domain != ""
}

func clip(s string) string {
	s = strings.TrimSpace(s)
	return s[:min(len(s), maxValue)]
}
