// Package greylist decides who is asked to come again (RFC 6647): mail whose client, sender and recipient were not seen together
// before is answered 450, and taken when they come again after a while. A server's queue does that by itself; much that only
// sends spam does not.
//
// It knows networks and senders. Clients count together: all of a /24 (/64 in IPv6), or, where they have verified names of one
// registered domain that do not look like those of dial-ups, all of that domain (the pools of large providers). Senders that
// change with each message count as one: VERP, SRS, BATV, addresses with numbers in them. A client network that came again with
// several triplets is not greylisted any more.
//
// It is pure: no clock, no I/O. What it remembers is bounded and written behind by its owner (package recall).
//
//	greylist.go  List: triplets and networks
//	sender.go    senders that count as one
//	suspect.go   points of suspicion: names, or the lack of them
package greylist
