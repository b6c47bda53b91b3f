package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "5d": 5 * day, "1h30m": 90 * time.Minute, "2w": 14 * day, "0s": 0, "250ms": 250 * time.Millisecond,
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.D() != want {
			t.Errorf("%q: %v %v", text, d.D(), err)
		}
		var again Duration
		if err := again.UnmarshalText([]byte(d.String())); err != nil || again != d {
			t.Errorf("%q written as %q: %v", text, d.String(), err)
		}
	}
	for _, text := range []string{"", "5", "d", "5 d", "-5d", "5y", "99999999999999999999d", "106752d1w", "1.5h"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken as %v", text, d)
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{"50MiB": 50 << 20, "1024": 1024, "3B": 3, "0B": 0, "2TiB": 2 << 40} {
		var s, again Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%q: %d %v", text, s, err)
		}
		if err := again.UnmarshalText([]byte(s.String())); err != nil || again != s {
			t.Errorf("%q written as %q: %v", text, s.String(), err)
		}
	}
	for _, text := range []string{"", "MiB", "5MB", "5 MiB", "-1", "9999999999999TiB", "1.5MiB"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken as %v", text, s)
		}
	}
}

func TestNearest(t *testing.T) {
	words := []string{"show", "check", "default", "diff"}
	for in, want := range map[string]string{"shwo": "show", "chek": "check", "defualt": "default", "zzzzzz": "", "": ""} {
		if got := Nearest(in, words); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestFullName(t *testing.T) {
	hosts := "127.0.0.1 localhost\n127.0.1.1\tmx1.example.test mx1 # us\n::1 other.test other\n"
	for short, want := range map[string]string{"mx1": "mx1.example.test", "other": "other.test", "none": ""} {
		if got := fullName([]byte(hosts), short); got != want {
			t.Errorf("%q: %q", short, got)
		}
	}
}

func TestReadSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	write := func(text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	write("s3cret with space \r\nrest", 0o600)
	if s, err := ReadSecret(path); err != nil || s != "s3cret with space " {
		t.Errorf("%q %v", s, err)
	}
	write("x\n", 0o644)
	if _, err := ReadSecret(path); err == nil {
		t.Error("a secret that all may read is taken")
	}
	write("\n", 0o600)
	if _, err := ReadSecret(path); err == nil {
		t.Error("an empty secret is taken")
	}
}
