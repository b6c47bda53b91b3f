// Package differential compares Postrider with Debian's Postfix: sites with maps and restrictions are written as Postfix's
// main.cf, Postfix runs them as they are, Postrider what `postrider migrate postfix` makes of them, and both are told the same
// generated SMTP dialogues as from many clients (by XCLIENT). The classes of the replies and where each copy ends must be the
// same. What differs on purpose is listed with its reason.
package differential
