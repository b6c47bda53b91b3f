package obs

import "log/slog"

// attempt writes the keys of an Attempt.
func (a *attrs) attempt(e Attempt) {
	a.id(KeyQueueID, e.ID)
	to := make([]string, len(e.Recipients))
	for i, r := range e.Recipients {
		to[i] = r.String()
	}
	a.list(KeyTo, to)
	a.str(KeySite, e.Site)
	a.str(KeyRelay, e.Relay)
	if e.Local.IsValid() {
		a.str(KeyLocal, e.Local.String())
	}
	a.str(KeyHelo, e.Helo)
	a.str(KeyTLS, e.TLS)
	a.str(KeyTrust, e.Trust)
	a.str(KeyAccount, e.Account)
	if e.Reused {
		*a = append(*a, slog.Bool(KeyReused, true))
	}
	a.str(KeyPhase, e.Phase)
	a.list(KeyReplies, e.Replies)
	a.str(KeyError, e.Error)
	a.seconds(KeyConnect, e.Connect)
	a.seconds(KeyDuration, e.Duration)
}

// judged writes the keys of a Judged.
func (a *attrs) judged(e Judged) {
	a.id(KeyQueueID, e.ID)
	a.peer(e.Peer)
	a.list(KeyTo, e.To)
	if len(e.Rules) > 0 {
		*a = append(*a, slog.Any(KeyRules, e.Rules))
	}
	if len(e.Routes) > 0 {
		*a = append(*a, slog.Any(KeyRoutes, e.Routes))
	}
}

func (a *attrs) list(key string, values []string) {
	if len(values) > 0 {
		*a = append(*a, slog.Any(key, values))
	}
}
