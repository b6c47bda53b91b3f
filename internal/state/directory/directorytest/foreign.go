package directorytest

import (
	"errors"
	"testing"

	"github.com/postrider/postrider/internal/state/directory"
)

// testForeign: an account comes with the form that another system stored; its first login makes the password ours.
func testForeign(t *testing.T, f *fixture) {
	const stored = "{SSHA256}fn+B+OjeHyt8gSjidvNr4Udnxpbi4Po+zL+LWyIlST8GRTAE" // "secret"
	ctx, carol := t.Context(), Addr(t, "carol@example.org")
	if _, err := f.d.AddAccount(ctx, directory.NewAccount{Address: carol, Stored: stored}); err != nil {
		t.Fatal(err)
	}
	if _, acc, err := f.d.ScramCredentials(ctx, "carol@example.org"); err != nil || acc.ID != 0 {
		t.Errorf("SCRAM before the first login: %+v %v", acc, err)
	}
	for _, wrong := range []string{"Secret", "", stored} {
		if err := f.login("carol@example.org", wrong); !errors.Is(err, directory.ErrCredentials) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if err := f.login("carol@example.org", "secret"); err != nil {
		t.Fatal(err)
	}
	if _, acc, err := f.d.ScramCredentials(ctx, "carol@example.org"); err != nil || acc.ID == 0 {
		t.Errorf("SCRAM after the first login: %+v %v", acc, err)
	}
	if err := f.login("carol@example.org", "secret"); err != nil {
		t.Error(err)
	}

	// Back to a foreign form: the old password is gone in every form.
	if err := f.d.SetStored(ctx, carol, "{PLAIN}other"); err != nil {
		t.Fatal(err)
	}
	if err := f.login("carol@example.org", "secret"); !errors.Is(err, directory.ErrCredentials) {
		t.Error(err)
	}
	if _, acc, err := f.d.ScramCredentials(ctx, "carol@example.org"); err != nil || acc.ID != 0 {
		t.Errorf("SCRAM with the old password: %+v %v", acc, err)
	}
	// It is a password: the account may be closed and opened again.
	for _, noLogin := range []bool{true, false} {
		if err := f.d.SetNoLogin(ctx, carol, noLogin); err != nil {
			t.Error(err)
		}
	}
	// One of ours takes its place.
	if err := f.d.SetPassword(ctx, carol, "third"); err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]error{"third": nil, "other": directory.ErrCredentials} {
		if err := f.login("carol@example.org", password); !errors.Is(err, want) {
			t.Errorf("%s: %v", password, err)
		}
	}

	f.wantError(f.d.SetStored(ctx, carol, "{ROT13}frperg"), directory.ErrInvalid, "{ROT13}")
	f.wantError(f.d.SetStored(ctx, carol, "$6$rounds=99999999$salt$x"), directory.ErrInvalid, "rounds")
	f.wantError(f.d.SetStored(ctx, carol, "!"), directory.ErrInvalid, "form")
	if err := f.login("carol@example.org", "third"); err != nil {
		t.Errorf("a refused change changed something: %v", err)
	}
}
