package aliases

import (
	"strings"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/status"
)

// Kind is what a target is.
type Kind uint8

// The kinds.
const (
	Mailbox Kind = iota // the user of this host: no further expansion
	Address             // elsewhere, or a domain of ours that has no aliases(5)
	Command             // a program
	File                // a file to append to, or a Maildir
	Discard             // /dev/null
	Failed              // cannot be delivered: Err says why
)

// Target is one that an expansion ends with.
type Target struct {
	Kind    Kind
	Address address.Address // Mailbox, Address: whose. Command, File, Discard, Failed: the name that led to it
	// Local is which command or file, and who named it.
	Local Local
	// Owner is the reverse-path of this copy: owner-NAME of the alias that led here; nil: that of the message.
	Owner *address.Address
	Err   *status.Error // Failed
}

// Sources of a Local.
const (
	FromAlias   = "alias"   // a file of aliases(5)
	FromForward = "forward" // the .forward of a system user
	FromMailbox = "mailbox" // the configuration, for a system user: mailbox_command, home_mailbox
)

// Local names a command or a file by who asked for it, so that the helper can see by itself whether that is so.
type Local struct {
	Source    string // FromAlias, FromForward, FromMailbox
	Path      string // FromAlias: the text file
	User      string // FromForward, FromMailbox: the system user
	Extension string // of the recipient
	Text      string // "|command", "/file", "/folder/", ":include:/file"; FromMailbox: also "file", "folder/" below the home
}

// String is how a Local travels in flow.Recipient.NextHop: its parts, separated by tabs; no part but the last can have one.
func (l Local) String() string {
	return strings.Join([]string{l.Source, l.Path, l.User, l.Extension, l.Text}, "\t")
}

// ParseLocal reads what String writes.
func ParseLocal(s string) (l Local, ok bool) {
	part := strings.SplitN(s, "\t", 5)
	if len(part) != 5 || part[0] != FromAlias && part[0] != FromForward && part[0] != FromMailbox || part[4] == "" {
		return Local{}, false
	}
	return Local{part[0], part[1], part[2], part[3], part[4]}, true
}
