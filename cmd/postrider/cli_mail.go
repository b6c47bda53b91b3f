package main

type (
	mailCmd struct {
		List mailListCmd `cmd:"" help:"List an account's mailboxes, or the newest messages of one."`
		Read mailReadCmd `cmd:"" help:"Print a message. Nothing is marked as read."`

		Search  mailSearchCmd  `cmd:"" help:"Find messages by IMAP's search words: unseen from bob since 1-Nov-2026."`
		Fetch   mailFetchCmd   `cmd:"" help:"Print messages, or what is to be known of them. Nothing is marked as read."`
		Flags   mailFlagsCmd   `cmd:"" help:"Change flags and keywords of messages."`
		Move    mailMoveCmd    `cmd:"" help:"Move messages into another mailbox of the account."`
		Copy    mailCopyCmd    `cmd:"" help:"Copy messages into another mailbox of the account."`
		Expunge mailExpungeCmd `cmd:"" help:"Remove messages for good, whatever their flags."`
	}
	mailListCmd struct {
		Account string `help:"The account's address." required:"" placeholder:"ADDRESS"`
		Mailbox string `arg:"" optional:"" help:"The mailbox whose messages to list; levels are separated by /."`
		Limit   int    `help:"How many of the newest messages." default:"100" placeholder:"N"`
	}
	mailReadCmd struct {
		Account string `help:"The account's address." required:"" placeholder:"ADDRESS"`
		Mailbox string `help:"The mailbox." default:"INBOX" placeholder:"MAILBOX"`
		UID     uint32 `arg:"" name:"uid" help:"The message's number in the list."`
	}
)

type (
	// mailWhere says where messages are.
	mailWhere struct {
		Account string `help:"The account's address." required:"" placeholder:"ADDRESS"`
		Mailbox string `help:"The mailbox; levels are separated by /." default:"INBOX" placeholder:"MAILBOX"`
	}
	// mailWhich says which messages there.
	mailWhich struct {
		Criteria []string `arg:"" optional:"" help:"UIDs, such as 7 or 3:9,12, or IMAP's search words (RFC 9051, 6.4.4): unseen from bob larger 10000; ALL for all."`
	}
	mailSearchCmd struct {
		mailWhere
		All bool `help:"In all mailboxes."`
		mailWhich
	}
	mailFetchCmd struct {
		mailWhere
		mailWhich
		Fields    []string `help:"Print only these: mailbox, uid, flags, size, received, saved, date, from, to, cc, subject, message-id, and hdr.NAME for a field of the header." placeholder:"FIELD,..." xor:"what"`
		Headers   bool     `help:"Print the headers." xor:"what"`
		Structure bool     `help:"Print the MIME parts." xor:"what"`
		Mbox      bool     `help:"Print the messages as one mbox (mboxrd), with line feeds." xor:"what"`
		Output    string   `help:"Write each message into a file MAILBOX-UID.eml of this folder, which is made." placeholder:"DIR" type:"path" xor:"what"`
	}
	mailFlagsCmd struct {
		Add     mailFlagsAddCmd     `cmd:"" help:"Set flags."`
		Remove  mailFlagsRemoveCmd  `cmd:"" help:"Take flags away."`
		Replace mailFlagsReplaceCmd `cmd:"" help:"Set these flags and take all others away; '' for none."`
	}
	mailFlagsChange struct {
		mailWhere
		Flags string `arg:"" help:"One word: seen, answered, flagged, deleted, draft, and keywords, separated by commas."`
		mailWhich
	}
	mailFlagsAddCmd     struct{ mailFlagsChange }
	mailFlagsRemoveCmd  struct{ mailFlagsChange }
	mailFlagsReplaceCmd struct{ mailFlagsChange }
	mailTo              struct {
		mailWhere
		To     string `help:"The mailbox that they go to." required:"" placeholder:"MAILBOX"`
		Create bool   `help:"Make that mailbox if it is not there."`
		mailWhich
	}
	mailMoveCmd    struct{ mailTo }
	mailCopyCmd    struct{ mailTo }
	mailExpungeCmd struct {
		mailWhere
		mailWhich
		Yes bool `help:"Do not ask."`
	}
)
