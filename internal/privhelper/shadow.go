package privhelper

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/crypt"
)

const (
	maxUserFile = 16 << 20
	maxUserName = 256
	maxUID      = 65533 // nobody (65534) and what has no user come after it
	// decoy costs what Debian's default costs, and no password fits it.
	decoy = "$y$j9T$0000000000000000000000$0000000000000000000000000000000000000000000"
)

// Shadow checks passwords against passwd(5) and shadow(5).
type Shadow struct {
	Passwd, File string // "" for the system's
	Group        string // group(5), likewise
	MinUID       int    // users below it are the system's own and are refused
	Now          func() time.Time
}

// entry is a line of shadow(5); times in days since 1970, -1 for none.
type entry struct {
	name, hash                               string
	changed, least, most, warn, idle, expiry int64
}

// Verify returns "" when the password is the user's, else why not. A user who does not exist, or may not log in, costs
// the time of one who does.
func (s Shadow) Verify(user, password string) (why string, err error) {
	e, others, why, err := s.find(user)
	if err != nil {
		return "", err
	}
	hash := e.hash
	if why != "" {
		hash = others
	}
	fits, err := crypt.Verify("{CRYPT}"+hash, user, password)
	switch {
	case why != "":
		return why, nil // what is wrong with the stand-in is of no interest
	case err != nil:
		return "", fmt.Errorf("the stored password of %q cannot be used: %w", user, err)
	case password == "":
		return "the password is empty", nil
	case !fits:
		return "wrong password", nil
	}
	return e.expired(s.Now()), nil
}

// find returns a user's entry, or why there is none to log in with; and a hash to spend the time on in that case.
func (s Shadow) find(user string) (e entry, others, why string, err error) {
	others = decoy
	if !validUser(user) {
		return e, others, "not a user's name", nil
	}
	passwd, err := readWhole(s.Passwd, "/etc/passwd")
	if err != nil {
		return e, others, "", err
	}
	shadow, err := readWhole(s.File, "/etc/shadow")
	if err != nil {
		return e, others, "", err
	}
	found := false
	for line := range strings.Lines(shadow) {
		at, ok := parseShadow(strings.TrimSuffix(line, "\n"))
		if !ok {
			continue
		}
		if others == decoy && at.locked() == "" {
			others = at.hash
		}
		if at.name == user && !found {
			e, found = at, true
		}
	}
	uid, known := uidOf(passwd, user)
	switch {
	case !known || !found:
		why = "no such user"
	case uid < s.MinUID || uid > maxUID:
		why = fmt.Sprintf("the user id %d is not that of a person", uid)
	default:
		why = e.locked()
	}
	return e, others, why, nil
}

// validUser keeps what could not stand in a line out.
func validUser(s string) bool {
	return s != "" && len(s) <= maxUserName && s[0] != '-' && s[0] != '+' && !strings.ContainsAny(s, ":\n\r\x00/")
}

// parseShadow reads a line of shadow(5).
func parseShadow(line string) (e entry, ok bool) {
	f := strings.Split(line, ":")
	if len(f) != 9 || !validUser(f[0]) {
		return e, false
	}
	e.name, e.hash = f[0], f[1]
	for i, p := range []*int64{&e.changed, &e.least, &e.most, &e.warn, &e.idle, &e.expiry} {
		if *p = -1; f[i+2] == "" {
			continue
		}
		n, err := strconv.ParseInt(f[i+2], 10, 32)
		if err != nil {
			return entry{}, false // rather no login than one that should have expired
		}
		*p = n
	}
	return e, true
}

// locked tells why nobody can log in with this entry's password.
func (e entry) locked() string {
	switch {
	case e.hash == "":
		return "the account has no password"
	case strings.HasPrefix(e.hash, "!"), strings.HasPrefix(e.hash, "*"):
		return "the account is locked"
	}
	return ""
}

// expired tells why a right password is not enough (shadow(5)). Who must change it first cannot do that here.
func (e entry) expired(now time.Time) string {
	today := now.Unix() / (24 * 60 * 60)
	switch {
	case e.expiry > 0 && today >= e.expiry:
		return "the account has expired"
	case e.changed == 0:
		return "the password must be changed at the next login"
	case e.changed > 0 && e.most >= 0 && today > e.changed+e.most:
		return "the password has expired"
	}
	return ""
}

// uidOf finds a user's id in the text of passwd(5).
func uidOf(passwd, user string) (uid int, found bool) {
	for line := range strings.Lines(passwd) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(f) != 7 || f[0] != user {
			continue
		}
		uid, err := strconv.Atoi(f[2])
		return uid, err == nil && uid >= 0
	}
	return 0, false
}

func readWhole(path, standard string) (string, error) {
	if path == "" {
		path = standard
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.Size() > maxUserFile {
		return "", fmt.Errorf("%s is larger than %d bytes", path, maxUserFile)
	}
	text, err := os.ReadFile(path)
	return string(text), err
}
