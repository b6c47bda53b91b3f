package node

import (
	"context"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/state/suppress"
)

func (a *api) Suppressions(ctx context.Context, f admin.SuppressionFilter, each func(admin.Suppression) error) error {
	filter := suppress.Filter{Domain: f.Domain, Reason: f.Reason, Expired: f.Expired}
	if f.Reason != "" && f.Reason != suppress.Bounce && f.Reason != suppress.Complaint && f.Reason != suppress.Operator {
		return admin.Errorf(admin.Invalid, "reason %.40q is none of bounce, complaint, operator", f.Reason)
	}
	if f.Owner != "" || f.Everyone {
		owner, err := ownerKey(f.Owner)
		if err != nil {
			return err
		}
		filter.Owner = &owner
	}
	return apiError(a.suppression.store.List(ctx, filter, a.opt.Now(), func(e suppress.Entry) error { return each(shownSuppression(e)) }))
}

func shownSuppression(e suppress.Entry) admin.Suppression {
	out := admin.Suppression{Owner: e.Owner, Address: e.Address, Reason: e.Reason, Class: e.Class, Detail: e.Detail, Since: e.Since}
	if !e.Until.IsZero() {
		out.Until = &e.Until
	}
	return out
}

// ownerKey reads an owner; empty stays empty.
func ownerKey(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	return addressKey(s)
}

func addressKey(s string) (string, error) {
	key, err := suppress.ParseKey(s)
	if err != nil {
		return "", admin.Errorf(admin.Invalid, "%v; expected is user@domain or @domain", err)
	}
	return key, nil
}

func (a *api) AddSuppressions(ctx context.Context, list []admin.Suppression) (int, error) {
	if len(list) > admin.MaxSuppressions {
		return 0, admin.Errorf(admin.Invalid, "more than %d entries at once", admin.MaxSuppressions)
	}
	now := a.opt.Now()
	entries := make([]suppress.Entry, 0, len(list))
	for _, l := range list {
		owner, err := ownerKey(l.Owner)
		if err != nil {
			return 0, err
		}
		key, err := addressKey(l.Address)
		if err != nil {
			return 0, err
		}
		e := suppress.Entry{Owner: owner, Address: key, Reason: l.Reason, Class: suppress.Clip(l.Class), Detail: l.Detail, Since: l.Since}
		switch e.Reason {
		case "":
			e.Reason = suppress.Operator
		case suppress.Bounce, suppress.Complaint, suppress.Operator:
		default:
			return 0, admin.Errorf(admin.Invalid, "reason %.40q is none of bounce, complaint, operator", e.Reason)
		}
		if e.Since.IsZero() {
			e.Since = now
		}
		if l.Until != nil {
			if e.Until = *l.Until; !e.Until.After(time.Unix(0, 0)) {
				return 0, admin.Errorf(admin.Invalid, "%s: a time before 1970", l.Address)
			}
		}
		entries = append(entries, e)
	}
	if err := a.suppression.store.Put(ctx, entries); err != nil {
		return 0, apiError(err)
	}
	a.log.Info("addresses were put on suppression lists", "entries", len(entries))
	return len(entries), nil
}

func (a *api) RemoveSuppression(ctx context.Context, k admin.SuppressionKey) error {
	owner, err := ownerKey(k.Owner)
	if err != nil {
		return err
	}
	key, err := addressKey(k.Address)
	if err != nil {
		return err
	}
	gone, err := a.suppression.store.Remove(ctx, owner, key)
	if err != nil {
		return apiError(err)
	}
	if !gone {
		return admin.Errorf(admin.NotFound, "%s is not on that list", k.Address)
	}
	a.log.Info("an address was taken off a suppression list", "owner", owner, "address", key)
	return nil
}

func (a *api) CheckSuppression(ctx context.Context, k admin.SuppressionKey) (out admin.SuppressionCheck, err error) {
	to, err := address.Parse(k.Address, true)
	if err != nil || to.Domain == "" {
		return out, admin.Errorf(admin.Invalid, "%.80q is not an address (user@domain)", k.Address)
	}
	var owners []string
	if k.Owner != "" {
		owner, err := addressKey(k.Owner)
		if err != nil {
			return out, err
		}
		owners = append(owners, owner)
		if from, err := address.Parse(k.Owner, true); err == nil && owner[0] != '@' {
			owners = append(owners, suppress.Domain(from.Domain))
		}
	}
	e, listed, err := a.suppression.store.Find(ctx, owners, to, a.opt.Now())
	if err != nil {
		return out, apiError(err)
	}
	if listed {
		shown := shownSuppression(e)
		out.Suppressed, out.Entry = true, &shown
	}
	return out, nil
}
