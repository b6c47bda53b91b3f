package admin

// ExplainQuery is a mail transaction that somebody thinks of.
type ExplainQuery struct {
	Service string   `json:"service,omitempty"` // smtp, submission, submissions, lmtp; empty: submission with Auth, else smtp
	Client  string   `json:"client"`            // its IP address
	Name    *string  `json:"name,omitempty"`    // its host name, "" for one that has none; nil: as the DNS has it
	Helo    string   `json:"helo,omitempty"`    // empty: the name, or the address as a literal
	TLS     bool     `json:"tls,omitempty"`
	Auth    string   `json:"auth,omitempty"` // the account that has logged in
	From    string   `json:"from"`           // "" or "<>": the null sender
	To      []string `json:"to"`
	Size    int64    `json:"size,omitempty"` // octets, as announced; 0: not announced
}

// Explanation tells what would happen to a transaction, stage by stage, up to the message itself.
type Explanation struct {
	Service    string               `json:"service"`
	Stages     []ExplainedStage     `json:"stages"`
	Recipients []ExplainedRecipient `json:"recipients"`
	Accepted   bool                 `json:"accepted"` // DATA would be taken, for one recipient at least
}

// ExplainedStage is what was judged at one command.
type ExplainedStage struct {
	Command string          `json:"command"` // CONNECT, EHLO name, MAIL FROM:<…>, RCPT TO:<…>, DATA
	Rules   []ExplainedRule `json:"rules"`
	Reply   string          `json:"reply"` // code, enhanced code and text
	Refused bool            `json:"refused"`
}

// ExplainedRule is a rule that was looked at, in the order of looking.
type ExplainedRule struct {
	Rule   string `json:"rule"`
	Result string `json:"result"`
}

// ExplainedRecipient is where the copy of one recipient would go.
type ExplainedRecipient struct {
	To     string          `json:"to"`
	Routes []ExplainedRule `json:"routes"` // what decided
	Copies []ExplainedCopy `json:"copies"`
}

// ExplainedCopy is one of the copies that a recipient stands for.
type ExplainedCopy struct {
	Address   string `json:"address"`
	Transport string `json:"transport"`
	NextHop   string `json:"next_hop,omitempty"` // empty: the domain's mail exchangers, or a mailbox
	Sender    string `json:"sender,omitempty"`   // its own reverse-path, where that is not the message's
}
