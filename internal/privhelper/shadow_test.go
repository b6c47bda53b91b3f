package privhelper

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/test/needs"
)

// Of "secret", by mkpasswd(1).
const (
	yescrypt    = "$y$j9T$K/5Fv1aiQ3q6eTRyfESoA0$C7JBxDFRaH/9w8h2KdA6JAhkH6a1PP.7W/VV2WwfSDB"
	sha512crypt = "$6$.Iw14jHWWgewUImB$VS9WuxSlr1BTZg1nkJPxojx1DRwh.9GVhtS/x/pgOvalNNZWl95B4qShHihMtJ1/LOhVwdnCBcQjRlw.Ku/Fv/"
	sha256crypt = "$5$Zny5ZTBug85YsXc6$m3hJhCER2OQxxLjC.MQj5ZKLjR1ShGvDy09BdD06ih6"
	md5crypt    = "$1$NzTEZsvm$HOJVuYvSP4M5gFfornNj9."
	bcrypt      = "$2b$05$cy580lDI9iUCroXIv0c4g.lzxrGynxeHeRQwzdlLCLaVh0Rj9dy4G"
	descrypt    = "ynDNAguAYYUAM"
	emptyHash   = "$y$j9T$m4ff0zlsGca77mBcFt148.$Am/7g979/1QqGxZQRYqWQ8KhbNi9/gS.jZIeytC6vL6"
)

var today = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) // day 20779

