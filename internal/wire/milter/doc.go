// Package milter is the client side of the mail filter protocol: version 6, and 2 to 5 with older filters. The protocol has no
// standard; the facts are those of Sendmail's libmilter and of Postfix's MILTER_README.
//
// A Conn goes along with one SMTP session: Open negotiates, then come Connect, Hello, and for each message Mail, Rcpt, Data,
// Header, EndOfHeader, Body, End, with Abort where a transaction ends early or late, and Quit. Each event that the filter did
// not opt out of is sent with its macros; the answer is a Response. End also gives the modifications, one after the other.
//
// Everything that the filter sends is bounded: the length of packets, their number, the time for each answer. An error says
// that the filter cannot be talked to any more: what that means for the mail is the caller's decision.
//
// What it never does: dial, decide about mail, or keep a message in memory.
//
//	frame.go     packets
//	options.go   what is negotiated
//	conn.go      a connection: Open, one event and its answer
//	events.go    the events
//	response.go  answers and modifications
package milter
