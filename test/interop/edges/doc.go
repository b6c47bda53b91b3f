// Package edges proves what stands before Postrider and beside it against software that no one here wrote: HAProxy with the
// PROXY protocol, nginx and swaks with XCLIENT, Postfix and Exim that ask about logins.
package edges
