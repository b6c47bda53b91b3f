package admin

import "time"

// MailQuery asks for messages of an account.
type MailQuery struct {
	Account  string `json:"account"`
	Mailbox  string `json:"mailbox"`  // empty: all
	Criteria string `json:"criteria"` // in the words of IMAP's SEARCH (RFC 9051 §6.4.4)
}

// Found is a message that a MailQuery found.
type Found struct {
	Mailbox string `json:"mailbox"`
	Message
	Saved     time.Time `json:"saved"`         // when it came into this mailbox
	Date      time.Time `json:"date,omitzero"` // of its header
	To        string    `json:"to,omitempty"`
	Cc        string    `json:"cc,omitempty"`
	MessageID string    `json:"message_id,omitempty"`
}

// MailAction is what ChangeMail does.
type MailAction string

// The actions.
const (
	AddFlags     MailAction = "flags-add"
	RemoveFlags  MailAction = "flags-remove"
	ReplaceFlags MailAction = "flags-replace"
	Move         MailAction = "move"
	Copy         MailAction = "copy"
	Expunge      MailAction = "expunge" // for good, whatever the flags
)

// MailChange says what is to be done with which messages of a mailbox.
type MailChange struct {
	Action MailAction `json:"action"`
	MailQuery
	Flags  []string `json:"flags,omitempty"`  // system flags with their backslash, and keywords
	To     string   `json:"to,omitempty"`     // mailbox of Move and Copy
	Create bool     `json:"create,omitempty"` // make it if it is not there
}

// Session is a connection of a client.
type Session struct {
	ID       string    `json:"session"` // as in the log
	Service  string    `json:"service"`
	Client   string    `json:"client"` // address and port
	TLS      string    `json:"tls,omitempty"`
	Account  string    `json:"account,omitempty"`
	Master   string    `json:"master,omitempty"` // who logged in as the account
	Since    time.Time `json:"since"`
	Command  string    `json:"last_command,omitempty"`
	Commands int       `json:"commands"`
	In       int64     `json:"bytes_in"` // of SMTP: of messages
	Out      int64     `json:"bytes_out"`
}

// SessionQuery says which sessions are meant; what is empty means any.
type SessionQuery struct {
	IDs     []string `json:"sessions,omitempty"`
	Account string   `json:"account,omitempty"`
	Service string   `json:"service,omitempty"` // imap takes imaps too
	Client  string   `json:"client,omitempty"`  // address or network
	Reason  string   `json:"reason,omitempty"`  // what Kick tells the clients
}

// Kicked is how many sessions were ended.
type Kicked struct {
	Sessions int `json:"sessions"`
}
