package node

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/rate"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
)

// who a limit is for.
type who uint8

const (
	byClient who = iota
	byNetwork
	byAccount
	byTenant
	byDomain // of the reverse-path
	byRecipient
)

// what is counted.
type what uint8

const (
	connections what = iota
	messages
	recipients
	octets
)

// rateRule is one limit of [rates].
type rateRule struct {
	setting string
	who     who
	what    what
	limit   rate.Limit
}

// rateRules are the limits that are set.
func rateRules(c *config.Rates) (rules []rateRule) {
	unit, hour, day := c.TimeUnit.D(), time.Hour, 24*time.Hour
	add := func(setting string, who who, what what, most int64, per time.Duration) {
		if most > 0 {
			rules = append(rules, rateRule{setting, who, what, rate.Limit{Most: most, Per: per}})
		}
	}
	add("smtpd_client_connection_rate_limit", byClient, connections, int64(c.ClientConnections), unit)
	add("network_connection_rate_limit", byNetwork, connections, int64(c.NetworkConnections), unit)
	add("smtpd_client_message_rate_limit", byClient, messages, int64(c.ClientMessages), unit)
	add("network_message_rate_limit", byNetwork, messages, int64(c.NetworkMessages), unit)
	add("smtpd_client_recipient_rate_limit", byClient, recipients, int64(c.ClientRecipients), unit)
	add("network_recipient_rate_limit", byNetwork, recipients, int64(c.NetworkRecipients), unit)
	add("client_bytes_per_hour", byClient, octets, int64(c.ClientBytesPerHour), hour)
	add("network_bytes_per_hour", byNetwork, octets, int64(c.NetworkBytesPerHour), hour)
	add("account_messages_per_hour", byAccount, messages, int64(c.AccountMessagesPerHour), hour)
	add("account_messages_per_day", byAccount, messages, int64(c.AccountMessagesPerDay), day)
	add("account_recipients_per_hour", byAccount, recipients, int64(c.AccountRecipientsPerHour), hour)
	add("account_recipients_per_day", byAccount, recipients, int64(c.AccountRecipientsPerDay), day)
	add("account_bytes_per_day", byAccount, octets, int64(c.AccountBytesPerDay), day)
	add("tenant_messages_per_day", byTenant, messages, int64(c.TenantMessagesPerDay), day)
	add("tenant_recipients_per_day", byTenant, recipients, int64(c.TenantRecipientsPerDay), day)
	add("sender_domain_messages_per_hour", byDomain, messages, int64(c.SenderDomainMessagesPerHour), hour)
	add("recipient_messages_per_hour", byRecipient, recipients, int64(c.RecipientMessagesPerHour), hour)
	return rules
}

// rateGate refuses what goes beyond the limits in time. What clients and networks do counts whether or not it is accepted, as
// Postfix has it. What accounts and tenants send counts when it comes to its end: a recipient that another gate refuses, and a
// message that is given up, are taken back.
type rateGate struct {
	node   *Node
	config *config.Config
	rules  []rateRule
	free   map[string]bool // keys of the addresses of unlimited_accounts
}

// rateGate is the gate of a service, none where no limit is set. LMTP's client is a relay of our own.
func (n *Node) rateGate(c *config.Config, service string) gate.Chain {
	rules := rateRules(&c.Rates)
	if len(rules) == 0 || service == "lmtp" {
		return nil
	}
	free := map[string]bool{}
	for _, name := range c.Rates.UnlimitedAccounts {
		if a, ok := n.directory.LoginAddress(name); ok {
			free[a.Key()] = true
		}
	}
	return gate.Chain{&rateGate{n, c, rules, free}}
}

// Connect implements gate.Gate.
func (g *rateGate) Connect(ctx context.Context, c *gate.Conn) (gate.Session, error) {
	s := &rateSession{rateGate: g, conn: c}
	return s, s.take(ctx, event{stage: gate.AtConnect, what: connections, n: 1})
}

// rateSession is one connection.
type rateSession struct {
	gate.Open
	*rateGate
	conn   *gate.Conn
	claims []claim // of the transaction, that may be taken back
	named  int     // recipients among them
	ended  bool    // the message is here
	login  string  // whose tenant is known
	tenant int64
}

