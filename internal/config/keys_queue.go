package config

// Queue is when the next attempt is made, and how much of the mail that waits goes to one site at once (docs/queue.md). A site is
// what shares mail exchangers: all domains of one provider.
type Queue struct {
	// Recipients in memory whose mail waits; the others are in the database until their time comes.
	Window int `toml:"window" min:"1000" max:"100000000" apply:"restart"`

	// Connections to a site at first; more as it goes well, fewer as it does not, up to mta.concurrency_per_destination.
	InitialDestinationConcurrency int `toml:"initial_destination_concurrency" min:"1" max:"10000"`
	// Attempts in a row that find a site unreachable, or are refused by it as such, before it rests.
	DestinationConcurrencyFailedCohortLimit int `toml:"destination_concurrency_failed_cohort_limit" min:"1" max:"1000"`
	// How long a site rests then, before one message probes it. At most the first time of mta.retry.
	RestMin Duration `toml:"site_rest_min" min:"1s" max:"1d"`
	// Each rest is twice as long as the one before it, up to this.
	RestMax Duration `toml:"site_rest_max" min:"1s" max:"7d"`

	// Senders are told that their mail is late when it waits for so long, once; not of mail in bulk. 0s: never.
	DelayWarningTime Duration `toml:"delay_warning_time" min:"0s" max:"30d"`

	// Waiting times where mail was greylisted. Empty: 6m, 15m, 30m, 1h, 2h, 4h; or mta.retry, where that is set. The same holds for
	// those that follow.
	RetryGreylisted []Duration `toml:"retry_greylisted" min:"1s" max:"7d"`
	// Where there was too much at once, or in a time. Empty: 10m, 20m, 40m, 1h20m, 2h40m, 4h.
	RetryThrottled []Duration `toml:"retry_throttled" min:"1s" max:"7d"`
	// Where our address or domain has a bad name. Empty: 1h, 2h, 4h.
	RetryBlocked []Duration `toml:"retry_blocked" min:"1s" max:"7d"`
	// Where the mailbox is full. Empty: 30m, 1h, 2h, 4h, 8h.
	RetryFull []Duration `toml:"retry_full" min:"1s" max:"7d"`
	// Where a rule of the receiver is against it, for now: authentication, reverse DNS, content. Empty: 15m, 30m, 1h, 2h, 4h.
	RetryPolicy []Duration `toml:"retry_policy" min:"1s" max:"7d"`
}

// Site is what one site is given. The names google, microsoft, yahoo, apple and gmx have numbers of their own already
// (docs/queue.md); what is 0 or empty here is theirs, or the general one.
type Site struct {
	// Its mail exchangers, by name: a name stands for itself and all below it. Hosts of next hops count, too.
	Exchangers []string `toml:"exchangers"`
	// Connections at once.
	DestinationConcurrencyLimit int `toml:"destination_concurrency_limit" min:"0" max:"10000"`
	// Connections at first.
	InitialDestinationConcurrency int `toml:"initial_destination_concurrency" min:"0" max:"10000"`
	// New connections within rate_time_unit. -1: no limit.
	ConnectionRateLimit int `toml:"connection_rate_limit" min:"-1" max:"1000000000"`
	// Messages within rate_time_unit, those of several recipients once. -1: no limit.
	MessageRateLimit int `toml:"message_rate_limit" min:"-1" max:"1000000000"`
	// The time of these limits.
	RateTimeUnit Duration `toml:"rate_time_unit" min:"1s" max:"7d"`
}
