package config

import "path/filepath"

// routingRules are what must hold between the keys of [routing] that say where mail goes.
func routingRules(c *Config) []rule {
	r := c.Routing
	return []rule{
		{r.Relayhost != "" && c.MTA.SmartHost.Host != "", "routing.relayhost", "and mta.smart_host.host are two words for one thing: take one out"},
		{r.SRSDomain != "" && r.SRSSecretsFile == "", "routing.srs_domain", "needs routing.srs_secrets_file: a file with a line of random characters"},
		{r.SRSSecretsFile != "" && !filepath.IsAbs(r.SRSSecretsFile), "routing.srs_secrets_file", "wants an absolute path"},
	}
}
