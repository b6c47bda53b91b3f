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

// Usage is how much of a limit in time somebody has used up.
type Usage struct {
	Limit  string     `json:"limit"` // the key of the configuration
	Who    string     `json:"who"`   // address, network, account, tenant, domain or recipient
	Used   int64      `json:"used"`
	Most   int64      `json:"most"` // 0: nothing is refused for it, but slowed down
	Locked *time.Time `json:"locked_until,omitempty"`
}

// MaxUsages bounds the answer of Usages.
const MaxUsages = 100

func (c *Client) Usages(ctx context.Context) ([]Usage, error) {
	return get[[]Usage](ctx, c, "limits", nil)
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
