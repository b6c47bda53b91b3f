// Package dns is a stub resolver (RFC 1034 §5.3.1): it asks recursive resolvers and remembers what they said.
//
// Questions go over UDP with EDNS0 (RFC 6891) from a fresh random port with a random id, and over TCP when an answer was
// cut off. Answers are cached within their TTL, absences within that of their SOA (RFC 2308); the same question asked
// twice at once is sent once. The resolver's AD bit is kept (Meta.Authentic); it is worth as much as the path to that
// resolver.
//
// A failure is always an *Error, and its Kind tells three things apart that mail must not mix up: the name does not exist
// (NXDomain), it exists without such records (NoData), and we do not know (Temporary). Time-outs, SERVFAIL, REFUSED,
// referrals, answers that make no sense and loops of aliases are all Temporary: anything but a positive answer means
// try again.
//
//	resolver.go  Resolver: cache, sharing of questions, order of servers
//	lookup.go    LookupMX, LookupIP, LookupTXT, LookupPTR
//	update.go    Updater: dynamic update of a zone (RFC 2136), signed by TSIG (RFC 8945)
//	exchange.go  one question to one server, UDP then TCP
//	answer.go    what a response says: aliases, TTLs, absence
//	cache.go     bounded, least recently used goes first
//	name.go      names and their forms
//	errors.go    Error and its kinds
//	conf.go      /etc/resolv.conf
//	dnstest/     a server for tests, with faults
//
// It never validates signatures itself, does not read /etc/hosts (localhost alone is known without asking, RFC 6761
// §6.3), and starts no goroutine that outlives a call.
package dns
