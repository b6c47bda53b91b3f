// Package privhelper is the small program that does what needs root, and the client by which the server asks it.
//
// The server gives root up for good. What it cannot do then stands in one table (ops.go): read the certificate files
// that the configuration names, check a system user's password against shadow(5), read what system users have written
// about their mail, and give messages to the commands and files that they, or aliases(5), name. The helper has no network, knows
// nothing of mail, and answers only root and the service's user, whom the kernel names (SO_PEERCRED, unix(7)).
//
// One connection carries one request and one reply, both a frame (frame.go). The helper itself only checks the peer,
// bounds size, time and number, and starts a child of its own program for the request: whatever goes wrong in there,
// runs away or takes memory ends with that child. The message of a delivery is a descriptor that rides with the frame's
// first byte (SCM_RIGHTS). For whatever is a user's, the child becomes that user, for good, before it opens anything (whether
// there is a .forward at all it sees as root, without opening it); and it
// delivers only to what it finds written, with its own eyes, in that user's .forward, in an alias file of the
// configuration, or in the configuration itself ([pipes.NAME], mailbox_command, home_mailbox). A server that was taken over can have a command run again, with other mail; no other command.
//
// What it never does: believe a path or a name of its peer without its own view of the configuration and of the file
// system; follow a link or pass through a folder that anybody but root could have changed; log or keep a password; try
// again. A reply that does not come is ErrUnavailable, which is temporary: the next request makes a new connection, so a
// helper that was started again is found by itself.
//
//	frame.go    requests and replies as bytes
//	server.go   accepting, peers, bounds
//	child.go    one request in a process of its own
//	ops.go      what can be asked
//	trust.go    opening a file whose whole path is root's
//	files.go    certificate files
//	shadow.go   shadow(5) and passwd(5)
//	identity.go passwd(5); becoming another user
//	source.go   .forward and alias files: who may be believed
//	named.go    what is named there
//	deliver.go  what is allowed
//	command.go  running a program; sysexits.h
//	program.go  the programs of [pipes.NAME], pipe(8)
//	mbox.go     mbox and Maildir
//	client.go   the asking side
package privhelper
