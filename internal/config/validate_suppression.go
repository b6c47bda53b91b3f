package config

import (
	"fmt"

	"github.com/postrider/postrider/internal/mail/address"
)

// suppressionRules see to it that complaints have an address to come to.
func suppressionRules(c *Config) []rule {
	var rs []rule
	for _, to := range c.Suppression.ComplaintAddresses {
		a, err := address.Parse(to, true)
		rs = append(rs, rule{err != nil || a.Domain == "", "suppression.complaint_addresses", fmt.Sprintf("%q is not a whole address (user@domain)", to)})
	}
	return rs
}
