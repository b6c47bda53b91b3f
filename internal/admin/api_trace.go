package admin

import (
	"encoding/json"
	"time"
)

// opTrace goes on as long as somebody follows.
const opTrace = "trace"

// TraceQuery asks what became of messages and connections.
type TraceQuery struct {
	What   string    `json:"what,omitempty"`   // queue id, Message-ID, address, @domain, a client's address, a connection's id; empty: all
	Since  time.Time `json:"since,omitzero"`   // zero: as far back as the trace goes
	Until  time.Time `json:"until,omitzero"`   // zero: now
	Limit  int       `json:"limit,omitempty"`  // stories, the latest; 0: the default
	Follow bool      `json:"follow,omitempty"` // goes on with what happens, until who asked goes away
}

// TraceItem is one of these.
type TraceItem struct {
	Story  *TraceStory     `json:"story,omitempty"`
	End    *TraceEnd       `json:"end,omitempty"`    // behind the last story
	Record json.RawMessage `json:"record,omitempty"` // with Follow, behind End: what happens
}

// TraceStory is what became of a message, or of a connection that brought none: records with the keys of the log.
type TraceStory struct {
	ID      string            `json:"queue_id,omitempty"`
	Cause   string            `json:"cause,omitempty"` // the message that caused this one; its story comes before, if it is told
	Records []json.RawMessage `json:"records"`
	Omitted int               `json:"omitted,omitempty"` // records that are too many
}

// TraceEnd tells how complete the answer is.
type TraceEnd struct {
	More    bool  `json:"more"`    // there are earlier stories, beyond Limit
	Damaged int64 `json:"damaged"` // bytes that cannot be read
	Off     bool  `json:"off"`     // the trace is not kept (trace.enabled)
}
