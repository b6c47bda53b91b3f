package admin

import (
	"context"
	"time"
)

// Ban is a network whose clients are not let in.
type Ban struct {
	Network string     `json:"network"`
	Reason  string     `json:"reason,omitempty"`
	Origin  string     `json:"origin"` // operator, automatic
	Since   time.Time  `json:"since"`
	Until   *time.Time `json:"until,omitempty"` // nil: for good
}

// BanChange asks for a ban.
type BanChange struct {
	Network string `json:"network"` // or an address
	Seconds int64  `json:"seconds"` // 0: for good
	Reason  string `json:"reason"`  // for operators; clients do not read it
}

// BanCheck says whether an address is let in.
type BanCheck struct {
	Address string `json:"address"`
	Banned  bool   `json:"banned"`
	Ban     *Ban   `json:"ban,omitempty"`    // the one of the longest network
	Exempt  string `json:"exempt,omitempty"` // key of the configuration by which no ban holds for it
}

func (c *Client) Bans(ctx context.Context) ([]Ban, error) { return get[[]Ban](ctx, c, "bans", nil) }
func (c *Client) AddBan(ctx context.Context, b BanChange) (Ban, error) {
	return get[Ban](ctx, c, "ban-add", b)
}
func (c *Client) RemoveBan(ctx context.Context, network string) error {
	return do(ctx, c, "ban-remove", network)
}
func (c *Client) CheckBan(ctx context.Context, address string) (BanCheck, error) {
	return get[BanCheck](ctx, c, "ban-check", address)
}
