// Package dnslist asks DNS lists (RFC 5782): of addresses (DNSBL, DNSWL) and of domains (RHSBL).
//
// A list is written as in Postfix: "zen.spamhaus.org", "list.dnswl.org=127.0.[2..15].[1;3]", and where scores are added up
// "bl.example=127.0.0.[2..11]*2" or "list.dnswl.org=127.0.[0..255].3*-5".
//
// All lists are asked at once and share one time. What cannot be asked (SERVFAIL, time-out) is an error of that one list and
// adds nothing to a score; whoever needs certainty looks at Answer.Err.
//
// Three kinds of answers list nobody, unless the list's own filter asks for them, because operators of lists say other
// things with them: addresses outside of 127.0.0.0/8 (RFC 5782 §2.1; a domain that was sold, a resolver that rewrites
// absences), 127.0.0.1 and 127.255.255.0/24 (the list refuses to serve this resolver). They are told as errors. The addresses
// 127.0.0.1 and ::1 are not asked for: no list may have them (RFC 5782 §5).
//
// Nothing is remembered here: the Resolver keeps answers as long as their TTL.
//
//	list.go      List: domain, filter, weight
//	filter.go    the filter: d.d.d.d with lists and ranges
//	ask.go       Asker: names to ask for, answers, scores, reasons
//	template.go  Template: texts of replies, with $name and ${name?text}
//	reply.go     from a template's text to a reply
//
// It never decides: who is refused, and with which code, is its caller's business.
package dnslist
