package directorytest

import (
	"context"
	"errors"
	"testing"

	"github.com/postrider/postrider/internal/state/directory"
)

// A system user's password is checked by the system, until the account gets one of its own.
func testSystemUser(t *testing.T, f *fixture) {
	add := func(address, user string) error {
		_, err := f.d.AddAccount(t.Context(), directory.NewAccount{Address: Addr(t, address), System: user})
		return err
	}
	f.wantError(add("eve@example.org", "eve:0"), directory.ErrInvalid, "not the name of a system user")
	if err := add("al.ice@example.org", "al"); err != nil {
		t.Fatal(err)
	}
	if user, err := f.d.SystemUser(t.Context(), Addr(t, "al.ice@example.org")); err != nil || user != "al" {
		t.Errorf("system user %q, %v", user, err)
	}
	if keys, acc, err := f.d.ScramCredentials(t.Context(), "al.ice@example.org"); err != nil || acc.ID != 0 || len(keys.Salt) == 0 {
		t.Errorf("SCRAM is offered for a system user: %+v, %v", acc, err)
	}
	for _, step := range []struct {
		name, password string
		broken         error
		want           error
		asked          int
	}{
		{"the helper is away", "right", errors.New("no socket"), directory.ErrBusy, 1},
		{"wrong", "wrong", nil, directory.ErrCredentials, 2},
		{"right", "right", nil, nil, 3},
		{"remembered", "right", errors.New("no socket"), nil, 3},
		{"another password", "other", errors.New("no socket"), directory.ErrBusy, 4},
	} {
		f.system.broken = step.broken
		if err := f.login("al.ice@example.org", step.password); !errors.Is(err, step.want) || f.system.asked != step.asked {
			t.Errorf("%s: %v, the system asked %d times; want %v, %d", step.name, err, f.system.asked, step.want, step.asked)
		}
	}
	if err := f.d.SetPassword(t.Context(), Addr(t, "al.ice@example.org"), "own"); err != nil {
		t.Fatal(err)
	}
	if err := f.login("al.ice@example.org", "right"); !errors.Is(err, directory.ErrCredentials) {
		t.Errorf("the system's password still fits: %v", err)
	}
	if err := f.login("al.ice@example.org", "own"); err != nil || f.system.asked != 4 {
		t.Errorf("the account's own password: %v, asked %d times", err, f.system.asked)
	}
}

// systemUsers stands for the system: it has the user al.
type systemUsers struct {
	broken error
	asked  int
}

func (s *systemUsers) CheckPassword(_ context.Context, user, password string) (bool, error) {
	s.asked++
	return user == "al" && password == "right", s.broken
}
