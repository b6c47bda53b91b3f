package interop

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// facts are what a parser makes of a message, flat: "envelope subject" or "1.2 type" to a value. Names that have no case in
// their standard (types, encodings, parameter names) are in lower case; a missing value is NIL.
type facts map[string]string

// factsOf reads an IMAP server's answer.
func factsOf(t *testing.T, m stored) facts {
	t.Helper()
	f := facts{}
	if !f.envelope("envelope", m.envelope) || !f.structure("", m.structure) {
		t.Errorf("%s: not the grammar of RFC 9051:\n%v\n%v", m.name, m.envelope, m.structure)
	}
	return f
}

func value(n sexp) string {
	if n.null {
		return "NIL"
	}
	return n.text
}

var envelopeFields = [...]string{"date", "subject", "from", "sender", "reply-to", "to", "cc", "bcc", "in-reply-to", "message-id"}

// envelope reports whether it has the shape of RFC 9051 §7.5.2.
func (f facts) envelope(where string, n sexp) bool {
	if len(n.list) != len(envelopeFields) {
		return false
	}
	for i, name := range envelopeFields {
		v := n.list[i]
		if 2 <= i && i < 8 {
			list, ok := addresses(v)
			if !ok {
				return false
			}
			f[where+" "+name] = list
			continue
		}
		if v.many {
			return false
		}
		f[where+" "+name] = value(v)
	}
	return true
}

// addresses writes a list as `[name <local@domain>]`, a group as `[name:]` … `[;]`.
func addresses(n sexp) (string, bool) {
	if n.null {
		return "NIL", true
	}
	var out []string
	for _, a := range n.list {
		if len(a.list) != 4 {
			return "", false
		}
		name, local, domain := a.list[0], a.list[2], a.list[3]
		switch {
		case domain.null && local.null:
			out = append(out, "[;]")
		case domain.null:
			out = append(out, "["+local.text+":]")
		default:
			out = append(out, mailboxText(name.text, local.text, domain.text))
		}
	}
	return strings.Join(out, " "), n.many && len(out) > 0 // RFC 9051 §9: an address list is NIL or has an address
}

func mailboxText(name, local, domain string) string {
	return fmt.Sprintf("[%s <%s@%s>]", name, local, strings.ToLower(domain))
}

// structure reports whether it has the shape of RFC 9051 §7.5.2, with the extension data of BODYSTRUCTURE.
func (f facts) structure(path string, n sexp) bool {
	if len(n.list) == 0 {
		return false
	}
	at := func(name string) string { return strings.TrimSpace(strings.TrimPrefix(path, ".") + " " + name) }
	if n.list[0].many {
		i := 0
		for ; i < len(n.list) && n.list[i].many; i++ {
			if !f.structure(fmt.Sprintf("%s.%d", path, i+1), n.list[i]) {
				return false
			}
		}
		rest := n.list[i:]
		if len(rest) != 5 {
			return false
		}
		f[at("type")] = "multipart/" + strings.ToLower(rest[0].text)
		f[at("params")] = params(rest[1])
		f.extension(at, rest[2:])
		return true
	}
	if len(n.list) < 7 {
		return false
	}
	typ := strings.ToLower(n.list[0].text + "/" + n.list[1].text)
	f[at("type")] = typ
	f[at("params")] = params(n.list[2])
	f[at("id")] = value(n.list[3])
	f[at("description")] = value(n.list[4])
	f[at("encoding")] = strings.ToLower(n.list[5].text)
	f[at("size")] = n.list[6].text
	rest := n.list[7:]
	if typ == "message/rfc822" {
		if len(rest) < 2 || !f.envelope(at("envelope"), rest[0]) || !f.structure(path+".1", rest[1]) {
			return false
		}
		rest = rest[2:]
	}
	if typ == "message/rfc822" || strings.HasPrefix(typ, "text/") {
		if len(rest) < 1 {
			return false
		}
		f[at("lines")] = rest[0].text
		rest = rest[1:]
	}
	if len(rest) != 4 {
		return false
	}
	f[at("md5")] = value(rest[0])
	f.extension(at, rest[1:])
	return true
}

// extension reads disposition, language and location.
func (f facts) extension(at func(string) string, n []sexp) {
	f[at("disposition")] = "NIL"
	if len(n[0].list) == 2 {
		f[at("disposition")] = strings.ToLower(n[0].list[0].text)
		f[at("disposition params")] = params(n[0].list[1])
	}
	f[at("language")] = n[1].String()
	f[at("location")] = value(n[2])
}

// params writes parameters as name=value, sorted: their order means nothing.
func params(n sexp) string {
	if n.null {
		return "NIL"
	}
	var out []string
	for i := 0; i+1 < len(n.list); i += 2 {
		out = append(out, strings.ToLower(n.list[i].text)+"="+n.list[i+1].text)
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// deviation is a known difference between what we say and what another parser says, with its reason.
type deviation struct {
	most    int            // facts of the sample that it explains; one more needs a look
	key     *regexp.Regexp // of facts
	matches func(key string, ours, theirs facts) bool
	why     string
}

// compare demands that each difference is a known one, and that each known one is still there: a row that explains
// nothing any more is to be removed.
func compare(t *testing.T, names []string, ours, theirs []facts, known []deviation) {
	t.Helper()
	used := make([]int, len(known))
	checked, unknown := 0, 0
	for i, name := range names {
		for _, key := range keysOf(ours[i], theirs[i]) {
			checked++
			a, b := ours[i][key], theirs[i][key]
			if a == b {
				continue
			}
			row := slices.IndexFunc(known, func(d deviation) bool {
				return d.key.MatchString(key) && d.matches(key, ours[i], theirs[i])
			})
			if row >= 0 {
				used[row]++
				continue
			}
			if unknown++; unknown <= 20 {
				t.Errorf("%s, %s:\nours   %q\ntheirs %q", name, key, a, b)
			}
		}
	}
	if unknown > 20 {
		t.Errorf("and %d more", unknown-20)
	}
	for row, n := range used {
		if n == 0 || n > known[row].most {
			t.Errorf("%d facts deviate in this way, want 1 to %d: %s", n, known[row].most, known[row].why)
		}
		t.Logf("%4d × %s", n, known[row].why)
	}
	if checked < 20*len(names) {
		t.Errorf("only %d facts were compared", checked)
	}
}

func keysOf(a, b facts) []string {
	var out []string
	for k := range a {
		out = append(out, k)
	}
	for k := range b {
		if _, both := a[k]; !both {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}
