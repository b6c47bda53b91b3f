package crypt

import (
	"errors"
	"testing"
)

// FuzzVerify: whatever is stored, the answer comes, the same twice, and an error is one of three.
func FuzzVerify(f *testing.F) {
	f.Fuzz(func(t *testing.T, stored, password string) {
		if len(stored) > 80 && stored[0] != '{' {
			return // the costly ones are bounded, and still too slow here
		}
		ok, err := Verify(stored, user, password)
		if err != nil {
			if ok || !errors.Is(err, ErrScheme) && !errors.Is(err, ErrForm) && !errors.Is(err, ErrCost) {
				t.Fatalf("%q: %v, %v", stored, ok, err)
			}
			return
		}
		if again, err := Verify(stored, user, password); again != ok || err != nil {
			t.Fatalf("%q: %v, then %v, %v", stored, ok, again, err)
		}
	})
}
