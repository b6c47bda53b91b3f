package node

import (
	"slices"

	"github.com/postrider/postrider/internal/agent/report"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/mail/address"
)

// reportSettings are what a configuration says about notifications.
func reportSettings(c *config.Config, router *route.Router) *report.Settings {
	double := c.Routing.DoubleBounceSender
	if double == "" {
		double = "double-bounce"
	}
	who := func(class, to string) address.Address {
		if !slices.Contains(c.Notices.NotifyClasses, class) {
			return address.Address{}
		}
		if a, err := address.Parse(to, true); err == nil {
			return a
		}
		return address.Address{Local: to, Domain: c.Domain}
	}
	return &report.Settings{Hostname: c.Hostname, Router: router, MaxReturn: int64(c.Notices.BounceSizeLimit),
		DoubleBounce: address.Address{Local: double, Domain: c.Domain},
		Postmaster:   who("2bounce", c.Notices.DoubleBounceNoticeRecipient),
		Bounces:      who("bounce", c.Notices.BounceNoticeRecipient),
		Delays:       who("delay", c.Notices.DelayNoticeRecipient),
		Expire:       c.MTA.ExpireAfter.D(), ExpireNull: c.MTA.BounceExpireAfter.D()}
}
