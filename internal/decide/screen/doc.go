// Package screen tests clients that nobody knows before they may deliver mail, as Postfix's postscreen(8) does, with its names.
//
// Before the greeting: does the client talk although it is not its turn (RFC 5321 §3.1, §4.3.1)? How do DNS lists score it? After the
// greeting: does it send commands together where it may not (RFC 2920 §3.1), commands of other protocols, lines that end in LF
// alone (RFC 5321 §2.3.8)? Who passed is remembered and not tested again until the time of a test is over. Known clients wait
// for nothing: those who passed, those of the access list, networks that we sent mail to.
//
// Unlike postscreen, which hands a connection over to smtpd only before the greeting and therefore answers a good client's first
// mail with 450 when tests after the greeting are on, the engine that greets is the one that takes the mail: who passes, passes
// in the same session.
//
// It is a pure state machine: no clock, no DNS, no goroutine. Whoever has the connection tells it what happens (Client); DNS
// lists are asked by package dnslist. Every outcome is told as an obs.Screened.
//
//	screen.go  Screen: settings, who is known, what is written behind
//	client.go  Client: one connection, from its begin to its verdict
//	record.go  what is remembered of a client
package screen
