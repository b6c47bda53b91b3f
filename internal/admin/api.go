package admin

import (
	"context"
	"io"
	"time"
)

// API is what an operator may do. Names of domains and addresses are in the form that people write; answers have them in
// the form that people read (U-labels). A message that is returned has a method Size() int64. Implementations are safe for concurrent use, and every change is durable when the
// method returns.
type API interface {
	Status(ctx context.Context) (Status, error)
	Config(ctx context.Context) (Config, error)

	Domains(ctx context.Context) ([]Domain, error)
	Domain(ctx context.Context, name string) (Domain, error)
	AddDomain(ctx context.Context, d DomainChange) (Domain, error)
	SetDomain(ctx context.Context, d DomainChange) (Domain, error)
	RemoveDomain(ctx context.Context, name string) error

	Accounts(ctx context.Context, domain string) ([]Account, error) // of all domains for ""
	Account(ctx context.Context, address string) (Account, error)
	AddAccount(ctx context.Context, a NewAccount) (Account, error)
	SetAccount(ctx context.Context, a AccountChange) (Account, error)
	SetPassword(ctx context.Context, p Password) error
	RemoveAccount(ctx context.Context, address string) error // with all its mail

	Setup(ctx context.Context, address string) (Setup, error) // how the clients of an account are set up

	Aliases(ctx context.Context, domain string) ([]Alias, error) // of all domains for ""
	Alias(ctx context.Context, address string) (Alias, error)
	AddAlias(ctx context.Context, a Alias) (Alias, error)
	SetAlias(ctx context.Context, a Alias) (Alias, error)
	RemoveAlias(ctx context.Context, address string) error

	// Queue calls each for the messages in the queue that f takes, oldest first. Its error ends the list.
	Queue(ctx context.Context, f JobFilter, each func(Job) error) error
	Job(ctx context.Context, id string) (Job, error) // with its envelope
	JobMessage(ctx context.Context, id string) (io.ReadCloser, error)
	ChangeJobs(ctx context.Context, c JobsChange) (JobsChanged, error) // all or, after an error, some of them
	QueueStats(ctx context.Context) (QueueStats, error)

	Mailboxes(ctx context.Context, account string) ([]Mailbox, error)
	Messages(ctx context.Context, q MessageQuery) ([]Message, error) // ascending by UID
	Message(ctx context.Context, m MessageID) (io.ReadCloser, error)
	// SearchMail calls each for every message that matches, mailbox by mailbox, ascending by UID. Its error ends the search.
	SearchMail(ctx context.Context, q MailQuery, each func(Found) error) error
	ChangeMail(ctx context.Context, c MailChange) (Count, error) // all or, after an error, some of them

	Sessions(ctx context.Context, q SessionQuery) ([]Session, error) // the oldest first
	Kick(ctx context.Context, q SessionQuery) (Kicked, error)        // ends all that q takes, and it must not be empty

	Bans(ctx context.Context) ([]Ban, error) // in force, by network
	AddBan(ctx context.Context, b BanChange) (Ban, error)
	RemoveBan(ctx context.Context, network string) error
	CheckBan(ctx context.Context, address string) (BanCheck, error)

	Suppressions(ctx context.Context, f SuppressionFilter, each func(Suppression) error) error // by owner and address
	AddSuppressions(ctx context.Context, list []Suppression) (int, error)                      // or replaces them; at most MaxSuppressions
	RemoveSuppression(ctx context.Context, k SuppressionKey) error
	CheckSuppression(ctx context.Context, k SuppressionKey) (SuppressionCheck, error)
	Usages(ctx context.Context) ([]Usage, error) // the fullest limits in time, MaxUsages at most

	Explain(ctx context.Context, q ExplainQuery) (Explanation, error) // changes nothing

	// Trace calls each for every message and connection that q takes, in the order of their beginnings, and then for how
	// complete that is.
	Trace(ctx context.Context, q TraceQuery, each func(TraceItem) error) error

	// Check looks at everything that is stored, and calls each with what it finds and how far it is; the last call has the
	// summary. Faults are no error.
	Check(ctx context.Context, q CheckQuery, each func(CheckEvent) error) error

	StoreStats(ctx context.Context) (StoreStats, error)
	// Upkeep looks after the packs now, and calls each with how far it is; the last call has the summary.
	Upkeep(ctx context.Context, q UpkeepQuery, each func(UpkeepEvent) error) error
}

// Status tells what runs.
type Status struct {
	Running   bool              `json:"running"`
	Version   string            `json:"version"`
	PID       int               `json:"pid"`
	Hostname  string            `json:"hostname"`
	Dir       string            `json:"dir"`
	Listeners map[string]string `json:"listeners"`

	Certificates []Certificate `json:"certificates,omitempty"` // the default first
}

