package header

import (
	"slices"
	"strconv"
	"strings"
)

// MaxParams is the number of parameters that are read of one field.
const MaxParams = 64

// Param is one parameter of a MIME field, RFC 2045 §5.1: name in lower case, value without quotes. A name that ends in
// an asterisk has an extended value of RFC 2231 §4 (charset'language'percent-encoded); continuations are joined already.
type Param struct {
	Name, Value string
}

// ParseContentType reads the value of Content-Type. Type and subtype are in lower case. Without a proper type and subtype
// ok is false.
func ParseContentType(value string) (typ, subtype string, params []Param, ok bool) {
	i := skipCFWS(value, 0)
	j := tokenEnd(value, i)
	typ = value[i:j]
	i = skipCFWS(value, j)
	if i == len(value) || value[i] != '/' {
		return "", "", nil, false
	}
	i = skipCFWS(value, i+1)
	j = tokenEnd(value, i)
	subtype = value[i:j]
	if typ == "" || subtype == "" {
		return "", "", nil, false
	}
	return strings.ToLower(typ), strings.ToLower(subtype), parseParams(value, j), true
}

// ParseToken reads a value that is one token with parameters: Content-Disposition, Content-Transfer-Encoding. The token
// is in lower case, empty if there is none.
func ParseToken(value string) (token string, params []Param) {
	i := skipCFWS(value, 0)
	if i < len(value) && value[i] == '"' { // some quote it
		token, i = quotedString(value, i)
	} else {
		j := tokenEnd(value, i)
		token, i = value[i:j], j
	}
	return strings.ToLower(token), parseParams(value, i)
}

// Get returns the value of a parameter decoded to UTF-8: the extended form if there is one, else the plain one with
// encoded words decoded (which RFC 2047 §5 forbids and many mail programs write).
func Get(params []Param, name string) (string, bool) {
	for _, p := range params {
		if len(p.Name) == len(name)+1 && p.Name[len(name)] == '*' && p.Name[:len(name)] == name {
			return decodeExtended(p.Value), true
		}
	}
	for _, p := range params {
		if p.Name == name {
			return DecodeWords(p.Value), true
		}
	}
	return "", false
}

func tokenEnd(s string, i int) int {
	for i < len(s) && isTokenByte(s[i]) {
		i++
	}
	return i
}

// isTokenByte is token of RFC 2045 §5.1; bytes above ASCII are taken.
func isTokenByte(c byte) bool {
	return c > ' ' && c != 0x7f && strings.IndexByte(`()<>@,;:\"/[]?=`, c) < 0
}

// parseParams reads "; name=value" from i on. MaxParams also bounds the time: each may look at all that follows once.
func parseParams(s string, i int) []Param {
	var params []Param
	for range MaxParams {
		next := strings.IndexByte(s[i:], ';')
		if next < 0 {
			break
		}
		i = skipCFWS(s, i+next+1)
		j := tokenEnd(s, i)
		name := strings.ToLower(s[i:j])
		i = skipCFWS(s, j)
		if name == "" || i == len(s) || s[i] != '=' {
			continue
		}
		var value string
		value, i = paramValue(s, skipCFWS(s, i+1))
		params = append(params, Param{name, value})
	}
	if slices.ContainsFunc(params, func(p Param) bool { return strings.IndexByte(p.Name, '*') >= 0 }) {
		return joinContinuations(params)
	}
	return params
}

func paramValue(s string, i int) (string, int) {
	if i < len(s) && s[i] == '"' {
		return quotedString(s, i)
	}
	j := tokenEnd(s, i)
	if k := skipCFWS(s, j); k == len(s) || s[k] == ';' {
		return s[i:j], k
	}
	// Not a token: mail programs forget the quotes around file names. All up to the semicolon.
	end := strings.IndexByte(s[i:], ';')
	if end < 0 {
		end = len(s) - i
	}
	return strings.TrimRight(s[i:i+end], " \t"), i + end
}

// joinContinuations joins name*0, name*1, … (RFC 2231 §3) at the place of the first piece.
func joinContinuations(params []Param) []Param {
	type piece struct {
		value    string
		extended bool
	}
	pieces := map[string]map[int]piece{}
	var out []Param
	for _, p := range params {
		name, section, extended, ok := splitSection(p.Name)
		if !ok {
			out = append(out, p)
			continue
		}
		if pieces[name] == nil {
			pieces[name] = map[int]piece{}
			out = append(out, Param{Name: name + "*0"}) // its place
		}
		if _, twice := pieces[name][section]; !twice {
			pieces[name][section] = piece{p.Value, extended}
		}
	}
	for i, p := range out {
		name, _, _, ok := splitSection(p.Name)
		if !ok {
			continue
		}
		extended := false
		for n := 0; ; n++ {
			c, there := pieces[name][n]
			if !there {
				break
			}
			extended = extended || c.extended
		}
		var b strings.Builder
		for n := 0; ; n++ {
			c, there := pieces[name][n]
			if !there {
				break
			}
			if n == 0 && extended && !c.extended {
				b.WriteString("utf-8''")
			}
			if extended && !c.extended {
				b.WriteString(percentEncode(c.value))
			} else {
				b.WriteString(c.value)
			}
		}
		out[i] = Param{name, b.String()}
		if extended {
			out[i].Name += "*"
		}
	}
	return out
}

// splitSection takes "name*2*" apart.
func splitSection(s string) (name string, section int, extended, ok bool) {
	s, extended = strings.CutSuffix(s, "*")
	name, digits, found := strings.Cut(s, "*")
	if !found || name == "" || len(digits) > 3 {
		return "", 0, false, false
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	return name, int(n), extended, err == nil
}

func decodeExtended(v string) string {
	charset, rest, ok := strings.Cut(v, "'")
	if ok {
		_, rest, ok = strings.Cut(rest, "'")
	}
	if !ok {
		return clean(DecodeRaw(percentDecode(v)))
	}
	text, _ := DecodeCharset(charset, percentDecode(rest))
	return clean(text)
}

func percentDecode(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0 {
			out = append(out, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
			continue
		}
		out = append(out, s[i])
	}
	return out
}

// percentEncode writes attribute-char of RFC 2231 §7 as they are.
func percentEncode(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; isTokenByte(c) && c < 0x80 && strings.IndexByte("*'%", c) < 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// FormatParam writes "; name=value" for a MIME field: as token, quoted, or extended in UTF-8 (RFC 2231 §4).
func FormatParam(name, value string) string {
	value = clean(value)
	switch {
	case !isPlain(value):
		return "; " + name + "*=utf-8''" + percentEncode(DecodeRaw([]byte(value)))
	case value != "" && tokenEnd(value, 0) == len(value):
		return "; " + name + "=" + value
	}
	return "; " + name + "=" + quote(value)
}

func quote(s string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`) + `"`
}
