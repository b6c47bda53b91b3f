package route

import (
	"context"

	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

// Copies are the recipients that always_bcc, sender_bcc_maps and recipient_bcc_maps add for one envelope recipient; Plan
// merges those that several of them add. Nobody hears of their failures. Mail that we make ourselves (notifications) gets
// none, as with Postfix. The error is a temporary one.
func (r *Router) Copies(ctx context.Context, q Query) ([]flow.Recipient, error) {
	rules := &r.Rules
	if rules.AlwaysBCC == "" && len(rules.SenderBCCMaps) == 0 && len(rules.RecipientBCCMaps) == 0 {
		return nil, nil
	}
	to, err := r.form(ctx, q.To.To)
	if err == nil {
		to, err = r.canonical(ctx, &Query{}, to, false)
	}
	if err != nil {
		return nil, err
	}
	var out []flow.Recipient
	add := func(setting, key, text string) error {
		a, err := r.parse(text)
		if err != nil {
			return errMapping(setting, err.Error())
		}
		q.tell(setting, key, a.String())
		some, err := r.Recipient(ctx, Query{From: q.From, To: envelope.Recipient{To: a, Notify: envelope.NotifyNever}, MayRelay: true, Note: q.Note})
		if status.IsPermanent(err) {
			return nil // a copy that goes nowhere is no reason to refuse the mail
		}
		out = append(out, some...)
		return err
	}
	if rules.AlwaysBCC != "" {
		if err := add("always_bcc", q.From.String(), rules.AlwaysBCC); err != nil {
			return nil, err
		}
	}
	for _, by := range []struct {
		setting string
		list    table.List
		address address.Address
	}{{"sender_bcc_maps", rules.SenderBCCMaps, q.From}, {"recipient_bcc_maps", rules.RecipientBCCMaps, to}} {
		if by.address.IsZero() {
			continue
		}
		value, at, found, err := r.find(ctx, by.list, by.address)
		if err != nil {
			return nil, err
		}
		if found {
			if err := add(by.setting, at.Text, value); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}
