package admin

// opCheck has no time limit.
const opCheck = "check"

// CheckQuery says how to check.
type CheckQuery struct {
	Repair bool `json:"repair,omitempty"` // mend what can be derived, set aside what cannot
	Deep   bool `json:"deep,omitempty"`   // read every record
	// Rebuild makes a lost or damaged database anew out of the packs; no server must run. It implies Repair.
	Rebuild bool `json:"rebuild,omitempty"`
}

// CheckEvent has one of its fields.
type CheckEvent struct {
	Progress *CheckProgress `json:"progress,omitempty"`
	Fault    *Fault         `json:"fault,omitempty"`
	Summary  *CheckSummary  `json:"summary,omitempty"` // the last
}

// CheckProgress tells how far a check is.
type CheckProgress struct {
	Stage string `json:"stage"`
	Done  int64  `json:"done"`
	Total int64  `json:"total"` // 0: not known
}

// Fault is one thing that is wrong.
type Fault struct {
	Kind    string `json:"fault"` // for programs; docs/check.md has them all
	Text    string `json:"text"`
	Pack    int64  `json:"pack,omitempty"`
	Offset  int64  `json:"offset,omitempty"` // in the pack, bytes
	Account string `json:"account,omitempty"`
	Mailbox string `json:"mailbox,omitempty"`
	UID     uint32 `json:"uid,omitempty"`
	QueueID string `json:"queue_id,omitempty"`
	Mended  string `json:"mended,omitempty"` // what was done about it
	Note    bool   `json:"note,omitempty"`   // nothing is wrong by it
}

// CheckSummary is what was looked at and what was found.
type CheckSummary struct {
	Clean    bool    `json:"clean"` // nothing is wrong (any more)
	Faults   int     `json:"faults"`
	Mended   int     `json:"mended"` // of them
	Notes    int     `json:"notes"`
	Packs    int64   `json:"packs"`
	Records  int64   `json:"records"` // read in full
	Bytes    int64   `json:"bytes"`   // of these
	Emails   int64   `json:"emails"`
	Jobs     int     `json:"jobs"`
	Accounts int     `json:"accounts"`
	Seconds  float64 `json:"seconds"`
}
