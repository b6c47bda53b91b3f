package node

import (
	"context"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/content"
	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/recipe"
)

// checksGate looks up the lines of messages in filters.header_checks and its like. It adds nothing where there are none.
func (n *Node) checksGate(c *config.Config) gate.Chain {
	f := &c.Filters
	checks := &content.Checks{Header: n.tablesOf(f.HeaderChecks), MIME: n.tablesOf(f.MimeHeaderChecks), Nested: n.tablesOf(f.NestedHeaderChecks),
		Body: n.tablesOf(f.BodyChecks), BodyLimit: int64(f.BodyChecksSizeLimit), Log: n.log.Logger}
	if len(f.MimeHeaderChecks) == 0 {
		checks.MIME = checks.Header
	}
	if len(f.NestedHeaderChecks) == 0 {
		checks.Nested = checks.Header
	}
	if checks.Empty() {
		return nil
	}
	return gate.Chain{checks}
}

// outgoingChecks are filters.smtp_header_checks; nil where there are none.
func (n *Node) outgoingChecks(c *config.Config) func(context.Context, *flow.Job, *recipe.Reader) (*recipe.Reader, error) {
	tables := n.tablesOf(c.Filters.SmtpHeaderChecks)
	if len(tables) == 0 {
		return nil
	}
	return (&content.Checks{Header: tables, Log: n.log.Logger}).Outgoing
}

// tablesOf opens the tables of a setting. openTables has done so already: what cannot be opened now fails for every key.
func (n *Node) tablesOf(items []string) (all table.List) {
	for _, item := range items {
		list, err := n.tables.List(item)
		if err != nil {
			n.log.Error("table", "setting", item, "err", err)
			list, _ = n.tables.List("fail:" + item)
		}
		all = append(all, list...)
	}
	return all
}
