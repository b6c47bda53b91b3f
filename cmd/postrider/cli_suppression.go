package main

type (
	suppressionCmd struct {
		List   suppressionListCmd   `cmd:"" help:"List the entries that hold."`
		Add    suppressionAddCmd    `cmd:"" help:"Put addresses on a list."`
		Remove suppressionRemoveCmd `cmd:"" help:"Take an address off a list."`
		Check  suppressionCheckCmd  `cmd:"" help:"Tell whether a sender's bulk mail is sent to an address, and why not. Exit code 1: it is not."`
		Import suppressionImportCmd `cmd:"" help:"Put a file's entries on the lists: addresses, one a line, or what export has written."`
		Export suppressionExportCmd `cmd:"" help:"Write the entries as comma-separated values."`
	}
	suppressionOwner struct {
		Owner string `help:"Whose list: @DOMAIN of senders, or an account's address. Default: everybody's." placeholder:"OWNER"`
	}
	suppressionWhich struct {
		Owner    string `help:"Only the list of @DOMAIN of senders, or of an account. Default: of all." placeholder:"OWNER"`
		Everyone bool   `help:"Only the list that holds for all senders."`
		Domain   string `help:"Only addresses of this domain." placeholder:"DOMAIN"`
		Reason   string `help:"Only bounce, complaint or operator." placeholder:"REASON"`
		Expired  bool   `help:"Also what does not hold any more."`
	}
	suppressionListCmd struct{ suppressionWhich }
	suppressionAddCmd  struct {
		Addresses []string `arg:"" help:"The addresses, or @DOMAIN for all of a domain."`
		suppressionOwner
		For  string `help:"How long, such as 30d. Default: for good." placeholder:"DURATION"`
		Note string `help:"Why, for the list and the reports to senders." placeholder:"TEXT"`
	}
	suppressionRemoveCmd struct {
		Address string `arg:"" help:"The address, as in the list."`
		suppressionOwner
	}
	suppressionCheckCmd struct {
		Address string `arg:"" help:"The address."`
		Sender  string `help:"The sender: an address, or @DOMAIN. Default: only everybody's list is asked." placeholder:"SENDER"`
	}
	suppressionImportCmd struct {
		File string `arg:"" help:"The file; - is standard input." type:"path"`
		suppressionOwner
		For string `help:"How long entries hold that do not say. Default: for good." placeholder:"DURATION"`
	}
	suppressionExportCmd struct{ suppressionWhich }
)
