package bounce

import (
	"strings"

	"github.com/postrider/postrider/internal/mail/flow"
)

// phrase is a piece of a reply in lower case. A * in it stands for any text.
type phrase struct {
	text     string
	class    flow.Class
	personal bool // it is about one recipient or message, and says nothing of the site
}

// byWords finds the first phrase of the table in a reply.
func byWords(r Report) (flow.Class, bool) {
	text := plain(r.Text)
	for _, p := range phrases() {
		if contains(text, p.text) {
			return p.class, p.personal
		}
	}
	return flow.ClassNone, false
}

// contains tells whether the pieces of a phrase stand in a text in their order. A piece begins where a word does: the ids
// that hosts put into their replies have all letters.
func contains(text, phrase string) bool {
	at := 0
	for piece := range strings.SplitSeq(phrase, "*") {
		if piece = strings.TrimSpace(piece); piece == "" {
			continue
		}
		for {
			i := strings.Index(text[at:], piece)
			if i < 0 {
				return false
			}
			begin := at + i
			at = begin + len(piece)
			if begin == 0 || !wordByte(piece[0]) || !wordByte(text[begin-1]) {
				break
			}
		}
	}
	return true
}

func wordByte(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 0x80 }

// later tells whether a host says no more than to come again.
func later(text string) bool {
	text = plain(text)
	return contains(text, "try again") || contains(text, "try later") || contains(text, "retry")
}

