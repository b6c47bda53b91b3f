package config

// Notices is who is told of mail that is not delivered (docs/dsn.md).
type Notices struct {
	// What the postmaster is told of: 2bounce (mail that can be neither delivered nor returned), bounce (copies of what senders
	// are told of, without the message's text), delay (copies of the warnings).
	NotifyClasses []string `toml:"notify_classes" enum:"2bounce,bounce,delay"`
	// Who gets what can be neither delivered nor returned.
	DoubleBounceNoticeRecipient string `toml:"2bounce_notice_recipient"`
	// Who gets the copies of bounces.
	BounceNoticeRecipient string `toml:"bounce_notice_recipient"`
	// Who gets the copies of warnings of delay.
	DelayNoticeRecipient string `toml:"delay_notice_recipient"`
	// The largest message that is returned whole with the report that it could not be delivered; of a larger one it is the header.
	BounceSizeLimit Size `toml:"bounce_size_limit" min:"1KiB" max:"10MiB"`
	// Networks whose clients may ask for a reverse-path of its own for each recipient (XVERP), besides programs of this host.
	VERPClients Networks `toml:"smtpd_authorized_verp_clients"`
}

func defaultNotices() Notices {
	return Notices{NotifyClasses: []string{"2bounce"}, DoubleBounceNoticeRecipient: "postmaster", BounceNoticeRecipient: "postmaster",
		DelayNoticeRecipient: "postmaster", BounceSizeLimit: 50 << 10}
}
