// Package sasl is the Simple Authentication and Security Layer (RFC 4422) as mail protocols use it: PLAIN (RFC 4616),
// LOGIN (the draft that everybody implements) and SCRAM-SHA-256 (RFC 5802, RFC 7677), both
// sides; and the server's side of EXTERNAL (RFC 4422 Appendix A), by a client certificate.
//
// An engine makes one Server for a service and one Exchange for each AUTH or AUTHENTICATE; it frames challenges and
// responses itself with the helpers of framing.go. Who the user is, is asked through Authenticator, which an agent fills.
//
// An authorization identity must be empty or equal to the authentication identity, unless the Authenticator is a
// Delegator: then PLAIN passes on who wants to act for whom. There is no security layer and no channel binding (no -PLUS
// mechanism is offered), and whether TLS is up is the engine's affair: it must not offer any of this without.
//
// Files: server.go (Server, Exchange, Authenticator, Delegator, PLAIN and LOGIN), origin.go (where a login comes from),
// scram.go (SCRAM's server side, Keys), client.go (client side), framing.go (base64, "=", "*").
//
// Failures are status.Error: 535 5.7.8 for wrong credentials, 501 5.5.2 for malformed messages, 501 5.7.0 for a cancelled
// exchange, 504 5.5.4 for an unknown mechanism; what the Authenticator returns passes unchanged. Whoever is told 535
// cannot tell an unknown user from a wrong password.
package sasl
