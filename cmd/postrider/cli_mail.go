package main

type (
	queueCmd struct {
		List    queueListCmd    `cmd:"" help:"List the messages in the queue, oldest first."`
		Show    queueShowCmd    `cmd:"" help:"Show a message in the queue."`
		Flush   queueFlushCmd   `cmd:"" help:"Try everything that waits now."`
		Delete  queueDeleteCmd  `cmd:"" help:"Remove messages for good. Nobody is told."`
		Hold    queueHoldCmd    `cmd:"" help:"Stop deliveries of messages until they are released."`
		Release queueReleaseCmd `cmd:"" help:"Let held messages go on."`
	}
	queueListCmd struct{}
	queueShowCmd struct {
		ID      string `arg:"" name:"queue-id" help:"The message's id."`
		Message bool   `help:"Print the message itself."`
	}
	queueFlushCmd struct{}
	queueIDs      struct {
		IDs []string `arg:"" optional:"" name:"queue-id" help:"The messages' ids."`
		All bool     `help:"All messages in the queue."`
	}
	queueDeleteCmd  struct{ queueIDs }
	queueHoldCmd    struct{ queueIDs }
	queueReleaseCmd struct{ queueIDs }
)

type (
	mailCmd struct {
		List mailListCmd `cmd:"" help:"List an account's mailboxes, or the newest messages of one."`
		Read mailReadCmd `cmd:"" help:"Print a message. Nothing is marked as read."`
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
