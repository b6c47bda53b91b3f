// Package admin is what an operator may do with a system: the interface API, its errors, and its way across a socket.
//
// package node implements API on an open node. While a server runs, its node serves API on run_dir/admin.sock (mode 0600:
// who may open it may do everything, and nobody is asked for a password); Dial returns an API that speaks to it. A command
// therefore does the same thing in the same words whether or not a server runs.
//
// On the socket it is HTTP/1.1: POST /v1/NAME with the arguments as JSON, where NAME stands in the table of
// operations.go. The answer is the result as JSON, or as JSON lines where it may be of any length, or the message's bytes
// where a message was asked for, or, with a status of 4xx or 5xx, an Error as JSON. Bodies are bounded and every call has a time-out.
//
// Failures are of type *Error; Kind says what a program may do about it, Text is for the operator. Passwords pass in
// NewAccount and Password; they are never written anywhere by this package.
//
//	api.go         API and its nouns; api_mail.go those of searches and sessions, api_check.go those of the check
//	errors.go      Error, Kind
//	operations.go  the table of what can be called
//	stream.go      results of any length
//	server.go      Server
//	client.go      Client
//	process.go     who serves the socket
//	socket.go      a socket whose path may be longer than the kernel's limit
package admin
