package sasl

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// office is a book in which root may act for others.
type office struct{ book }

func (o office) PasswordAs(ctx context.Context, user, name, password string) (Identity, error) {
	id, err := o.Password(ctx, name, password)
	switch {
	case err != nil:
		return Identity{}, err
	case user == "nobody":
		return Identity{}, ErrCredentials
	case user == "king":
		return Identity{}, ErrAuthzid
	}
	return Identity{Account: 9, Name: user, Master: id.Name}, nil
}

func TestDelegation(t *testing.T) {
	for _, c := range []struct {
		responses string
		want      error
		who       Identity
	}{
		{"ann\x00user\x00pencil", nil, Identity{Account: 9, Name: "ann", Master: "user"}},
		{"user\x00user\x00pencil", nil, Identity{Account: 4, Name: "user"}},
		{"\x00user\x00pencil", nil, Identity{Account: 4, Name: "user"}},
		{"ann\x00user\x00wrong", ErrCredentials, Identity{}},
		{"nobody\x00user\x00pencil", ErrCredentials, Identity{}},
		{"king\x00user\x00pencil", ErrAuthzid, Identity{}},
		{strings.Repeat("x", MaxName+1) + "\x00user\x00pencil", ErrCredentials, Identity{}},
	} {
		_, id, err := converse(NewServer(office{}, Options{}), Plain, c.responses)
		if !errors.Is(err, c.want) || id != c.who {
			t.Errorf("%.20q: %+v, %v", c.responses, id, err)
		}
	}
}

// noOne has keys that belong to nobody.
type noOne struct{ book }

func (n noOne) Keys(ctx context.Context, name string) (Keys, Identity, error) {
	k, _, err := n.book.Keys(ctx, name)
	return k, Identity{}, err
}

// Keys of nobody are asked for to the end, where they do not fit, though the proof is right.
func TestScramKeysOfNobody(t *testing.T) {
	for auth, want := range map[Authenticator]error{book{}: nil, noOne{}: ErrCredentials} {
		c, err := NewClient([]string{ScramSHA256}, Credentials{Name: "user", Password: "pencil"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := run(t, NewServer(auth, Options{}), c); !errors.Is(err, want) {
			t.Errorf("%T: %v, want %v", auth, err, want)
		}
	}
}
