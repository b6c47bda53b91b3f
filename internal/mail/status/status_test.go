package status

import (
	"errors"
	"fmt"
	"testing"
)

func TestOfUnknownIsTemporary(t *testing.T) {
	cause := errors.New("secret detail")
	e := Of(fmt.Errorf("wrap: %w", cause))
	if e.Code != 451 || e.Enhanced.String() != "4.3.0" || e.Class != Temporary {
		t.Fatalf("got %v", e)
	}
	if !errors.Is(e, cause) {
		t.Fatal("cause lost")
	}
	if e.Public == e.Err.Error() {
		t.Fatal("the cause must not become public")
	}
	if Of(nil) != nil || IsTemporary(nil) || IsPermanent(nil) {
		t.Fatal("nil is no failure")
	}
}

func TestConstructorKeepsClassAndCodeTogether(t *testing.T) {
	if e := Temp(550, 1, 1, "x"); e.Code/100 != 4 || e.Class != Temporary {
		t.Fatalf("a temporary failure with a permanent code: %v", e)
	}
	if e := Perm(450, 1, 1, "x"); e.Code/100 != 5 || e.Class != Permanent {
		t.Fatalf("a permanent failure with a temporary code: %v", e)
	}
	if e := Of(fmt.Errorf("deliver: %w", Perm(550, 1, 1, "no such user"))); e.Code != 550 || !IsPermanent(e) {
		t.Fatalf("wrapped error not found: %v", e)
	}
}

func TestParseEnhanced(t *testing.T) {
	for _, c := range []struct {
		in, code, rest string
		ok             bool
	}{
		{"2.1.5 ok", "2.1.5", "ok", true},
		{"5.7.509 denied", "5.7.509", "denied", true},
		{"4.0.0", "4.0.0", "", true},
		{"3.0.0 x", "", "3.0.0 x", false},
		{"5.1 x", "", "5.1 x", false},
		{"5.1.1000 x", "", "5.1.1000 x", false},
		{"5.1.1x", "", "5.1.1x", false},
		{"", "", "", false},
	} {
		e, rest, ok := ParseEnhanced(c.in)
		if e.String() != c.code || rest != c.rest || ok != c.ok {
			t.Errorf("%q: %v %q %v", c.in, e, rest, ok)
		}
	}
}

func TestSoften(t *testing.T) {
	e := Of(Soften(fmt.Errorf("x: %w", Perm(554, 7, 1, "go away"))))
	if e.Code != 450 || e.Enhanced.String() != "4.7.1" || e.Class != Temporary || e.Public != "go away" {
		t.Error(e)
	}
	if again := Temp(451, 3, 0, "later"); Soften(again) != error(again) || Soften(nil) != nil {
		t.Error("what is temporary stays")
	}
}
