package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/access"
	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/wire/policy"
)

// policyServers are the servers of check_policy_service. Each of them, as a restriction has it, has a client of its own.
type policyServers struct {
	config config.PolicyService
	log    *slog.Logger // nil: none

	mu      sync.Mutex
	clients map[string]*policyServer
}

// policyServer is one, with what is its own.
type policyServer struct {
	*policy.Client
	action, context string
}

// policyConnections bounds the connections to one server at once.
const policyConnections = 100

func newPolicyServers(c config.PolicyService, log *slog.Logger) *policyServers {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &policyServers{config: c, log: log, clients: map[string]*policyServer{}}
}

var _ access.PolicyServers = (*policyServers)(nil)

// Check implements access.PolicyServers.
func (p *policyServers) Check(service string) error {
	_, err := p.server(service)
	return err
}

// Ask implements access.PolicyServers. A server that cannot be asked, or answers rubbish, has its default action.
func (p *policyServers) Ask(ctx context.Context, service string, attributes []access.Attribute) (string, error) {
	s, err := p.server(service)
	if err != nil {
		return "", err
	}
	request := make([]policy.Attribute, 0, len(attributes)+3)
	for _, a := range attributes {
		if a.Name != "policy_context" {
			request = append(request, policy.Attribute(a))
		}
	}
	// Last, as Postfix has it. The two of Postfix 3.8 tell which of its protocols this is.
	request = append(request, policy.Attribute{Name: "policy_context", Value: s.context},
		policy.Attribute{Name: "compatibility_level", Value: "3.8"}, policy.Attribute{Name: "mail_version", Value: "3.8.0"})
	action, err := s.Ask(ctx, request)
	if err != nil {
		if ctx.Err() == nil {
			p.log.Warn("policy server cannot be asked; its default action holds", "service", service, "action", s.action, obs.KeyError, err)
		}
		return s.action, nil
	}
	return action, nil
}

// server returns the server that a restriction names.
func (p *policyServers) server(service string) (*policyServer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.clients[service]; s != nil {
		return s, nil
	}
	c, network, address, err := parsePolicy(service, p.config)
	if err != nil {
		return nil, err
	}
	s := &policyServer{action: c.SmtpdPolicyServiceDefaultAction, context: c.SmtpdPolicyServicePolicyContext,
		Client: policy.New(policy.Options{Network: network, Address: address, Timeout: c.SmtpdPolicyServiceTimeout.D(),
			RetryDelay: c.SmtpdPolicyServiceRetryDelay.D(), Tries: c.SmtpdPolicyServiceTryLimit, Requests: c.SmtpdPolicyServiceRequestLimit,
			MaxIdle: c.SmtpdPolicyServiceMaxIdle.D(), MaxTTL: c.SmtpdPolicyServiceMaxTTL.D(), Connections: policyConnections})}
	p.clients[service] = s
	return s, nil
}

// parsePolicy reads "inet:host:port" or "unix:/path", with what holds for this server alone behind it:
// "inet:127.0.0.1:10023, timeout=10s, { default_action = DEFER try later }". Braces around the whole are taken off too.
func parsePolicy(service string, c config.PolicyService) (_ config.PolicyService, network, address string, err error) {
	inner, err := table.Unbrace(service)
	if err != nil {
		return c, "", "", err
	}
	words, err := table.Split(inner)
	if err != nil || len(words) == 0 {
		return c, "", "", errors.Join(fmt.Errorf("policy server %q: expected is inet:host:port or unix:/path", service), err)
	}
	if network, address, err = policyEndpoint(words[0]); err != nil {
		return c, "", "", err
	}
	for _, word := range words[1:] {
		setting, err := table.Unbrace(word)
		if err != nil {
			return c, "", "", err
		}
		if err := setPolicy(&c, setting); err != nil {
			return c, "", "", fmt.Errorf("policy server %q: %w", words[0], err)
		}
	}
	return c, network, address, nil
}

func policyEndpoint(word string) (network, address string, err error) {
	if path, ok := strings.CutPrefix(word, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return "", "", fmt.Errorf("policy server %q: expected is unix: with a whole path. A program that Postfix's master.cf spawns must be run "+
				"as a service of its own here (docs/policy.md)", word)
		}
		return "unix", path, nil
	}
	rest, ok := strings.CutPrefix(word, "inet:")
	if _, err := strconv.ParseUint(rest, 10, 16); ok && err == nil {
		rest = "localhost:" + rest
	}
	host, port, err := net.SplitHostPort(rest)
	if !ok || err != nil || port == "" {
		return "", "", fmt.Errorf("policy server %q: expected is inet:host:port or unix:/path", word)
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return "", "", fmt.Errorf("policy server %q: %q is no port", word, port)
	}
	if host == "" {
		host = "localhost"
	}
	return "tcp", net.JoinHostPort(host, port), nil
}

// setPolicy takes one name=value of a restriction; the names are those of the keys, without smtpd_policy_service_.
func setPolicy(c *config.PolicyService, setting string) (err error) {
	name, value, ok := strings.Cut(setting, "=")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !ok {
		return fmt.Errorf("%q: expected is name=value", setting)
	}
	durations := map[string]*config.Duration{"timeout": &c.SmtpdPolicyServiceTimeout, "retry_delay": &c.SmtpdPolicyServiceRetryDelay,
		"max_idle": &c.SmtpdPolicyServiceMaxIdle, "max_ttl": &c.SmtpdPolicyServiceMaxTTL}
	numbers := map[string]*int{"request_limit": &c.SmtpdPolicyServiceRequestLimit, "try_limit": &c.SmtpdPolicyServiceTryLimit}
	switch {
	case name == "default_action" && value != "":
		c.SmtpdPolicyServiceDefaultAction = value
	case name == "policy_context":
		c.SmtpdPolicyServicePolicyContext = value
	case durations[name] != nil:
		if _, err := strconv.Atoi(value); err == nil {
			value += "s"
		}
		if err = durations[name].UnmarshalText([]byte(value)); err == nil && durations[name].D() <= 0 {
			err = errors.New("expected is more than 0s")
		}
	case numbers[name] != nil:
		if *numbers[name], err = strconv.Atoi(value); err == nil && (*numbers[name] < 0 || name == "try_limit" && *numbers[name] == 0) {
			err = errors.New("expected is a number above 0")
		}
	default:
		names := []string{"timeout", "default_action", "policy_context", "request_limit", "retry_delay", "try_limit", "max_idle", "max_ttl"}
		return fmt.Errorf("%q: known are %s; is %s meant?", setting, strings.Join(names, ", "), config.Nearest(name, names))
	}
	if err != nil {
		return fmt.Errorf("%q: %w", setting, err)
	}
	return nil
}
