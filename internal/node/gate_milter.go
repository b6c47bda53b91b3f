package node

import (
	"fmt"

	"github.com/postrider/postrider/internal/agent/milters"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/content"
	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/wire/milter"
)

// milterGate asks the milters of a service: filters.smtpd_milters, or filters.non_smtpd_milters for "sendmail". It adds nothing
// where there are none.
func (n *Node) milterGate(c *config.Config, service string) gate.Chain {
	items := c.Filters.SmtpdMilters
	if service == "sendmail" {
		items = c.Filters.NonSmtpdMilters
	}
	list, err := parseMilters(c, items)
	if err != nil { // checkFilters has refused it
		n.log.Error("milters", "err", err)
	}
	if len(list) == 0 {
		return nil
	}
	f := &c.Filters
	set := &milters.Settings{Milters: list, Hostname: c.Hostname, DaemonName: f.MilterMacroDaemonName, V: f.MilterMacroV,
		MaxBytes: 2 * int64(c.SMTP.MaxMessageSize), Log: n.log.Logger}
	if set.DaemonName == "" {
		set.DaemonName = c.Hostname
	}
	if set.V == "" {
		set.V = "Postrider " + n.opt.Version
	}
	if len(f.MilterHeaderChecks) > 0 {
		set.Added = (&content.Checks{Header: n.tablesOf(f.MilterHeaderChecks), Log: n.log.Logger}).Added
	}
	for stage, names := range map[milter.Stage][]string{milter.AtConnect: f.MilterConnectMacros, milter.AtHello: f.MilterHeloMacros,
		milter.AtMail: f.MilterMailMacros, milter.AtRcpt: f.MilterRcptMacros, milter.AtData: f.MilterDataMacros,
		milter.AtEndOfHeader: f.MilterEndOfHeaderMacros, milter.AtEnd: f.MilterEndOfDataMacros} {
		set.Macros[stage] = names
	}
	if service == "sendmail" { // its recipients have their ways already
		return gate.Chain{milters.New(set)}
	}
	return gate.Chain{listed{n.router()}, milters.New(set)}
}

// parseMilters reads a setting. An item may name several milters, as in Postfix.
func parseMilters(c *config.Config, items []string) (list []milters.Milter, err error) {
	f := &c.Filters
	base := milters.Milter{Connect: f.MilterConnectTimeout.D(), Command: f.MilterCommandTimeout.D(), Content: f.MilterContentTimeout.D(),
		Default: milters.Action(f.MilterDefaultAction)}
	if base.Version, err = milters.Protocol(f.MilterProtocol); err != nil {
		return nil, fmt.Errorf("filters.milter_protocol: %w", err)
	}
	for _, item := range items {
		words, err := table.Split(item)
		if err != nil {
			return nil, err
		}
		for _, word := range words {
			m, err := milters.Parse(word, base)
			if err != nil {
				return nil, err
			}
			list = append(list, m)
		}
	}
	return list, nil
}
