package trace

import (
	"bytes"
	"encoding/json"
	"time"
)

// Record is a line as it is read: what a search needs of it, and the whole.
type Record struct {
	Raw json.RawMessage `json:"-"`
	Run uint64          `json:"-"`

	Time      time.Time `json:"time"`
	Event     string    `json:"event"`
	ID        string    `json:"queue_id"`
	Cause     string    `json:"cause"`
	Session   string    `json:"session"`
	Client    string    `json:"client"`
	MessageID string    `json:"message_id"`
	From      string    `json:"from"`
	To        texts     `json:"to"`
	OrigTo    string    `json:"orig_to"`
	Account   string    `json:"account"`

	place place
}

// place orders lines: those of a process as they happened, whatever its clock did.
type place struct {
	segment string
	at      int64
	line    int
}

func (p place) compare(o place) int {
	switch {
	case p.segment != o.segment:
		return compare(p.segment, o.segment)
	case p.at != o.at:
		return compare(p.at, o.at)
	}
	return compare(p.line, o.line)
}

func compare[T int | int64 | string](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// texts is one value or several.
type texts []string

// UnmarshalJSON implements json.Unmarshaler.
func (t *texts) UnmarshalJSON(p []byte) error {
	if len(p) > 0 && p[0] == '[' {
		return json.Unmarshal(p, (*[]string)(t))
	}
	var one string
	if err := json.Unmarshal(p, &one); err != nil {
		return err
	}
	*t = texts{one}
	return nil
}

// parse reads a line; ok is false for one that is none of ours.
func parse(text []byte) (r Record, ok bool) {
	if json.Unmarshal(text, &r) != nil || r.Event == "" || r.Time.IsZero() {
		return Record{}, false
	}
	r.Raw = bytes.Clone(text)
	return r, true
}
