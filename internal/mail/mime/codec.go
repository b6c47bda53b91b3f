package mime

import (
	"errors"
	"slices"
)

// The stored form, version 1:
//
//	version  1 byte
//	facts    length, then: flags, References (count, strings), preview
//	envelope length, then: Date, Subject, In-Reply-To, Message-ID, six address lists (count, entries)
//	parts    the root, each part followed by its children
//
// All numbers are unsigned varints. A string is 2·length and its bytes, or 2·index+1 of a common string; the empty one is
// common, and where a text of the envelope is written as length 0 instead, its field is there and blank. An address entry
// is its kind, name, local part, domain. A part is a set of bits saying what follows, then its offsets as distances: from
// the end of the part before it (or the start of the body it is in) to its header, its length of header, of body, its
// lines.
//
// Common strings are part of the format: new ones are added at the end, none is ever changed.
const version = 1

// maxEncoded bounds what Decode looks at; Encode stays far below it (MaxStrings, MaxParts).
const maxEncoded = 16 << 20

// ErrCorrupt is returned by Decode for what Encode never writes.
var ErrCorrupt = errors.New("stored message structure is corrupt")

// The bits of a part. The lowest two are its Kind.
const (
	hasParams = 1 << (iota + 2)
	hasID
	hasDescription
	hasEncoding // other than 7bit
	hasMD5
	hasDisposition
	hasLanguage
	hasLocation
	isTextPlain // no type follows
)

func common() []string {
	return []string{
		"", "text", "plain", "html", "multipart", "mixed", "alternative", "related", "report", "signed", "application",
		"octet-stream", "pdf", "image", "jpeg", "png", "gif", "message", "rfc822", "delivery-status", "charset", "utf-8",
		"us-ascii", "UTF-8", "iso-8859-1", "windows-1252", "boundary", "name", "filename", "filename*", "format", "flowed",
		"delsp", "yes", "7bit", "8bit", "binary", "base64", "quoted-printable", "attachment", "inline", "size", "micalg",
		"protocol", "application/pgp-signature", "pgp-signature", "pkcs7-signature", "x-pkcs7-signature", "smime-type",
		"report-type", "calendar", "method", "REQUEST", "type", "text/html", "multipart/alternative", "x-unknown", "csv",
		"zip", "msword", "digest", "disposition-notification", "en", "global", "webp", "svg+xml", "US-ASCII", "ISO-8859-1",
		"us-ASCII", "creation-date", "modification-date", "name*", "iso-8859-15", "gb2312", "gmail.com", "undisclosed-recipients",
	}
}

// index finds common strings; built once per Encode or Decode would cost more than the rest, so it is a table made at
// start and never changed.
var (
	commonStrings = common()
	commonIndex   = func() map[string]int {
		m := make(map[string]int, len(commonStrings))
		for i, s := range commonStrings {
			m[s] = i
		}
		return m
	}()
)

// Clone returns a copy that shares no Part with m, for callers that shift a cached one.
func (m *Message) Clone() *Message {
	c := *m
	c.Root = m.Root.clone()
	c.References = slices.Clone(m.References)
	return &c
}

func (p *Part) clone() *Part {
	c := *p
	c.Children = make([]*Part, len(p.Children))
	for i, child := range p.Children {
		c.Children[i] = child.clone()
	}
	if len(c.Children) == 0 {
		c.Children = nil
	}
	return &c
}
