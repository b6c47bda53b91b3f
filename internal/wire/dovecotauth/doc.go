// Package dovecotauth is the server's side of the protocol by which mail servers ask Dovecot about logins, version 1
// (doc/auth-protocol of Dovecot): Postfix with smtpd_sasl_type = dovecot, Exim with its dovecot authenticator. So an existing
// MTA can use our accounts.
//
// Who may connect can try passwords, and names the client's address itself: the socket is for servers of ours only. A request
// that was not made under TLS (no "secured") is refused unless Config.Plaintext allows it.
//
// It knows no passwords: exchanges are package sasl's, with the client's address as their origin, so that limits and log are
// those of every login. One connection may have several requests under way, each in a goroutine of its own, up to maxRequests.
//
//	server.go   the listener's side
//	conn.go     a connection and its requests
//	request.go  lines taken apart, and put together
//
// What breaks the protocol ends the connection; a login that fails is FAIL, one that could not be checked FAIL with
// code=temp_fail.
package dovecotauth