// phrases is what servers say, the more particular phrases first. Within a class stand the providers' own words before
// those of common software. Each line is one that was seen in their documentation or in replies; the tests have whole ones.
func phrases() []phrase {
	return []phrase{
		// Loops come before all: "hop count exceeded" is no throttling.
		{"hop count exceeded", flow.ClassLoop, true}, {"too many hops", flow.ClassLoop, true}, {"mail loop", flow.ClassLoop, true},
		{"routing loop", flow.ClassLoop, true}, {"loops back to myself", flow.ClassLoop, true}, {"mail for * loops", flow.ClassLoop, true},

		// One recipient's own rate.
		{"receiving mail too quickly", flow.ClassThrottled, true}, {"receiving mail at a rate", flow.ClassThrottled, true}, // Google 4.2.1
		{"recipient thread limit exceeded", flow.ClassThrottled, true}, // Microsoft
		{"recipient has exceeded * limit", flow.ClassThrottled, true},
		{"too many recipients", flow.ClassThrottled, true},
		{"one recipient at a time", flow.ClassThrottled, true},

		// Nobody of that name, in words that others would take for more.
		{"not listed in", flow.ClassUnknown, true}, // "User not listed in Domino Directory"

		// Greylisting.
		{"greylist", flow.ClassGreylisted, true}, {"graylist", flow.ClassGreylisted, true}, {"grey list", flow.ClassGreylisted, true},
		{"grey-list", flow.ClassGreylisted, true},
		{"[gl01]", flow.ClassGreylisted, true},                                                      // Yahoo
		{"internal resources temporarily unavailable", flow.ClassGreylisted, true},                  // Mimecast's greylisting
		{"recipient temporarily unavailable", flow.ClassGreylisted, true},                           // the same
		{"deferring message because of first contact", flow.ClassGreylisted, true},                  //
		{"unknown sender-recipient pair", flow.ClassGreylisted, true},                               //
		{"first attempt", flow.ClassGreylisted, true}, {"come back in", flow.ClassGreylisted, true}, // greylisting filters
		{"please retry in * minutes", flow.ClassGreylisted, true}, {"try again in * seconds", flow.ClassGreylisted, true},

		// The DNSBLs and block lists: our address or domain as such.
		{"permanently deferred", flow.ClassBlocked, false},                       // Yahoo [TSS09], [TSS11]
		{"connections will not be accepted from", flow.ClassBlocked, false},      // Yahoo [BL21]
		{"on our block list", flow.ClassBlocked, false},                          // Microsoft S3140, S3150
		{"banned sending ip", flow.ClassBlocked, false},                          // Microsoft 5.7.606
		{"banned sender", flow.ClassBlocked, false},                              // Microsoft 5.7.511
		{"traffic not accepted from this ip", flow.ClassBlocked, false},          // Microsoft 5.7.708
		{"rejected by outlook.com for policy reasons", flow.ClassBlocked, false}, // Microsoft SC-001 to SC-004
		{"very low reputation of the sending", flow.ClassBlocked, false},         // Google 5.7.1
		{"proofpoint dynamic reputation", flow.ClassBlocked, false},              // Apple and others behind Proofpoint
		{"support.proofpoint.com/dnsbl", flow.ClassBlocked, false},               //
		{"ip address is block listed", flow.ClassBlocked, false},                 // GMX, web.de
		{"ip=* - a problem occurred", flow.ClassBlocked, false},                  // T-Online
		{"dnsbl:attrbl", flow.ClassBlocked, false},                               // AT&T
		{"barracudanetworks.com/reputation", flow.ClassBlocked, false},           // Barracuda
		{"too many spams from your ip", flow.ClassBlocked, false},                // Free
		{"blocked using", flow.ClassBlocked, false},                              // reject_rbl_client
		{"listed by", flow.ClassBlocked, false}, {"listed at", flow.ClassBlocked, false}, {"listed in", flow.ClassBlocked, false},
		{"spamhaus", flow.ClassBlocked, false}, {"spamcop", flow.ClassBlocked, false}, {"sorbs.net", flow.ClassBlocked, false},
		{"blacklist", flow.ClassBlocked, false}, {"blocklist", flow.ClassBlocked, false}, {"block list", flow.ClassBlocked, false},
		{"blocklisted", flow.ClassBlocked, false}, {"black list", flow.ClassBlocked, false},
		{"dnsbl", flow.ClassBlocked, false}, {"rbl restriction", flow.ClassBlocked, false},
		{"your ip * blocked", flow.ClassBlocked, false}, {"ip address * blocked", flow.ClassBlocked, false},
		{"ip address * rejected", flow.ClassBlocked, false}, {"bad reputation", flow.ClassBlocked, false}, {"poor reputation", flow.ClassBlocked, false},
		{"poor email reputation", flow.ClassBlocked, false},

		// Too much at once, or in a time.
		{"unusual rate of", flow.ClassThrottled, false},                   // Google 4.7.28
		{"rate limited", flow.ClassThrottled, false},                      // Google, Microsoft S775
		{"exceeded the rate limit", flow.ClassThrottled, false},           // Microsoft RP-001
		{"exceeded the connection limit", flow.ClassThrottled, false},     // Microsoft RP-003
		{"server busy", flow.ClassThrottled, false},                       // Microsoft S77719, Yahoo
		{"sender thread limit exceeded", flow.ClassThrottled, false},      // Microsoft
		{"concurrent connections", flow.ClassThrottled, false},            // Microsoft, Yahoo
		{"unexpected volume", flow.ClassThrottled, false},                 // Yahoo [TSS04]
		{"temporarily deferred", flow.ClassThrottled, false},              // Yahoo [TS01] and kin
		{"resources temporarily unavailable", flow.ClassThrottled, false}, // Yahoo
		{"sending quota exceeded", flow.ClassThrottled, true},             // Google 5.4.5: the account's own
		{"sending limit", flow.ClassThrottled, false},
		{"frequency limited", flow.ClassThrottled, false}, // QQ
		{"slow down", flow.ClassThrottled, false},         // Orange
		{"too many connections", flow.ClassThrottled, false}, {"too many concurrent", flow.ClassThrottled, false},
		{"too many sessions", flow.ClassThrottled, false}, {"connection limit", flow.ClassThrottled, false},
		{"too many messages", flow.ClassThrottled, false}, {"too much mail", flow.ClassThrottled, false},
		{"too many mails", flow.ClassThrottled, false}, {"too many emails", flow.ClassThrottled, false},
		{"too many errors", flow.ClassThrottled, false}, {"rate limit", flow.ClassThrottled, false}, {"ratelimit", flow.ClassThrottled, false},
		{"throttl", flow.ClassThrottled, false}, {"connection rate", flow.ClassThrottled, false}, {"message rate", flow.ClassThrottled, false},
		{"connect too often", flow.ClassThrottled, false}, {"connecting too", flow.ClassThrottled, false},
		{"too fast", flow.ClassThrottled, false}, {"server overload", flow.ClassThrottled, false}, {"too busy", flow.ClassThrottled, false},

		// TLS.
		{"must issue a starttls", flow.ClassTLS, true}, {"tls required", flow.ClassTLS, true}, {"starttls first", flow.ClassTLS, true},
		{"requires tls", flow.ClassTLS, true}, {"requires encryption", flow.ClassTLS, true}, {"tls not available", flow.ClassTLS, true},
		{"tls is required", flow.ClassTLS, true}, {"encryption required", flow.ClassTLS, true},

		// Rules about who may send: authentication of the domain, DNS of the address, relaying.
		{"dmarc", flow.ClassPolicy, true}, {"unauthenticated", flow.ClassPolicy, true}, {"not authenticated", flow.ClassPolicy, true},
		{"required authentication level", flow.ClassPolicy, true}, // Microsoft 5.7.515
		{"sender is unauthenticated", flow.ClassPolicy, true}, {"spf", flow.ClassPolicy, true}, {"dkim", flow.ClassPolicy, true},
		{"does not have a ptr", flow.ClassPolicy, true}, {"reverse dns", flow.ClassPolicy, true}, {"reverse hostname", flow.ClassPolicy, true},
		{"rdns", flow.ClassPolicy, true}, {"ptr record", flow.ClassPolicy, true}, {"helo command rejected", flow.ClassPolicy, true},
		{"invalid helo", flow.ClassPolicy, true}, {"anti-spoofing", flow.ClassPolicy, true}, {"spoof", flow.ClassPolicy, true},
		{"relay access denied", flow.ClassPolicy, true}, {"relaying denied", flow.ClassPolicy, true}, {"relay not permitted", flow.ClassPolicy, true},
		{"unable to relay", flow.ClassPolicy, true}, {"relay denied", flow.ClassPolicy, true}, {"not allowed to relay", flow.ClassPolicy, true},
		{"relaying not allowed", flow.ClassPolicy, true}, {"relay prohibited", flow.ClassPolicy, true},
		{"rfc 5322", flow.ClassContent, true}, {"rfc 2822", flow.ClassContent, true},
		{"sender address rejected", flow.ClassPolicy, true}, {"sender verify failed", flow.ClassPolicy, true},
		{"sender rejected", flow.ClassPolicy, true}, {"domain of sender address", flow.ClassPolicy, true},
		{"policy that prohibited", flow.ClassPolicy, true}, // Google: the receiving domain's own rule

		// Full.
		{"over quota", flow.ClassFull, true}, {"overquota", flow.ClassFull, true}, {"over its quota", flow.ClassFull, true},
		{"out of storage", flow.ClassFull, true}, {"mailbox full", flow.ClassFull, true}, {"mailbox is full", flow.ClassFull, true},
		{"inbox is full", flow.ClassFull, true}, {"quota exceeded", flow.ClassFull, true}, {"exceeded storage", flow.ClassFull, true},
		{"exceeds quota", flow.ClassFull, true}, {"exceeded * quota", flow.ClassFull, true}, {"exceeded * disk", flow.ClassFull, true},
		{"not enough storage", flow.ClassFull, true}, {"insufficient system storage", flow.ClassFull, true}, {"insufficient disk", flow.ClassFull, true},
		{"mailbox has exceeded", flow.ClassFull, true}, {"mailbox for user is full", flow.ClassFull, true}, {"no space left", flow.ClassFull, true},
		{"insufficient system resources", flow.ClassThrottled, false}, // Microsoft 4.3.1: back pressure

		// Size.
		{"message size exceeds", flow.ClassSize, true}, {"message too large", flow.ClassSize, true}, {"message is too large", flow.ClassSize, true},
		{"exceeded * message size", flow.ClassSize, true}, {"message file too big", flow.ClassSize, true}, {"exceeds * size", flow.ClassSize, true},
		{"message too big", flow.ClassSize, true}, {"size limit", flow.ClassSize, true}, {"maximum message size", flow.ClassSize, true},

		// Closed or asleep.
		{"account * disabled", flow.ClassInactive, true}, {"mailbox * disabled", flow.ClassInactive, true}, {"user * disabled", flow.ClassInactive, true},
		{"account * inactive", flow.ClassInactive, true}, {"mailbox * inactive", flow.ClassInactive, true}, {"user is inactive", flow.ClassInactive, true},
		{"account * suspended", flow.ClassInactive, true}, {"user * suspended", flow.ClassInactive, true}, {"mailbox * suspended", flow.ClassInactive, true},
		{"account * locked", flow.ClassInactive, true}, {"mailbox * locked", flow.ClassInactive, true}, {"account * deactivated", flow.ClassInactive, true},
		{"account has been closed", flow.ClassInactive, true}, {"account closed", flow.ClassInactive, true}, {"mailbox has moved", flow.ClassInactive, true},
		{"no longer on server", flow.ClassUnknown, true}, // Apple 5.1.6
		{"no longer available", flow.ClassInactive, true}, {"no longer active", flow.ClassInactive, true}, {"account expired", flow.ClassInactive, true},
		{"not active", flow.ClassInactive, true},

		// No such domain there.
		{"null mx", flow.ClassDomain, true}, {"domain not found", flow.ClassDomain, true}, {"no such domain", flow.ClassDomain, true},
		{"domain does not exist", flow.ClassDomain, true}, {"unknown domain", flow.ClassDomain, true}, {"invalid domain", flow.ClassDomain, true},
		{"host unknown", flow.ClassDomain, true}, {"does not accept mail", flow.ClassDomain, true}, {"domain isn't in my list", flow.ClassDomain, true},

		// Nobody of that name.
		{"account that you tried to reach does not exist", flow.ClassUnknown, true},  // Google 5.1.1
		{"recipientnotfound", flow.ClassUnknown, true},                               // Microsoft 5.1.10
		{"recipient address rejected: access denied", flow.ClassUnknown, true},       // Microsoft 5.4.1
		{"requested action not taken: mailbox unavailable", flow.ClassUnknown, true}, // Microsoft, GMX
		{"doesn't have a * account", flow.ClassUnknown, true},                        // Yahoo
		{"mailbox not found", flow.ClassUnknown, true}, {"mailbox unavailable", flow.ClassUnknown, true},
		{"user unknown", flow.ClassUnknown, true}, {"unknown user", flow.ClassUnknown, true}, {"no such user", flow.ClassUnknown, true},
		{"no such mailbox", flow.ClassUnknown, true}, {"no mailbox here", flow.ClassUnknown, true}, {"no such recipient", flow.ClassUnknown, true},
		{"no such address", flow.ClassUnknown, true}, {"unknown recipient", flow.ClassUnknown, true}, {"recipient unknown", flow.ClassUnknown, true},
		{"recipient not found", flow.ClassUnknown, true}, {"user not found", flow.ClassUnknown, true}, {"unknown local", flow.ClassUnknown, true},
		{"does not exist", flow.ClassUnknown, true}, {"doesn't exist", flow.ClassUnknown, true}, {"invalid recipient", flow.ClassUnknown, true},
		{"invalid mailbox", flow.ClassUnknown, true}, {"unrouteable address", flow.ClassUnknown, true}, {"unroutable address", flow.ClassUnknown, true},
		{"undeliverable address", flow.ClassUnknown, true}, {"bad destination mailbox", flow.ClassUnknown, true}, {"not a valid mailbox", flow.ClassUnknown, true},
		{"no valid recipients", flow.ClassUnknown, true}, {"address unknown", flow.ClassUnknown, true}, {"not our customer", flow.ClassUnknown, true},
		{"user invalid", flow.ClassUnknown, true}, {"mailbox does not", flow.ClassUnknown, true}, {"isn't a valid", flow.ClassUnknown, true},

		// The message itself.
		{"unsolicited", flow.ClassContent, true}, // Google 5.7.1
		{"presents a potential security issue", flow.ClassContent, true},
		{"content denied", flow.ClassContent, true}, {"content rejected", flow.ClassContent, true}, {"spam", flow.ClassContent, true},
		{"virus", flow.ClassContent, true}, {"malware", flow.ClassContent, true}, {"phish", flow.ClassContent, true}, {"infected", flow.ClassContent, true},
		{"suspicious", flow.ClassContent, true}, {"attachment", flow.ClassContent, true}, {"message content", flow.ClassContent, true},
		{"bare lf", flow.ClassContent, true}, {"bare newline", flow.ClassContent, true}, {"header * missing", flow.ClassContent, true},
		{"duplicate header", flow.ClassContent, true}, {"message rejected due to local policy", flow.ClassContent, true}, // Apple [CS01]

		// What is left of policies, and of blocks without a name.
		{"policy reasons", flow.ClassPolicy, true}, {"policy restrictions", flow.ClassPolicy, true}, {"local policy", flow.ClassPolicy, true},
		{"policy violation", flow.ClassPolicy, true}, {"administrative prohibition", flow.ClassPolicy, true}, {"administratively", flow.ClassPolicy, true},
		{"client host rejected", flow.ClassPolicy, true}, {"reputation", flow.ClassBlocked, false},
		{"authentication required", flow.ClassAuth, true}, {"authentication failed", flow.ClassAuth, true},
		{"authentication credentials invalid", flow.ClassAuth, true}, {"must authenticate", flow.ClassAuth, true},
		{"access denied", flow.ClassPolicy, true}, {"not authorized", flow.ClassPolicy, true}, {"not authorised", flow.ClassPolicy, true},
	}
}