// users writes passwd and shadow files of lines "name uid shadow-fields".
func users(t testing.TB, lines ...string) Shadow {
	t.Helper()
	var passwd, shadow strings.Builder
	for _, l := range lines {
		f := strings.Fields(l)
		passwd.WriteString(f[0] + ":x:" + f[1] + ":100::/nowhere:/bin/false\n")
		shadow.WriteString(f[0] + ":" + f[2] + "\n")
	}
	s := Shadow{Passwd: filepath.Join(t.TempDir(), "passwd"), File: filepath.Join(t.TempDir(), "shadow"), MinUID: 1000,
		Now: func() time.Time { return today }}
	for name, text := range map[string]string{s.Passwd: passwd.String(), s.File: shadow.String()} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestShadow(t *testing.T) {
	const usual = ":20000:0:99999:7:::"
	s := users(t, // the first one's hash stands in for users who cannot log in: a cheap one
		"blow 1004 "+bcrypt+usual,
		"yes 1000 "+yescrypt+usual, "six 1001 "+sha512crypt+usual, "five 1002 "+sha256crypt+usual, "one 1003 "+md5crypt+usual,
		"old 1005 "+descrypt+usual,
		"root 0 "+bcrypt+usual, "daemon 999 "+bcrypt+usual, "nobody 65534 "+bcrypt+usual,
		"locked 1010 !"+bcrypt+usual, "never 1011 !*"+usual, "star 1012 *"+usual, "open 1013 "+usual, "blank 1014 "+emptyHash+usual,
		"gone 1020 "+bcrypt+":20000:0:99999:7::20779:", "leaving 1021 "+bcrypt+":20000:0:99999:7::20780:",
		"stale 1022 "+bcrypt+":20000:0:778:7:::", "ripe 1023 "+bcrypt+":20000:0:779:7:::",
		"change 1024 "+bcrypt+":0:0:99999:7:::", "plain 1025 "+bcrypt+":::::::", "bad 1026 "+bcrypt+":x:0:99999:7:::",
		"short 1027 "+bcrypt+":20000", "odd 1028 $zz$abc$def"+usual)
	for _, c := range []struct{ user, password, why string }{
		{"yes", "secret", ""}, {"six", "secret", ""}, {"five", "secret", ""}, {"one", "secret", ""}, {"blow", "secret", ""},
		{"old", "secret", ""}, {"plain", "secret", ""}, {"leaving", "secret", ""}, {"ripe", "secret", ""},
		{"yes", "Secret", "wrong password"}, {"six", "secret ", "wrong password"}, {"blow", "", "the password is empty"},
		{"blank", "", "the password is empty"}, {"open", "", "the account has no password"}, {"open", "x", "the account has no password"},
		{"root", "secret", "the user id 0 is not that of a person"}, {"daemon", "secret", "the user id 999 is not that of a person"},
		{"nobody", "secret", "the user id 65534 is not that of a person"},
		{"locked", "secret", "the account is locked"}, {"never", "secret", "the account is locked"}, {"star", "*", "the account is locked"},
		{"gone", "secret", "the account has expired"}, {"gone", "wrong", "wrong password"},
		{"stale", "secret", "the password has expired"}, {"change", "secret", "the password must be changed at the next login"},
		{"bad", "secret", "no such user"}, {"short", "secret", "no such user"}, {"absent", "secret", "no such user"},
		{"", "secret", "not a user's name"}, {"yes:", "secret", "not a user's name"}, {"-yes", "secret", "not a user's name"},
		{"../shadow", "secret", "not a user's name"}, {"yes\nroot", "secret", "not a user's name"}, {"+", "secret", "not a user's name"},
		{strings.Repeat("y", 257), "secret", "not a user's name"}, {"yes", "secret\x00", "wrong password"},
	} {
		if why, err := s.Verify(c.user, c.password); err != nil || why != c.why {
			t.Errorf("%q with %q: %q, %v; want %q", c.user, c.password, why, err, c.why)
		}
	}
	if _, err := s.Verify("odd", "secret"); err == nil {
		t.Error("an unknown form of hash is no error")
	}
	if err := os.Remove(s.File); err != nil {
		t.Fatal(err)
	}
	if why, err := s.Verify("yes", "secret"); err == nil {
		t.Errorf("without shadow: %q", why)
	}
}

// Today's hashes of Debian's own tools, made anew each time.
func TestShadowOfMkpasswd(t *testing.T) {
	for _, method := range []string{"yescrypt", "sha512crypt", "sha256crypt", "bcrypt"} {
		hash := output(t, needs.Program(t, "mkpasswd"), "-m", method, "Grüße, mein Herr")
		s := users(t, "al 1000 "+hash+":20000:0:99999:7:::")
		for password, want := range map[string]string{"Grüße, mein Herr": "", "Grusse, mein Herr": "wrong password"} {
			if why, err := s.Verify("al", password); err != nil || why != want {
				t.Errorf("%s: %q, %v; want %q", hash, why, err, want)
			}
		}
	}
}

// A name that does not exist is checked against a hash of the same cost as one that does.
func TestShadowStandIn(t *testing.T) {
	s := users(t, "root 0 *:20000:0:99999:7:::", "al 1000 "+bcrypt+":20000:0:99999:7:::")
	for user, want := range map[string]string{"absent": bcrypt, "root": bcrypt, "a:b": decoy} {
		if _, others, why, err := s.find(user); err != nil || why == "" || others != want {
			t.Errorf("%s: stand-in %q, %q, %v", user, others, why, err)
		}
	}
	empty := users(t, "root 0 *:20000:0:99999:7:::")
	if why, err := empty.Verify("absent", "x"); err != nil || why != "no such user" {
		t.Errorf("with the constant stand-in: %q, %v", why, err)
	}
}

// FuzzShadow: what is read from a line of shadow(5) stands in that line, and never lets in whom the line locks out.
func FuzzShadow(f *testing.F) {
	f.Fuzz(func(t *testing.T, line string) {
		e, ok := parseShadow(line)
		if !ok {
			if e != (entry{}) {
				t.Fatalf("%q: %+v", line, e)
			}
			return
		}
		if !strings.HasPrefix(line, e.name+":"+e.hash+":") || !validUser(e.name) {
			t.Fatalf("%q: %+v", line, e)
		}
		if strings.HasPrefix(line, e.name+":!") && e.locked() == "" {
			t.Fatalf("%q is not locked", line)
		}
		if e.expiry > 0 && e.expired(time.Unix(e.expiry*86400, 0)) == "" {
			t.Fatalf("%q does not expire", line)
		}
	})
}
