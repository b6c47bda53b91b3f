// Package crowd meets real Postrider with crowds: thousands of idle connections, many large messages at a time, a storm
// of logins, floods that exceed the limits. It shows that memory stays bounded, that others are served meanwhile, that
// overload is answered by a temporary failure, and that all is as before when the crowd has gone.
//
// Each test has a short form with small numbers, which asserts behaviour only, and a full form with issue 4's numbers,
// which make check-long runs. Both log their figures; docs/crowds.md has those of a quiet machine. Nothing here asserts how
// fast anything is.
//
// Clients come from many addresses of 127.0.0.0/8, as the limits count by address and the ports of one address would not
// suffice.
//
// Files: client.go (a client that speaks lines, SMTP and IMAP of it) · gather.go (many at once) · process.go (the server's
// memory and figures).
package crowd
