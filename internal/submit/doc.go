// Package submit is how programs of this host hand over mail without the network: what sendmail(1) writes and the server
// reads. There are two ways with one format. Through run_dir/submit.sock a message goes to the running server; it answers
// with the queue id. Into data_dir/drop a message goes as a file when no server runs, or none that can take it now.
//
// Everybody on the host may use both. The socket takes a message and gives a queue id, nothing else. Who it is the kernel
// says: SO_PEERCRED, or the owner of the file. The format is bounded in every length, and a reader refuses what it does
// not know.
//
// A submission is a head in lines, an empty line, and the message's bytes as the program wrote them:
//
//	postrider-submit 1
//	token 1763786042000000-0123456789abcdef0123456789abcdef
//	sender alice
//	name Alice Liddell
//	to bob@example.org
//	size 1234
//
// On the socket the server answers to the head with "go" before the bytes are sent, or at once with a final line:
// "queued ID", "later TEXT" (not now, for reasons of its own: the message may go into the drop folder) or "refused CODE
// X.Y.Z TEXT". One message to a connection.
//
// The package knows no agents and no state; it never looks into a message, and never logs what is in it.
//
//	head.go    the head: its fields, written and read
//	address.go addresses as a user of this host writes them
//	reply.go   the server's line
//	socket.go  the socket's place, and who is on its other side
//	client.go  Send: the client's side
//	server.go  Server: the server's side
//	drop.go    Drop: writing a file into the drop folder; names in it
//
// Failures: Send returns ErrNoServer, *Later or a *status.Error; Drop an error of the file system.
package submit
