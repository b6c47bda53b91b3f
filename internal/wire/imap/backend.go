package imap

import (
	"context"
	"io"
	"time"

	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/wire/imap/view"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// Backend opens the mailboxes of an account.
//
// All methods of the interfaces in this file may block and end when ctx does. Their errors reach the client through
// status.Of, with the response code that errors.go's table gives, or the one that Coded attached. What they return must
// not be changed by them afterwards.
type Backend interface {
	// Account begins a session for who has authenticated. The engine closes the Account when the connection ends.
	Account(ctx context.Context, id sasl.Identity) (Account, error)
	// Watch begins to feed the committed changes of a mailbox to sink, in the order of their commits, and returns how to
	// stop it. A change made through any method of this file's interfaces must have been fed before that method returns.
	// sink does not block and must not be called after stop has returned. The engine watches a mailbox once, however many
	// sessions select it, and some time longer.
	Watch(id MailboxID, sink func(view.Event)) (stop func(), err error)
	// Load calls add for each message of a mailbox in ascending order of UID, as one snapshot not older than the call. It
	// returns the UIDNEXT and the highest modification sequence of the snapshot.
	Load(ctx context.Context, id MailboxID, add func(view.Message)) (uidNext uint32, modseq uint64, err error)
}

// Name is a mailbox name: its components in Unicode NFC, none of them empty. INBOX is exactly "INBOX" as first component.
type Name []string

// Namespaces describes the names of an account, RFC 2342. All share one separator.
type Namespaces struct {
	Separator string // one character, no letter, digit, "%" or "*"
	Personal  string // prefix of the account's own mailboxes, with its separator at the end; INBOX stands outside of it
	Other     string // prefix of other users' mailboxes; empty: none
	Shared    string // prefix of shared mailboxes; empty: none
}

// Mailboxes is what an account has, as LIST and STATUS show it.
//
// Account is used by one goroutine at a time.
type Account interface {
	// Namespaces does not block.
	Namespaces() Namespaces
	// Mailboxes returns every mailbox the account can see and every subscribed name, in any order.
	Mailboxes(ctx context.Context) ([]MailboxInfo, error)
	// Status returns the counters of one mailbox. ErrNonexistent: there is none.
	Status(ctx context.Context, name Name) (Status, error)
	// Create makes a mailbox and the superior levels that it lacks, so that these are durable. use is "" or a special use
	// with its backslash (RFC 6154 §3). ErrExists: there is one.
	Create(ctx context.Context, name Name, use string) error
	// Delete removes a mailbox, not those below it. Sessions that selected it get an Event with Gone.
	Delete(ctx context.Context, name Name) error
	// Rename moves a mailbox and those below it; of INBOX it moves the messages and leaves it empty (RFC 9051 §6.3.6).
	Rename(ctx context.Context, from, to Name) error
	// Subscribe sets or removes a subscription. The name need not exist.
	Subscribe(ctx context.Context, name Name, on bool) error
	// Select opens a mailbox. ErrNonexistent: there is none.
	Select(ctx context.Context, name Name) (Mailbox, error)
	// Append stores a message at the end of a mailbox. When it returns without error the message is durable and its event
	// has been fed to the watchers. It reads m.Body to its end, or returns an error; the engine then drains the rest.
	// ErrNonexistent: no such mailbox.
	Append(ctx context.Context, name Name, m *AppendMessage) (AppendResult, error)
	// Close ends the session.
	Close()
}

// MailboxInfo is one line of LIST.
type MailboxInfo struct {
	Name       Name
	Exists     bool // false: a name that only has children, or is only subscribed
	NoSelect   bool // exists, but cannot be selected
	Subscribed bool
	Use        []string // special uses with their backslash, RFC 6154 §2
	Status     Status   // when it exists
}

// Status is the counters of a mailbox, RFC 9051 §6.3.11.
type Status struct {
	Messages    uint32
	UIDNext     uint32
	UIDValidity uint32
	Unseen      uint32 // messages without \Seen
	Deleted     uint32 // messages with \Deleted
	Size        int64  // bytes, RFC 8438
	ModSeq      uint64 // highest, RFC 7162
}

// AppendMessage is the argument of Append.
type AppendMessage struct {
	Flags view.Flags
	Date  time.Time // INTERNALDATE; zero: now
	Size  int64     // bytes that Body will give
	Body  io.Reader
}

// AppendResult is where the message went, RFC 4315 §3.
type AppendResult struct{ UIDValidity, UID uint32 }

// MailboxID names one incarnation of a mailbox within the server: sessions with the same ID share one view.Mailbox.
type MailboxID struct {
	Account, Mailbox int64
	UIDValidity      uint32
}

// Mailbox is an open mailbox. It is used by one goroutine at a time.
//
// UIDs in arguments ascend. UIDs that are no longer there are skipped silently everywhere.
type Mailbox interface {
	// ID does not block.
	ID() MailboxID
	// ReadOnly tells whether the account may not change this mailbox at all. It does not block.
	ReadOnly() bool
	// Messages appends what is wanted of each message to dst, ascending by UID. The engine asks for at most MaxBatch at
	// once, and no transaction may stay open when the call returns. A Body is read at any time until the next call.
	Messages(ctx context.Context, uids []uint32, want Want, dst []Message) ([]Message, error)
	// Store changes flags and returns the modification sequence of the change, 0 if nothing changed.
	Store(ctx context.Context, uids []uint32, op StoreOp, flags view.Flags) (modseq uint64, err error)
	// Expunge removes the messages, durably, whatever their flags.
	Expunge(ctx context.Context, uids []uint32) error
	// Copy makes copies with flags and INTERNALDATE at the end of dest, all or none. ErrNonexistent: there is no dest.
	Copy(ctx context.Context, uids []uint32, dest Name) (CopyResult, error)
	// Move is Copy and Expunge in one, all or none (RFC 6851 §3.3).
	Move(ctx context.Context, uids []uint32, dest Name) (CopyResult, error)
	// Close ends the use.
	Close()
}

// MaxBatch is the most messages that one call of Mailbox.Messages is asked for.
const MaxBatch = 128

// Want says which fields of Message are needed.
type Want uint8

// The fields.
const (
	WantSize      Want = 1 << iota // Size
	WantDate                       // InternalDate, Saved
	WantStructure                  // MIME
	WantBody                       // Body
)

// Message is what the engine can learn of a message.
type Message struct {
	UID          uint32
	Size         int64
	InternalDate time.Time
	Saved        time.Time // when it came into this mailbox, RFC 8514
	MIME         *mime.Message
	Body         Body
	Damaged      bool // it is there, but what is wanted of it cannot be read; nothing but UID is set then
}

// Body is the bytes of a message, as stored. *recipe.Reader is one.
type Body interface {
	io.ReaderAt
	Size() int64
}

// StoreOp is what STORE does with its flags.
type StoreOp uint8

// The operations, RFC 9051 §6.4.6.
const (
	StoreReplace StoreOp = iota
	StoreAdd
	StoreRemove
)

// CopyResult is COPYUID, RFC 4315 §3: Source[i] became Dest[i]. Both are empty when nothing was there to copy.
type CopyResult struct {
	UIDValidity  uint32
	Source, Dest []uint32
}

// TextSearcher may be implemented by a Mailbox that has an index of texts.
type TextSearcher interface {
	// SearchText returns those of uids whose text contains the needle, by the same rules as textMatch (search_text.go), or
	// ok = false if it cannot tell for this kind of search; the engine then reads the messages.
	SearchText(ctx context.Context, in TextField, needle string, uids []uint32) (hits []uint32, ok bool, err error)
}

// TextField is where a text is searched: Header names one field, unless Body (only the body) or both.
type TextField struct {
	Header string // field name for HEADER, FROM, …; empty otherwise
	Body   bool   // BODY: the text of the body
	All    bool   // TEXT: header and body
}
