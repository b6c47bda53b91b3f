package queue

import (
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
)

// Filter says which jobs are meant. Every criterion that is set must hold; the zero Filter means all jobs.
type Filter struct {
	IDs    []queueid.ID
	States []string // as Info.State; none: any
	// Sender and Recipient are an address, @domain, or a pattern with * and ?, in any case; "<>" is the null sender.
	Sender, Recipient string
	Site              string // as RecipientInfo.Site or Route
	Transport         string // as RecipientInfo.Transport
	Class             []flow.Class
	Reason            string // is in the last attempt's reply, in any case
	Before, After     time.Time
	Limit             int        // jobs at most; 0: no limit
	Offset            queueid.ID // only jobs behind it: the last one of the page before
}

// byRecipient tells whether the filter chooses among a job's recipients.
func (f *Filter) byRecipient() bool {
	return f.Recipient != "" || f.Site != "" || f.Transport != "" || len(f.Class) > 0 || f.Reason != ""
}

// matches tells whether a job is meant; of its recipients one must be.
func (f *Filter) matches(i *Info) bool {
	switch {
	case len(f.States) > 0 && !slices.Contains(f.States, i.State),
		f.Sender != "" && !matchAddress(f.Sender, i.Sender),
		!f.Before.IsZero() && !i.Received.Before(f.Before),
		!f.After.IsZero() && i.Received.Before(f.After):
		return false
	}
	return !f.byRecipient() || slices.ContainsFunc(i.Recipients, func(r RecipientInfo) bool { return f.recipient(&r) })
}

// recipient tells whether a recipient of a job is meant.
func (f *Filter) recipient(r *RecipientInfo) bool {
	switch {
	case f.Recipient != "" && !matchAddress(f.Recipient, r.Address),
		f.Site != "" && !strings.EqualFold(f.Site, r.Site) && !strings.EqualFold(f.Site, r.Route),
		f.Transport != "" && f.Transport != r.Transport,
		len(f.Class) > 0 && !slices.ContainsFunc(f.Class, func(c flow.Class) bool { return c.String() == r.Class }),
		f.Reason != "" && !strings.Contains(strings.ToLower(r.Reply), strings.ToLower(f.Reason)):
		return false
	}
	return true
}

// matchAddress tells whether a pattern means an address; the null reverse-path is the empty one.
func matchAddress(pattern, address string) bool {
	pattern, address = strings.ToLower(pattern), strings.ToLower(address)
	switch {
	case pattern == "<>":
		return address == ""
	case strings.ContainsAny(pattern, "*?"):
		return glob(pattern, address)
	case strings.HasPrefix(pattern, "@"):
		return strings.HasSuffix(address, pattern)
	}
	return pattern == address
}

// glob tells whether s fits a pattern in which * is any text and ? any byte. Its time is bounded by the product of both lengths.
func glob(pattern, s string) bool {
	star, mark := -1, 0 // the last * and where its text ended
	p := 0
	for i := 0; i < len(s); {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
