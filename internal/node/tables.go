package node

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/agent/lookup"
	"github.com/postrider/postrider/internal/config"
)

// newTables makes the opener of lookup tables. A table that several settings name is opened once.
func newTables(o Options) *lookup.Opener {
	folder, now := o.Folder, o.Now
	if folder == "" {
		folder = o.Config.DataDir
	}
	if now == nil {
		now = time.Now
	}
	return &lookup.Opener{Dir: folder, Now: now, Intn: rand.IntN, Log: o.Log.Logger}
}

// tablePath finds the files of tables in a setting: "hash:/etc/mail/access".
var tablePath = regexp.MustCompile(`\b([a-z]+):(/[^\s,{}]+)`)

// tableFiles are the files that settings name as tables, by absolute paths.
func tableFiles(c *config.Config) (files []string) {
	for _, v := range config.Values(c) {
		list, _ := v.Value.([]any)
		for _, item := range list {
			text, _ := item.(string)
			for _, m := range tablePath.FindAllStringSubmatch(text, -1) {
				if slices.Contains(lookup.Types(), m[1]) {
					files = append(files, m[2])
				}
			}
		}
	}
	return files
}
