package mailstore_test

import (
	"context"
	"errors"
	"testing"

	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/mailstore"
)

var errDamaged = errors.New("body checksum")

// Verify finds a body damaged that begins with '!'.
func (p packs) Verify(_ context.Context, ref recipe.BlobRef) error {
	if b := p[ref.Pack]; len(b) > 0 && b[0] == '!' {
		return errDamaged
	}
	return nil
}

// A damaged message used to be shown with its wrong bytes.
func TestOpenRefusesDamage(t *testing.T) {
	each(t, func(t *testing.T, s *mailstore.Store, p packs) {
		for _, body := range []string{"whole", "!damaged"} {
			if _, _, err := s.Append(t.Context(), &mailstore.Append{Account: me, Mailbox: mailstore.Inbox(), Messages: []mailstore.NewEntry{{Email: p.put(body)}}}); err != nil {
				t.Fatal(err)
			}
		}
		var emails []mailstore.Email
		if err := s.Emails(t.Context(), me, []int64{1, 2}, func(e *mailstore.Email) error {
			e2 := *e
			e2.Literals = append([]byte(nil), e.Literals...)
			emails = append(emails, e2)
			return nil
		}); err != nil || len(emails) != 2 {
			t.Fatal(len(emails), err)
		}
		if _, err := s.Open(t.Context(), &emails[0]); err != nil {
			t.Error(err)
		}
		if _, err := s.Open(t.Context(), &emails[1]); !errors.Is(err, errDamaged) {
			t.Errorf("opened: %v", err)
		}
	})
}
