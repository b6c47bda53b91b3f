package config

// screenRules are what must hold between the keys of [screen] and [greylist].
func screenRules(c *Config) []rule {
	s, g := &c.Screen, &c.Greylist
	return []rule{
		{s.DNSBLMinTTL > s.DNSBLMaxTTL, "screen.postscreen_dnsbl_min_ttl", "is longer than screen.postscreen_dnsbl_max_ttl"},
		{s.Enabled && s.DNSBLAllowlistThreshold < 0 && len(s.DNSBLSites) == 0, "screen.postscreen_dnsbl_allowlist_threshold",
			"needs lists of good clients in screen.postscreen_dnsbl_sites, with weights below 0"},
		{g.Delay >= g.RetryWindow, "greylist.delay", "is not shorter than greylist.retry_window: nobody could come again in time"},
	}
}
