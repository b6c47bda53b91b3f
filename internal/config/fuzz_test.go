package config

import "testing"

// FuzzParse: what is accepted can be shown and read again as the same; what is refused says where.
func FuzzParse(f *testing.F) {
	f.Add("hostname = \"a.test\"\n[smtp]\nmax_recipients = 100\n", "mta.port=25")
	f.Fuzz(func(t *testing.T, text, set string) {
		c, err := Parse("f", []byte(text), []string{set})
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without words")
			}
			return
		}
		again, err := Parse("shown", []byte(Show(c)), nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, Show(c))
		}
		if d := Diff(c, again); len(d) != 0 {
			t.Fatalf("%v", d)
		}
	})
}
