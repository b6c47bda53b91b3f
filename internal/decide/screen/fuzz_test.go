package screen

import "testing"

// A record that was read is written as one that is read as the same.
func FuzzRecord(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		r := decode(s)
		if again := decode(r.encode()); again != r {
			t.Fatalf("%q is read as %v, and written as %q: %v", s, r, r.encode(), again)
		}
		for _, until := range r {
			if until < 0 {
				t.Fatalf("%q: %v", s, r)
			}
		}
	})
}
