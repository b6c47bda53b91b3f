package flow

import (
	"fmt"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
)

// Transport is the way a recipient's copy goes.
type Transport uint8

// The transports. Numbers are part of the on-disk format; never renumber.
const (
	Mailbox Transport = 1 // into an account of our mailstore, exactly once
	SMTP    Transport = 2 // to the next MTA, at least once
	LMTP    Transport = 3 // to another delivery agent, at least once
	Drop    Transport = 4 // nowhere, on purpose
	Error   Transport = 5 // back to the sender: Recipient.NextHop is the reason, "5.1.1 text"
	Pipe    Transport = 6 // to a program, by the helper, at least once: NextHop says which
	File    Transport = 7 // into an mbox or Maildir outside of the mailstore, by the helper, at least once: NextHop says which
	Program Transport = 8 // to a program of [pipes.NAME], by the helper, at least once: NextHop says which (ProgramHop)
)

func (t Transport) String() string {
	switch t {
	case Mailbox:
		return "mailbox"
	case SMTP:
		return "smtp"
	case LMTP:
		return "lmtp"
	case Drop:
		return "discard"
	case Error:
		return "error"
	case Pipe:
		return "pipe"
	case File:
		return "file"
	case Program:
		return "program"
	}
	return fmt.Sprintf("transport(%d)", uint8(t))
}

// ProgramHop is the next hop of a Program: the name of its transport, and the next hop that it was given.
func ProgramHop(name, hop string) string { return name + "\t" + hop }

// ParseProgramHop reads what ProgramHop writes.
func ParseProgramHop(s string) (name, hop string, ok bool) {
	name, hop, ok = strings.Cut(s, "\t")
	return name, hop, ok && name != ""
}

// Recipient is the Plan of one final recipient: alias expansion is done, the way is chosen.
type Recipient struct {
	No        int             // recipient_no: its place in Job.Recipients, from 0; never changes
	To        address.Address // the final address
	Original  address.Address // as the client said it in RCPT; for Delivered-To and DSN
	Notify    envelope.Notify
	ORcpt     string
	Transport Transport
	Account   int64    // Mailbox: the account
	Folder    []string // Mailbox: the mailbox's name components; nil: INBOX
	NextHop   string   // SMTP, LMTP: host[:port] or [address]:port instead of the domain's MX; empty: the domain's MX
	// Sender, when set, is the reverse-path of this recipient's copy instead of Job.From: a list's owner, a rewritten address.
	Sender *address.Address
}

// Plan is what is to be done with a message, per recipient. Err of a refused envelope recipient is answered in the
// session; only recipients that are taken become part of the job.
type Plan struct {
	Recipients []Recipient
}

// Job is an accepted message on its way: what the queue holds and what the pack's trailer can rebuild.
type Job struct {
	ID         queueid.ID
	Received   time.Time // when it was accepted, microseconds
	From       address.Address
	Body       envelope.Body
	UTF8       bool
	Ret        envelope.Ret
	EnvID      string
	Client     Client
	Message    recipe.Recipe // the message with its message literals (Received, …)
	Index      []byte        // Facts.Index
	Recipients []Recipient
	// Record is the record that the job was accepted with: its trailer has the message's recipe. Zero until Bind.
	Record recipe.BlobRef
	// Cause is the job whose delivery made this one (bounce, notice); zero for mail that came from outside.
	Cause queueid.ID
	// Hold is why the job shall be on hold from the start, for an operator to look at; empty: it is delivered.
	Hold string
	// NotBefore is the time before which nothing is tried (FUTURERELEASE, RFC 4865); zero: at once.
	NotBefore time.Time
	// Priority is MT-PRIORITY (RFC 6710), -9 to 9.
	Priority int8
	// Bulk: a list's or a newsletter's, by its header or its number of recipients.
	Bulk bool
	// RequireTLS: every hop has verified TLS and promises as much, or it fails (RFC 8689).
	RequireTLS bool
	// DeliverBy is the time of RFC 2852, zero: none; then it fails (DeliverByReturn) or its sender is warned.
	DeliverBy       time.Time
	DeliverByReturn bool
}

// Sender is the reverse-path of a recipient's copy.
func (j *Job) Sender(r *Recipient) address.Address {
	if r.Sender != nil {
		return *r.Sender
	}
	return j.From
}

// Self is the BlobRef that stands for the record which a job is written into, before its place is known.
var Self = recipe.BlobRef{Pack: -1}

// Size is the message's size in bytes.
func (j *Job) Size() int64 { return j.Message.Size() }

// Bind puts ref in the place of Self in the job's recipe, once the record has its place.
func (j *Job) Bind(ref recipe.BlobRef) {
	j.Record = ref
	bind(j.Message, ref)
}

func bind(r recipe.Recipe, ref recipe.BlobRef) {
	for i := range r {
		if s := &r[i]; s.Literal == nil && s.Blob.Pack == Self.Pack {
			s.Blob = ref
		}
	}
}

// Blobs lists the packs' records that the job refers to.
func (j *Job) Blobs() []recipe.BlobRef {
	var refs []recipe.BlobRef
	for _, s := range j.Message {
		if s.Literal != nil {
			continue
		}
		seen := false
		for _, r := range refs {
			seen = seen || r == s.Blob
		}
		if !seen {
			refs = append(refs, s.Blob)
		}
	}
	return refs
}
