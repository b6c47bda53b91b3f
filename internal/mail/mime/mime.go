// Package mime finds the structure of a message (RFC 2045, 2046, 5322) while it streams by: the tree of parts with byte
// offsets, the top header's ENVELOPE, and a few facts, all that IMAP FETCH, POP3 and JMAP want to know without opening
// the body. The result has a compact binary form that is stored with each message.
//
// The parser reads once, in pieces of any size, and keeps only the header it is in; the result does not depend on the
// pieces. Broken mail has the meaning that IMAP servers commonly give it:
//
//   - a multipart without a boundary parameter is one part of text/plain;
//   - a multipart in which the boundary never comes has one empty text/plain part, since IMAP knows no multipart without
//     parts (RFC 9051 §9, body-type-mpart);
//   - a multipart without its end goes to the boundary of an outer one, or to the end;
//   - preamble and epilogue belong to the body of the multipart and to no part;
//   - a boundary line ends a header;
//   - an unreadable Content-Type is text/plain in us-ascii; in multipart/digest the default is message/rfc822;
//   - a message/rfc822 in base64 or quoted-printable (RFC 2046 §5.2.1 forbids that) is application/octet-stream.
//
// The package decodes nothing but the preview, and does no I/O.
//
//	mime.go      the values
//	parser.go    the streaming parser
//	fields.go    what is read out of a header
//	preview.go   the first words of the text
//	section.go   IMAP section paths; shifting when header fields are added or removed
//	codec.go     the stored form; append.go and decode.go its two directions
//
// The parser does not fail: beyond the limits the rest of a message is one opaque part and Limited is set. Decode fails
// with ErrCorrupt.
package mime

import (
	"time"

	"github.com/postrider/postrider/internal/mail/header"
)

// The limits of what is read of one message.
const (
	MaxDepth     = 50        // parts inside parts
	MaxParts     = 10_000    // in all
	MaxBoundary  = 200       // octets; RFC 2046 §5.1.1 allows 70
	MaxTopHeader = 256 << 10 // bytes of the top header that are looked at
	MaxHeader    = 64 << 10  // the same for the header of a part
	MaxStrings   = 512 << 10 // bytes of header values kept in all
	MaxAddresses = 5_000     // entries of one address list
	MaxRefs      = 10        // ids of References, the last ones
	MaxPreview   = 200       // characters
)

// Message is what is known about one message.
type Message struct {
	Root     *Part
	Envelope Envelope
	// References are the last ids of References, without angle brackets.
	References []string
	Preview    string // the first words of the text, one line, UTF-8
	Flags      Flags
}

// Flags are facts of a whole message.
type Flags uint8

// The flags.
const (
	EightBitHeader Flags = 1 << iota // bytes above ASCII in the top header: it needs SMTPUTF8 (RFC 6531) to be relayed unchanged
	EightBitBody                     // bytes above ASCII after the top header: 8BITMIME, RFC 6152
	NUL                              // NUL somewhere: BINARYMIME (RFC 3030), IMAP literal8
	Limited                          // a limit was reached: the structure or a header is not known in full
)

// Size is the length of the message in bytes.
func (m *Message) Size() int64 { return m.Root.End }

// HeaderSize is the length of the top header in bytes with the empty line.
func (m *Message) HeaderSize() int64 { return m.Root.Body }

// Kind says what is inside a part.
type Kind uint8

// The kinds.
const (
	Leaf      Kind = iota
	Multipart      // one or more children
	Rfc822         // message/rfc822 or message/global: one child, the message in it, and an Envelope
)

// Part is one MIME part by its place in the message: header [Header,Body) with the empty line, body [Body,End).
type Part struct {
	Header, Body, End int64
	Lines             int64 // line feeds in the body

	Kind          Kind
	Type, Subtype string // lower case
	Params        []header.Param

	ID          string // Content-ID as written
	Description string // Content-Description, encoded words as written
	Encoding    string // Content-Transfer-Encoding, lower case; never empty ("7bit")
	MD5         string // RFC 1864
	Disposition string // lower case, empty if there is none
	DispParams  []header.Param
	Language    []string // RFC 3282
	Location    string   // RFC 2557

	Children []*Part
	Envelope *Envelope // of Rfc822: that of the message in it
}

// Size is the length of the body in bytes.
func (p *Part) Size() int64 { return p.End - p.Body }

// Envelope is what IMAP's ENVELOPE tells (RFC 9051 §7.5.2): values unfolded, encoded words and bytes above ASCII as they
// are in the message, To, Cc and Bcc of several fields joined, of all else the topmost field. Sender and Reply-To are empty
// when the message has none; IMAP shows From then (see Shown).
type Envelope struct {
	Date, Subject                      string
	From, Sender, ReplyTo, To, Cc, Bcc []header.Mailbox
	InReplyTo, MessageID               string
	Blank                              Blank
}

// Blank tells which texts of an Envelope the message has with nothing in them: IMAP shows "" for these and NIL for what is
// missing (RFC 9051 §7.5.2).
type Blank uint8

// The texts that may be blank.
const (
	BlankDate Blank = 1 << iota
	BlankSubject
	BlankInReplyTo
	BlankMessageID
)

// Shown returns Sender and Reply-To with From in place of what is missing, RFC 9051 §7.5.2.
func (e *Envelope) Shown() (sender, replyTo []header.Mailbox) {
	sender, replyTo = e.Sender, e.ReplyTo
	if len(sender) == 0 {
		sender = e.From
	}
	if len(replyTo) == 0 {
		replyTo = e.From
	}
	return sender, replyTo
}

// Time is the Date field with its zone.
func (e *Envelope) Time() (time.Time, bool) { return header.ParseDate(e.Date) }

// Title is the Subject in UTF-8.
func (e *Envelope) Title() string { return header.DecodeWords(e.Subject) }

// ID is the message id without angle brackets, empty if there is none.
func (e *Envelope) ID() string {
	if ids := header.MessageIDs(e.MessageID, 1); len(ids) > 0 {
		return ids[0]
	}
	return ""
}

// RepliesTo are the ids of In-Reply-To without angle brackets, the last MaxRefs.
func (e *Envelope) RepliesTo() []string { return header.MessageIDs(e.InReplyTo, MaxRefs) }