// claim is what was counted.
type claim struct {
	what  what
	key   rate.Key
	limit rate.Limit
	n     int64
}

// event is something that a client does.
type event struct {
	stage     gate.Stage
	what      what
	n         int64
	tx        *gate.Transaction
	recipient *envelope.Recipient
	peek      bool // it may not come to that; count nothing
}

// Mail counts the message, and looks whether there is room for the size that is announced.
func (s *rateSession) Mail(ctx context.Context, tx *gate.Transaction) error {
	s.Reset(ctx) // another gate may have refused the MAIL before
	if err := s.take(ctx, event{stage: gate.AtMail, what: octets, n: tx.Envelope.Size, tx: tx, peek: true}); err != nil {
		return err
	}
	return s.take(ctx, event{stage: gate.AtMail, what: messages, n: 1, tx: tx})
}

// Rcpt counts a recipient.
func (s *rateSession) Rcpt(ctx context.Context, tx *gate.Transaction, r *envelope.Recipient) error {
	err := s.take(ctx, event{stage: gate.AtRcpt, what: recipients, n: 1, tx: tx, recipient: r})
	if err == nil {
		s.named++
	}
	return err
}

// Data takes back the recipients that others have refused.
func (s *rateSession) Data(_ context.Context, tx *gate.Transaction) error {
	refused := s.named - len(tx.Envelope.Recipients)
	taken := map[rate.Key]int{}
	kept := s.claims[:0]
	for _, c := range s.claims {
		if c.what == recipients && taken[c.key] < refused {
			taken[c.key]++
			s.giveBack(c)
			continue
		}
		kept = append(kept, c)
	}
	s.claims, s.named = kept, len(tx.Envelope.Recipients)
	return nil
}

// Message counts its size.
func (s *rateSession) Message(ctx context.Context, tx *gate.Transaction, m *gate.Message) error {
	if err := s.take(ctx, event{stage: gate.AtMessage, what: octets, n: m.Size, tx: tx}); err != nil {
		return err
	}
	s.ended = true
	return nil
}

// Reset takes back what did not come to its end.
func (s *rateSession) Reset(context.Context) {
	if !s.ended {
		for _, c := range s.claims {
			s.giveBack(c)
		}
	}
	s.claims, s.named, s.ended = s.claims[:0], 0, false
}

// Close is for a transaction that the connection's end ends.
func (s *rateSession) Close() { s.Reset(context.Background()) }

func (s *rateSession) giveBack(c claim) {
	s.node.rates.accounts.Add(c.key, -c.n, c.limit, s.node.opt.Now())
}

// take counts an event against every limit that is for it, or against none and says which it would exceed.
func (s *rateSession) take(ctx context.Context, e event) error {
	now, before := s.node.opt.Now(), len(s.claims)
	for i := range s.rules {
		r := &s.rules[i]
		if r.what != e.what || e.n == 0 {
			continue
		}
		table, key, err := s.key(ctx, r, &e)
		if err != nil {
			return err
		}
		if table == nil {
			continue
		}
		ask := table.Take
		if e.peek || s.conn.Dry {
			ask = table.Fits
		}
		if !ask(key, e.n, r.limit, now) {
			if !e.peek && !s.conn.Dry {
				s.takeBack(ctx, s.rules[:i], &e, now)
			}
			s.claims = s.claims[:before]
			return s.refuse(r, &e, now)
		}
		if (r.who == byAccount || r.who == byTenant) && !e.peek && !s.conn.Dry {
			s.claims = append(s.claims, claim{r.what, key, r.limit, e.n})
		}
	}
	return nil
}

// takeBack takes an event back that was counted against some limits before another refused it.
func (s *rateSession) takeBack(ctx context.Context, rules []rateRule, e *event, now time.Time) {
	for i := range rules {
		r := &rules[i]
		if r.what != e.what {
			continue
		}
		if table, key, err := s.key(ctx, r, e); err == nil && table != nil {
			table.Add(key, -e.n, r.limit, now)
		}
	}
}

