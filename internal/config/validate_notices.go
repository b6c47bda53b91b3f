package config

import "strings"

// noticeRules see to it that what the postmaster is to be told of has somebody to go to.
func noticeRules(c *Config) []rule {
	var rs []rule
	for key, to := range map[string]string{"2bounce_notice_recipient": c.Notices.DoubleBounceNoticeRecipient,
		"bounce_notice_recipient": c.Notices.BounceNoticeRecipient, "delay_notice_recipient": c.Notices.DelayNoticeRecipient} {
		bad := to == "" || len(to) > 254 || strings.ContainsAny(to, " \t,<>")
		rs = append(rs, rule{bad, "notices." + key, "wants one address, or a name such as postmaster"})
	}
	return rs
}
