package main

type (
	banCmd struct {
		List   banListCmd   `cmd:"" help:"List the networks that are banned, in order."`
		Add    banAddCmd    `cmd:"" help:"Ban an address or a network: it reads a refusal in place of the greeting, in every protocol."`
		Remove banRemoveCmd `cmd:"" help:"Let a network in again."`
		Check  banCheckCmd  `cmd:"" help:"Tell whether an address is let in, and why not. Exit code 1: it is not."`
	}
	banListCmd struct{}
	banAddCmd  struct {
		Network string `arg:"" help:"The network, such as 192.0.2.0/24 or 2001:db8::/48, or an address."`
		For     string `help:"How long, such as 90m or 7d. Default: for good." placeholder:"DURATION"`
		Reason  string `help:"Why, for the list and the log. Clients do not read it." placeholder:"TEXT"`
	}
	banRemoveCmd struct {
		Network string `arg:"" help:"The network, as in the list."`
	}
	banCheckCmd struct {
		Address string `arg:"" help:"The address."`
	}
)

type limitsCmd struct{}
