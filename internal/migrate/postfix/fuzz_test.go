package postfix

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
)

// FuzzMain: what is read, written as "name = value", is read the same again; lines are those of the text.
func FuzzMain(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		settings, bad := ParseMain(text)
		lines := strings.Count(text, "\n") + 1
		var again strings.Builder
		for _, s := range settings {
			if s.Name == "" || strings.ContainsAny(s.Name, blanks+"=\n") || s.Value != strings.Trim(s.Value, blanks) || s.Line < 1 || s.Line > lines {
				t.Fatalf("setting %+v of %q", s, text)
			}
			again.WriteString(s.Name + " = " + s.Value + "\n")
		}
		for _, b := range bad {
			if b.Line < 1 || b.Line > lines || b.Text == "" {
				t.Fatalf("problem %+v", b)
			}
		}
		second, more := ParseMain(again.String())
		n := 0
		for _, s := range settings {
			if strings.HasPrefix(s.Name, "#") {
				continue // a comment only once it is a line of its own
			}
			if n >= len(second) || second[n].Name != s.Name || second[n].Value != s.Value {
				t.Fatalf("%+v became %+v (%v)", settings, second, more)
			}
			n++
		}
	})
}

// FuzzMaster: services have all fields, and what they are written as is read the same.
func FuzzMaster(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		services, _ := ParseMaster(text)
		for _, s := range services {
			if s.Command == "" || s.Name == "" {
				t.Fatalf("%+v", s)
			}
			words := []string{s.Name, s.Type, s.Private, s.Unprivileged, s.Chroot, s.Wakeup, s.MaxProcesses, s.Command}
			for _, o := range s.Override {
				words = append(words, "-o", "{"+o.Name+"="+o.Value+"}")
			}
			again, bad := ParseMaster(strings.Join(words, " "))
			if strings.HasPrefix(s.Name, "#") || strings.ContainsAny(strings.Join(words, ""), "{}") && len(bad) > 0 {
				continue
			}
			if len(again) != 1 || len(again[0].Override) != len(s.Override) {
				t.Fatalf("%+v became %+v: %v", s, again, bad)
			}
		}
	})
}

// FuzzExpand: an expansion ends, is bounded, and without a $ nothing changes.
func FuzzExpand(f *testing.F) {
	f.Fuzz(func(t *testing.T, text, a, b string) {
		values := map[string]string{"a": a, "b": b, "c": "${a?$b}", "myhostname": "mx.example.org"}
		got, _, err := Expand(text, func(name string) (string, bool) { v, ok := values[name]; return v, ok })
		if err != nil && got != "" {
			t.Fatalf("%q with an error", got)
		}
		if len(got) > maxExpanded+len(text) {
			t.Fatalf("%d bytes", len(got))
		}
		if !strings.Contains(text, "$") && (err != nil || got != text) {
			t.Fatalf("%q became %q, %v", text, got, err)
		}
	})
}

// FuzzMove: whatever the old configuration says, what is made of it is a configuration of ours, and each line has a fate.
func FuzzMove(f *testing.F) {
	f.Fuzz(func(t *testing.T, main, master string) {
		if len(main)+len(master) > 64<<10 {
			return
		}
		r, err := Move(newOrigin(t.TempDir(), "host.example.org", main, master), Options{TableTypes: types})
		if err != nil {
			t.Fatalf("%v\n%s\n--\n%s", err, main, master)
		}
		if _, err := config.Parse("postrider.toml", []byte(r.Config), nil); err != nil {
			t.Fatal(err)
		}
		for _, l := range r.Lines {
			switch l.Fate {
			case Translated, Same, Meaningless, Unsupported:
			default:
				t.Fatalf("%+v", l)
			}
			if s := l.String(); strings.ContainsAny(s, "\n\r\x00") {
				t.Fatalf("%q", s)
			}
		}
		for name := range r.Files {
			if !filepath.IsLocal(name) {
				t.Fatalf("file %q", name)
			}
		}
	})
}
