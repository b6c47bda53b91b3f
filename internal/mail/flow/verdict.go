package flow

import "github.com/postrider/postrider/internal/mail/status"

// Facts is what was learned about a message while its bytes passed.
type Facts struct {
	Size  int64  // of the message as it is stored, bytes
	Index []byte // structure, envelope and preview as package mime encodes them; of the recipe's result
}

// Action is what a verdict asks for.
type Action uint8

// The actions, from the mildest.
const (
	Accept     Action = iota
	Quarantine        // deliver into Junk
	Discard           // answer 250 and deliver nowhere
	Defer             // refuse for now with Err
	Reject            // refuse for good with Err
)

// Verdict is a filter's or policy's judgement of a message or of one recipient's share in it. The zero Verdict accepts.
type Verdict struct {
	Action Action
	Err    *status.Error // for Defer and Reject: what the peer reads
	Reason string        // the rule that decided, for log and trace
	Score  float64       // spam score, 0 when none was computed
	Fields []byte        // header fields to put in front of the message, each with its CRLF
}
