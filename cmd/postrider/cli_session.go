package main

type (
	sessionCmd struct {
		List sessionListCmd `cmd:"" help:"List the connections of clients, the oldest first."`
		Kick sessionKickCmd `cmd:"" help:"End connections, with the protocol's farewell."`
	}
	sessionFilter struct {
		Account string `help:"Only those that are logged in to this account." placeholder:"ADDRESS"`
		Service string `help:"Only those of a service: smtp, lmtp, submission, imap, pop3, or with TLS at once submissions, imaps, pop3s." placeholder:"SERVICE"`
		Client  string `help:"Only those from this address or network, such as 192.0.2.0/24." placeholder:"NET"`
	}
	sessionListCmd struct{ sessionFilter }
	sessionKickCmd struct {
		IDs []string `arg:"" optional:"" name:"session" help:"Ids of sessions, as in the list and in the log."`
		sessionFilter
		Reason string `help:"What the clients are told." placeholder:"TEXT"`
	}
)
