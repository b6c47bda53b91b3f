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
	// DeletedSize returns the bytes of a mailbox's messages with \Deleted, for who asks (RFC 9208 §4.1.4). It may cost a pass
	// over the mailbox.
	DeletedSize(ctx context.Context, name Name) (int64, error)
	// Create makes a mailbox and the superior levels that it lacks, so that these are durable. use is "" or a special use
	// with its backslash (RFC 6154 §3). ErrExists: there is one.
	Create(ctx context.Context, name Name, use string) (MailboxID, error)
	// Delete removes a mailbox, not those below it. Sessions that selected it get an Event with Gone.
	Delete(ctx context.Context, name Name) error
	// Rename moves a mailbox and those below it; of INBOX it moves the messages and leaves it empty (RFC 9051 §6.3.6).
	Rename(ctx context.Context, from, to Name) error
	// Subscribe sets or removes a subscription. The name need not exist.
	Subscribe(ctx context.Context, name Name, on bool) error
	// Select opens a mailbox. ErrNonexistent: there is none.
	Select(ctx context.Context, name Name) (Mailbox, error)
	// Append begins to store messages at the end of a mailbox. ErrNonexistent: no such mailbox. The engine ends the Appender
	// with Close, whatever came before.
	Append(ctx context.Context, to AppendTarget) (Appender, error)
	// Quota returns what the account holds and may hold.
	Quota(ctx context.Context) (Quota, error)
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
	ID          MailboxID
	Messages    uint32
	UIDNext     uint32
	UIDValidity uint32
	Unseen      uint32 // messages without \Seen
	Deleted     uint32 // messages with \Deleted
	Size        int64  // bytes, RFC 8438
	ModSeq      uint64 // highest, RFC 7162

	deletedSize int64 // once asked for: Account.DeletedSize
}

// AppendTarget is where messages are to go.
type AppendTarget struct {
	Name     Name
	Replaces *Replaced // the message that goes in the same step (RFC 8508); nil: none
}

// Replaced names a message by its mailbox and UID.
type Replaced struct {
	Mailbox MailboxID
	UID     uint32
}

// Appender takes the messages of one APPEND (RFC 3502) or REPLACE. It is used by one goroutine.
type Appender interface {
	// Add takes one message. It reads m.Body to its end, or returns an error; the engine then drains the rest and gives up.
	// Nothing that was added can be seen by anyone before Commit.
	Add(ctx context.Context, m *AppendMessage) error
	// Commit puts all that was added into the mailbox, and removes what is replaced, all or nothing. When it returns without
	// error that is durable and its events have been fed to the watchers.
	Commit(ctx context.Context) (AppendResult, error)
	// Close forgets what was not committed.
	Close()
}

// AppendMessage is the argument of Appender.Add.
type AppendMessage struct {
	Flags view.Flags
	Date  time.Time // INTERNALDATE; zero: now
	Size  int64     // bytes that Body will give
	Body  io.Reader
}

// AppendResult is where the messages went, in their order, RFC 4315 §3.
type AppendResult struct {
	UIDValidity uint32
	UIDs        []uint32
}

// Quota is an account's use of the store and its limits, RFC 9208 §3. A limit of 0 is none.
type Quota struct {
	Bytes, MaxBytes       int64
	Messages, MaxMessages int64
}

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
	// Messages calls fn with what is wanted of each message, ascending by UID. The engine asks for at most MaxBatch at once.
	// What fn is given is good until it returns. It may block for long: no transaction, no lock and no memory that grows with
	// the number of messages may be held meanwhile. An error of fn ends the call and is returned as it is.
	Messages(ctx context.Context, uids []uint32, want Want, fn func(*Message) error) error
	// Store changes flags.
	Store(ctx context.Context, uids []uint32, change StoreChange) (StoreResult, error)
	// Expunge removes those of the messages that have \Deleted when it happens, durably: another session may have taken the
	// flag away since the engine looked, and been told OK.
	Expunge(ctx context.Context, uids []uint32) error
	// Copy makes copies with flags and INTERNALDATE at the end of dest, all or none. ErrNonexistent: there is no dest.
	Copy(ctx context.Context, uids []uint32, dest Name) (CopyResult, error)
	// Move is Copy and Expunge in one: each message is at the old place or at the new one (RFC 6851 §3.3). A large one may go in
	// pieces; then the result is those that were moved, also with an error.
	Move(ctx context.Context, uids []uint32, dest Name) (CopyResult, error)
	// Vanished returns the UIDs that were expunged after a modification sequence, ascending. known is false when that is
	// further back than anybody remembers: then the list is not complete (RFC 7162 §3.2.5).
	Vanished(ctx context.Context, since uint64) (uids []uint32, known bool, err error)
	// SearchObject returns the UIDs of the messages with that email or thread number, ascending. It opens no message.
	SearchObject(ctx context.Context, kind ObjectKind, number uint64) ([]uint32, error)
	// Close ends the use.
	Close()
}

// ObjectKind is what an object id of RFC 8474 names.
type ObjectKind byte

// The kinds, by the letter that their ids begin with.
const (
	MailboxObject ObjectKind = 'M'
	EmailObject   ObjectKind = 'E'
	ThreadObject  ObjectKind = 'T'
)

// MaxBatch is the most messages that one call of Mailbox.Messages is asked for.
const MaxBatch = 512

// Want says which fields of Message are needed.
type Want uint8

// The fields.
const (
	WantSize      Want = 1 << iota // Size
	WantDate                       // InternalDate, Saved
	WantEmail                      // Email
	WantThread                     // Thread
	WantPreview                    // Preview
	WantEnvelope                   // MIME, of which only Envelope is set unless WantStructure is there too
	WantStructure                  // MIME
	WantBody                       // Body
)

// Message is what the engine can learn of a message.
type Message struct {
	UID          uint32
	Size         int64
	InternalDate time.Time
	Saved        time.Time // when it came into this mailbox, RFC 8514
	Email        uint64    // number within the account, the same for all copies of the message (RFC 8474 §5.1)
	Thread       uint64    // number within the account; 0: not known
	Preview      string    // RFC 8970, UTF-8; empty: there is no text
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

// StoreChange is what happens to flags.
type StoreChange struct {
	Op    StoreOp
	Flags view.Flags
	// Conditional passes over messages whose modification sequence is above UnchangedSince (RFC 7162 §3.1.3).
	Conditional    bool
	UnchangedSince uint64
}

// StoreResult is what became of it.
type StoreResult struct {
	ModSeqs []uint64 // of the changes, ascending: a large STORE is several; none: nothing changed
	Kept    []uint32 // UIDs that the condition kept from it, ascending
}

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