// key says whom an event counts for; no table: nobody whom the limit is for.
func (s *rateSession) key(ctx context.Context, r *rateRule, e *event) (*rate.Table, rate.Key, error) {
	k, rates := rate.Key{Measure: r.setting}, s.node.rates
	client := &s.conn.Client
	switch r.who {
	case byClient, byNetwork:
		if unlimited(s.config, client.Addr.Addr()) {
			return nil, k, nil
		}
		k.Site = site(client.Addr.Addr())
		if r.who == byNetwork {
			k.Site = networkOf(client.Addr.Addr())
		}
		return rates.clients, k, nil
	case byAccount:
		if client.Account == 0 || s.isFree(client.Login) {
			return nil, k, nil
		}
		k.Name = strconv.FormatInt(client.Account, 10)
		return rates.accounts, k, nil
	case byTenant:
		tenant, err := s.tenantOfClient(ctx)
		if err != nil || tenant == 0 {
			return nil, k, err
		}
		k.Name = strconv.FormatInt(tenant, 10)
		return rates.accounts, k, nil
	case byDomain:
		k.Name = strings.ToLower(e.tx.Envelope.From.Domain)
	case byRecipient:
		k.Name = e.recipient.To.Key()
	}
	if k.Name == "" {
		return nil, k, nil
	}
	return rates.names, k, nil
}

func (s *rateSession) isFree(login string) bool {
	if len(s.free) == 0 {
		return false
	}
	a, ok := s.node.directory.LoginAddress(login)
	return ok && s.free[a.Key()]
}

func (s *rateSession) tenantOfClient(ctx context.Context) (int64, error) {
	if s.conn.Client.Account == 0 {
		return 0, nil
	}
	if login := s.conn.Client.Login; s.login != login {
		tenant, err := s.node.tenantOf(ctx, login)
		if err != nil {
			return 0, err
		}
		s.login, s.tenant = login, tenant
	}
	return s.tenant, nil
}

// refuse says no in Postfix's words where it has them, and tells the log now and then.
func (s *rateSession) refuse(r *rateRule, e *event, now time.Time) error {
	err := refusal(r, e, s.conn.Client.Addr.Addr(), s.config.Hostname)
	s.conn.Tell(e.stage, "rates."+r.setting, fmt.Sprintf("reject %d %s %s", err.Code, err.Enhanced, err.Public))
	if s.conn.Dry {
		return err
	}
	s.node.rates.refused(r.setting).Inc()
	if times := s.node.rates.told.happened(now); times > 0 {
		s.node.log.Warn("a limit in time is reached", "setting", "rates."+r.setting, "limit", r.limit.Most, "per", r.limit.Per.String(),
			obs.KeyClient, s.conn.Client.Addr.Addr().String(), obs.KeyAccount, s.conn.Client.Login, "times", times)
	}
	return err
}

func refusal(r *rateRule, e *event, client netip.Addr, hostname string) *status.Error {
	from := client.Unmap().String()
	if r.who == byNetwork {
		from = networkOf(client).String()
	}
	span := map[time.Duration]string{time.Hour: "an hour", 24 * time.Hour: "a day"}
	things := map[what]string{messages: "messages", recipients: "recipients", octets: "bytes"}[r.what]
	switch {
	case r.what == connections:
		return status.Temp(421, 7, 0, fmt.Sprintf("%s Error: too many connections from %s", hostname, from))
	case r.who == byAccount:
		return status.Temp(450, 7, 1, fmt.Sprintf("Error: too many %s of your account in %s; try again later", things, span[r.limit.Per]))
	case r.who == byTenant:
		return status.Temp(450, 7, 1, fmt.Sprintf("Error: too many %s of your organization in %s; try again later", things, span[r.limit.Per]))
	case r.who == byDomain:
		return status.Temp(450, 7, 1, fmt.Sprintf("Error: too much mail from %s", cmp.Or(e.tx.Envelope.From.Domain, from)))
	case r.who == byRecipient:
		return status.Temp(450, 7, 1, "Error: too much mail for this recipient; try again later")
	case r.what == recipients:
		return status.Temp(450, 7, 1, fmt.Sprintf("Error: too many recipients from %s", from))
	}
	return status.Temp(450, 7, 1, fmt.Sprintf("Error: too much mail from %s", from))
}
