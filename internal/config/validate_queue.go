package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

func defaultQueue() Queue {
	return Queue{Window: 100_000, InitialDestinationConcurrency: 5, DestinationConcurrencyFailedCohortLimit: 3, RestMin: Duration(5 * time.Minute), RestMax: Duration(time.Hour)}
}

func (s *Site) setDefaults() { s.RateTimeUnit = Duration(time.Minute) }

// OwnRetry tells whether the operator chose mta.retry: then it holds for all classes that have no times of their own.
func (c *Config) OwnRetry() bool { return !slices.Equal(c.MTA.Retry, defaultMTA().Retry) }

// queueRules are those of [queue] and [sites.NAME].
func queueRules(c *Config) []rule {
	rs := []rule{{c.Queue.RestMax < c.Queue.RestMin, "queue.site_rest_max", "is shorter than queue.site_rest_min"}}
	taken := map[string]string{}
	for _, name := range names(c.Sites) {
		s, key := c.Sites[name], "sites."+name
		limit := s.DestinationConcurrencyLimit
		rs = append(rs, rule{limit > 0 && s.InitialDestinationConcurrency > limit, key + ".initial_destination_concurrency",
			"is larger than " + key + ".destination_concurrency_limit"})
		for _, e := range s.Exchangers {
			domain := strings.ToLower(strings.TrimPrefix(e, "."))
			other, twice := taken[domain]
			rs = append(rs, rule{!isHostname(domain), key + ".exchangers", fmt.Sprintf("%q is no host name", e)},
				rule{twice, key + ".exchangers", fmt.Sprintf("%q stands in sites.%s too", e, other)})
			taken[domain] = name
		}
	}
	return rs
}
