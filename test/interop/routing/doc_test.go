// Package routing compares where mail goes with Debian's Postfix: the same maps and the same envelopes to both, hundreds of
// them generated. Postfix's transports are all its discard(8), which logs the final recipient and the next hop of each; ours
// are what package route decides.
//
// What differs, and is allowed for here, is in docs/routing.md: a member of an alias that is nobody is left out instead of
// bounced, and mail for nobody but such members is refused at RCPT.
package routing
