package admin

import (
	"context"
	"time"
)

// Suppression is an address on a suppression list.
type Suppression struct {
	Owner   string     `json:"owner"`   // "@domain" of senders, an account's address; empty: everybody's
	Address string     `json:"address"` // or "@domain"
	Reason  string     `json:"reason"`  // bounce, complaint, operator
	Class   string     `json:"class,omitempty"`
	Detail  string     `json:"detail,omitempty"`
	Since   time.Time  `json:"since"`
	Until   *time.Time `json:"until,omitempty"` // nil: for good
}

// SuppressionFilter says which entries are meant; zero: all that hold.
type SuppressionFilter struct {
	Owner    string `json:"owner,omitempty"`    // empty: of all
	Everyone bool   `json:"everyone,omitempty"` // only everybody's
	Domain   string `json:"domain,omitempty"`   // of the address
	Reason   string `json:"reason,omitempty"`
	Expired  bool   `json:"expired,omitempty"` // also what does not hold any more
}

// SuppressionKey names an entry.
type SuppressionKey struct {
	Owner   string `json:"owner"`
	Address string `json:"address"`
}

// SuppressionCheck says whether a sender's bulk mail is sent to an address.
type SuppressionCheck struct {
	Suppressed bool         `json:"suppressed"`
	Entry      *Suppression `json:"entry,omitempty"`
}

// MaxSuppressions bounds the entries of one AddSuppressions.
const MaxSuppressions = 1000

func (c *Client) Suppressions(ctx context.Context, f SuppressionFilter, each func(Suppression) error) error {
	return receive(ctx, c, "suppressions", f, each)
}
func (c *Client) AddSuppressions(ctx context.Context, list []Suppression) (int, error) {
	return get[int](ctx, c, "suppression-add", list)
}
func (c *Client) RemoveSuppression(ctx context.Context, k SuppressionKey) error {
	return do(ctx, c, "suppression-remove", k)
}
func (c *Client) CheckSuppression(ctx context.Context, k SuppressionKey) (SuppressionCheck, error) {
	return get[SuppressionCheck](ctx, c, "suppression-check", k)
}
