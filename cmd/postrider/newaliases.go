package main

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/agent/lookup"
	tables "github.com/postrider/postrider/internal/decide/table"
)

// checkAliases is newaliases for who knows it: there is no table to build, since the text is in force by itself, so it tells
// of the lines that cannot be used, as postalias does. A table that cannot be opened is a failure.
func (a *app) checkAliases() int {
	c, err := a.load(nil)
	var dir string
	if err == nil {
		dir, err = a.folder()
	}
	if err != nil {
		return a.sendmailFail(err)
	}
	items := c.Routing.AliasDatabase
	if len(items) == 0 {
		items = c.Routing.AliasMaps
	}
	m := &mapTool{app: a, name: "newaliases", aliases: true,
		opener: lookup.Opener{Dir: dir, Now: time.Now, Intn: rand.IntN, Log: slog.New(slog.DiscardHandler)}}
	code := 0
	for _, item := range items {
		names, err := tables.Split(item)
		if err != nil {
			fmt.Fprintf(a.stderr, "newaliases: fatal: %s: %v\n", printable(item), err)
			code = 1
		}
		for _, name := range names {
			if _, err := m.open(name); err != nil {
				fmt.Fprintf(a.stderr, "newaliases: fatal: %s\n", printable(strings.TrimSuffix(err.Error(), "\n")))
				code = 1
			}
		}
	}
	return code
}
