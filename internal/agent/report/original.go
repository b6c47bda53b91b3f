package report

import (
	"github.com/postrider/postrider/internal/mail/dsn"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/mime"
)

// original is the message that a report returns, or whose header it does.
func original(j *flow.Job, s *Settings) dsn.Original {
	o := dsn.Original{Message: j.Message, Ret: j.Ret, Body: j.Body, UTF8: j.UTF8, MaxReturn: s.MaxReturn}
	if o.MaxReturn <= 0 {
		o.MaxReturn = DefaultMaxReturn
	}
	index, err := mime.Decode(j.Index)
	if err != nil { // then nothing is known of it, and it is best not shown as anything
		o.MaxReturn, o.EightBit = 0, true
		return o
	}
	// What follows a header that is longer than what is returned of a message helps nobody.
	o.HeaderSize = min(index.HeaderSize(), o.MaxReturn)
	o.Subject, o.MessageID = index.Envelope.Title(), index.Envelope.ID()
	known := index.Flags&mime.Limited == 0
	// A sender who says SMTPUTF8 for everything shall get a report that every server takes.
	o.UTF8 = j.UTF8 && (!known || index.Flags&mime.EightBitHeader != 0)
	o.EightBit = !known || index.Flags&(mime.EightBitBody|mime.EightBitHeader) != 0
	return o
}