// Certificate is one that can be shown to TLS clients, or one that could not be obtained yet.
type Certificate struct {
	Names   []string  `json:"names"`
	From    string    `json:"from"`    // its file, "acme" or "self-signed"
	Expires time.Time `json:"expires"` // zero: there is none yet
	Problem string    `json:"problem,omitempty"`
}

// Config is the configuration in force, as a file that would give the same.
type Config struct {
	Text string `json:"text"`
}

// Domain is a domain of ours.
type Domain struct {
	Name      string    `json:"domain"`
	CatchAll  string    `json:"catch_all"` // empty: none
	Delimiter string    `json:"delimiter"` // each character begins an address extension; empty: none
	Accounts  int       `json:"accounts"`
	Aliases   int       `json:"aliases"`
	Created   time.Time `json:"created"`
}

// DomainChange says what a domain shall be; nil leaves a setting as it is, or as the default has it.
type DomainChange struct {
	Name      string  `json:"domain"`
	CatchAll  *string `json:"catch_all,omitempty"`
	Delimiter *string `json:"delimiter,omitempty"`
}

// Account is a mailbox's owner.
type Account struct {
	Address  string    `json:"address"`
	Login    bool      `json:"login"`            // false: it receives mail and nobody logs in
	System   string    `json:"system,omitempty"` // the system user whose password it is; empty: it has its own
	Messages int64     `json:"messages"`
	Bytes    int64     `json:"bytes"`
	Quota    int64     `json:"quota"` // bytes; 0: no limit
	Created  time.Time `json:"created"`
	// LastLogin is the last of each service, the latest first. Logins of master users are not among them.
	LastLogin []LastLogin `json:"last_login,omitempty"`
}

// LastLogin is when an account was last logged in to.
type LastLogin struct {
	At      time.Time `json:"at"`
	Service string    `json:"service"`
	Client  string    `json:"client"` // address
}

// NewAccount is what AddAccount makes an account from.
type NewAccount struct {
	Address  string `json:"address"`
	Password string `json:"password,omitempty"` // empty only with NoLogin or Stored
	Stored   string `json:"stored,omitempty"`   // the password as another mail system stored it: {SCHEME}data or crypt(3)'s form
	System   string `json:"system,omitempty"`   // the system user whose password it is, instead of one of its own
	NoLogin  bool   `json:"no_login,omitempty"`
	Quota    int64  `json:"quota,omitempty"` // bytes; 0: no limit
}

// AccountChange says what SetAccount changes; nil leaves a setting as it is.
type AccountChange struct {
	Address string `json:"address"`
	Login   *bool  `json:"login,omitempty"`
	Quota   *int64 `json:"quota,omitempty"`
}

// Password is an account's new password.
type Password struct {
	Address  string `json:"address"`
	Password string `json:"password,omitempty"`
	Stored   string `json:"stored,omitempty"` // instead of Password: as another mail system stored it
}

// Setup is what clients of an account are told.
type Setup struct {
	Address    string         `json:"address"`
	User       string         `json:"user_name"` // for reading and sending
	Services   []SetupService `json:"services"`  // the best first
	PageURL    string         `json:"page_url,omitempty"`
	ProfileURL string         `json:"profile_url,omitempty"`
	Records    []string       `json:"records"`           // lines of the domain's zone
	Profile    []byte         `json:"profile,omitempty"` // for Apple's devices
}

// SetupService is one way to read or to send.
type SetupService struct {
	Protocol string `json:"protocol"` // imap, pop3, smtp
	Host     string `json:"host"`
	Port     int    `json:"port"`
	Security string `json:"security"` // SSL/TLS, STARTTLS
}

// Alias leads from an address to others, here or elsewhere.
type Alias struct {
	Address string    `json:"address"`
	Targets []string  `json:"targets"`
	Created time.Time `json:"created,omitzero"`
}

// Count is how many were concerned.
type Count struct {
	Messages int `json:"messages"`
}

// Mailbox is a mailbox of an account.
type Mailbox struct {
	Name     string `json:"mailbox"`
	Role     string `json:"special_use,omitempty"`
	Messages int64  `json:"messages"`
	Unseen   int64  `json:"unseen"`
	Bytes    int64  `json:"bytes"`
}

// MessageQuery asks for the newest messages of a mailbox.
type MessageQuery struct {
	Account string `json:"account"`
	Mailbox string `json:"mailbox"`
	Limit   int    `json:"limit"` // 0: as many as MaxMessages
}

// MaxMessages bounds the answer to a MessageQuery.
const MaxMessages = 10_000

// Message is a message in a mailbox.
type Message struct {
	UID      uint32    `json:"uid"`
	Received time.Time `json:"received"`
	From     string    `json:"from"`
	Subject  string    `json:"subject"`
	Size     int64     `json:"size"`
	Flags    []string  `json:"flags"`
}

// MessageID is a message's place.
type MessageID struct {
	Account string `json:"account"`
	Mailbox string `json:"mailbox"`
	UID     uint32 `json:"uid"`
}
