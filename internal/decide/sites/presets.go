package sites

import "time"

// Preset is what a provider's site is given where the operator says nothing else.
type Preset struct {
	Name       string
	Exchangers []string
	// Concurrency is the ceiling of the connections at once, Initial where they begin; 0: the general ones.
	Concurrency, Initial int
	// Connections and Messages may be begun in each Per; 0: no limit.
	Connections, Messages int
	Per                   time.Duration
	Why                   string // of each number
}

// Presets are the largest providers of mailboxes. None of them publishes how many connections it takes: it depends on the name
// that the sender's address has there, and is said by 421 and 451 when it was too much. So the ceilings are what senders who
// are new there, or small, are known to get along with; who sends more, and is liked, raises them in [sites.NAME].
func Presets() []Preset {
	return []Preset{
		{Name: "google", Exchangers: []string{"google.com", "googlemail.com"},
			Concurrency: 20, Initial: 5, Connections: 600, Per: time.Minute,
			Why: "Google publishes no number and answers 421 4.7.28 to what is unusual for an address; its guidelines ask for slow growth. " +
				"20 is the general ceiling; 10 new connections a second keep a burst from looking like one."},
		{Name: "microsoft", Exchangers: []string{"protection.outlook.com", "olc.protection.outlook.com", "mx.microsoft", "hotmail.com"},
			Concurrency: 20, Initial: 3, Connections: 300, Per: time.Minute,
			Why: "Microsoft answers 451 4.7.650 (S775) and 421 RP-001 to addresses that it does not know well, and limits the rate more than the " +
				"number of connections: it begins at 3, and 5 new connections a second."},
		{Name: "yahoo", Exchangers: []string{"yahoodns.net", "yahoo.com"},
			Concurrency: 10, Initial: 3, Connections: 300, Per: time.Minute,
			Why: "Yahoo (with AOL) takes 20 messages on one connection and then closes it (help.yahoo.com SLN3433), and asks for a reasonable " +
				"number of connections without saying which; 10 is the most that senders without an agreement are advised to use."},
		{Name: "apple", Exchangers: []string{"mail.icloud.com", "apple.com"},
			Concurrency: 10, Initial: 3, Connections: 120, Per: time.Minute,
			Why: "Apple publishes no number, stands behind Proofpoint's reputation service, and answers a block, not a deferral, to what it finds " +
				"too much; so half of the general ceiling, and 2 new connections a second."},
		{Name: "gmx", Exchangers: []string{"gmx.net", "web.de", "kundenserver.de", "1and1.com", "ionos.com", "perfora.net", "mail.com"},
			Concurrency: 5, Initial: 2, Connections: 60, Per: time.Minute,
			Why: "GMX, WEB.DE, mail.com and IONOS's customers share one gateway, which refuses too many connections of one address in the greeting; " +
				"5 at once and one new a second are under what it counts."},
	}
}
