package bounce

import (
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

// byEnhanced is what subject and detail of an enhanced code say (RFC 3463 §3, and the IANA registry of RFC 5248); ClassNone
// for those that say too little. X.7.1 is said for everything and therefore not here.
func byEnhanced(e status.Enhanced) (class flow.Class, personal bool) {
	type code struct{ subject, detail uint16 }
	if e.IsZero() {
		return flow.ClassNone, false
	}
	if e.Subject == 7 && e.Detail >= 606 && e.Detail <= 649 { // Microsoft's banned addresses
		return flow.ClassBlocked, false
	}
	switch (code{e.Subject, e.Detail}) {
	case code{1, 1}, code{1, 3}, code{1, 4}:
		return flow.ClassUnknown, true
	case code{1, 6}: // moved, no forwarding address
		return flow.ClassInactive, true
	case code{1, 2}, code{1, 10}: // no such system; RFC 7505 §4.2
		return flow.ClassDomain, true
	case code{1, 7}, code{1, 8}, code{1, 9}: // the sender's address
		return flow.ClassPolicy, true
	case code{2, 1}:
		return flow.ClassInactive, true
	case code{2, 2}, code{3, 1}:
		return flow.ClassFull, true
	case code{2, 3}, code{3, 4}:
		return flow.ClassSize, true
	case code{4, 1}, code{4, 2}:
		return flow.ClassNetwork, false
	case code{4, 3}, code{4, 4}:
		return flow.ClassDNS, true
	case code{4, 5}, code{7, 28}: // congestion; mail flood detected
		return flow.ClassThrottled, false
	case code{5, 3}: // too many recipients: the next transaction takes the others
		return flow.ClassThrottled, true
	case code{4, 6}:
		return flow.ClassLoop, true
	case code{4, 7}:
		return flow.ClassExpired, true
	case code{3, 3}, code{5, 0}, code{5, 1}, code{5, 2}, code{5, 4}, code{5, 5}, code{6, 3}, code{6, 7}:
		return flow.ClassProtocol, true
	case code{6, 0}, code{6, 1}, code{6, 2}, code{6, 4}, code{6, 5}, code{6, 6}:
		return flow.ClassContent, true
	case code{7, 2}, code{7, 17}, code{7, 18}, code{7, 20}, code{7, 21}, code{7, 22}, code{7, 23}, code{7, 24}, code{7, 25}, code{7, 26}, code{7, 27}, code{7, 29}:
		return flow.ClassPolicy, true // RFC 7372: DKIM, SPF, reverse names; RFC 7293: another owner of the mailbox
	case code{7, 8}, code{7, 9}, code{7, 12}, code{7, 13}, code{7, 14}:
		return flow.ClassAuth, true
	case code{7, 4}, code{7, 10}, code{7, 11}, code{7, 30}: // RFC 8689 §4.2.1
		return flow.ClassTLS, true
	}
	return flow.ClassNone, false
}

// byCode is what a reply code says where nothing else does.
func byCode(code int, p Phase) flow.Class {
	switch code {
	case 500, 501, 502, 503, 504, 555:
		return flow.ClassProtocol
	case 454:
		if p == TLS {
			return flow.ClassTLS
		}
	case 432, 530, 534, 535, 538:
		return flow.ClassAuth
	case 521, 556: // RFC 7504
		return flow.ClassDomain
	case 551: // not a mailbox of theirs
		return flow.ClassUnknown
	case 452, 552:
		switch p {
		case Mail:
			return flow.ClassSize
		case Rcpt, End:
			return flow.ClassFull
		}
	}
	switch {
	case p == TLS:
		return flow.ClassTLS
	case p == Auth:
		return flow.ClassAuth
	case code/100 == 5 && (p == Greeting || p == Connect): // 554 in the place of a greeting: we as such are not wanted
		return flow.ClassBlocked
	}
	return flow.ClassOther
}
