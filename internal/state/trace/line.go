package trace

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/obs"
)

const (
	maxLine   = 64 << 10              // bytes: what an outcome has beyond that is cut off
	maxText   = 16 << 10              // of one value
	maxList   = 1000                  // values of one key
	timeStyle = "2006-01-02T15:04:05" // and behind it the microseconds
)

// line is an outcome as one line of JSON, with the hashes of the keys by which it is found.
type line struct {
	text  []byte
	keys  []uint64
	at    time.Time
	attrs []slog.Attr

	second int64  // that prefix is of
	prefix []byte // how a line of that second begins
}

// describe writes an outcome. It returns false for one that is of no message: those of mail readers.
func (l *line) describe(now time.Time, e obs.Event) bool {
	if reading(e) {
		return false
	}
	var name string
	_, name, l.attrs = obs.Describe(l.attrs[:0], e)
	if name == "" {
		return false
	}
	l.begin(now, name)
	for _, a := range l.attrs {
		if len(l.text) > maxLine {
			l.text = append(l.text, `,"cut":true`...)
			break
		}
		l.pair(a.Key, a.Value)
	}
	clear(l.attrs) // they keep alive what they are of
	l.text = append(l.text, "}\n"...)
	return true
}

// reading tells the sessions of mail readers.
func reading(e obs.Event) bool {
	service := ""
	switch e := e.(type) {
	case obs.Connect:
		service = e.Service
	case obs.Disconnect:
		service = e.Service
	case obs.Login:
		service = e.Service
	case obs.AuthFailed:
		service = e.Service
	case obs.Rejected:
		service = e.Service
	case obs.Logout:
		return true
	}
	return strings.HasPrefix(service, "imap") || strings.HasPrefix(service, "pop3") || service == "managesieve" || service == "auth"
}

// loss writes that lines are missing.
func (l *line) loss(now time.Time, n uint64) {
	l.begin(now, "lost")
	l.text = fmt.Appendf(l.text, `,"lines":%d}`+"\n", n)
}

func (l *line) begin(now time.Time, name string) {
	l.at, l.keys = now, l.keys[:0]
	if second := now.Unix(); second != l.second || len(l.prefix) == 0 {
		l.second = second
		l.prefix = append(now.UTC().AppendFormat(append(l.prefix[:0], `{"time":"`...), timeStyle), '.')
	}
	l.text = append(l.text[:0], l.prefix...)
	for micros, unit := now.Nanosecond()/1000, 100_000; unit > 0; unit /= 10 {
		l.text = append(l.text, byte('0'+micros/unit%10))
	}
	l.text = append(l.text, `Z","event":`...)
	l.text = appendText(l.text, name)
}

// pair writes a key and its value, and hashes the value where it is one to search for.
func (l *line) pair(key string, v slog.Value) {
	l.text = append(l.text, ',', '"')
	l.text = append(l.text, key...)
	l.text = append(l.text, '"', ':')
	switch v.Kind() {
	case slog.KindString:
		l.text = appendText(l.text, v.String())
		l.key(key, v.String())
	case slog.KindInt64:
		l.text = strconv.AppendInt(l.text, v.Int64(), 10)
	case slog.KindUint64:
		l.text = strconv.AppendUint(l.text, v.Uint64(), 10)
	case slog.KindFloat64:
		l.text = appendNumber(l.text, v.Float64())
	case slog.KindBool:
		l.text = strconv.AppendBool(l.text, v.Bool())
	default:
		l.other(key, v.Any())
	}
}

// other writes a list.
func (l *line) other(key string, v any) {
	switch v := v.(type) {
	case []string:
		l.text = append(l.text, '[')
		for i, s := range v[:min(len(v), maxList)] {
			if len(l.text) > maxLine {
				break
			}
			if i > 0 {
				l.text = append(l.text, ',')
			}
			l.text = appendText(l.text, s)
			l.key(key, s)
		}
		l.text = append(l.text, ']')
	case []obs.Rule:
		l.text = append(l.text, '[')
		for i, r := range v {
			if len(l.text) > maxLine {
				break
			}
			if i > 0 {
				l.text = append(l.text, ',')
			}
			l.rule(r)
		}
		l.text = append(l.text, ']')
	default:
		b, err := json.Marshal(v)
		if err != nil || len(b) > maxText {
			b = appendText(nil, fmt.Sprint(v))
		}
		l.text = append(l.text, b...)
	}
}

func (l *line) rule(r obs.Rule) {
	l.text = append(l.text, '{')
	for _, p := range [...]struct{ key, value string }{{"stage", r.Stage}, {"rule", r.Rule}, {"key", r.Key}, {"result", r.Result}} {
		if p.value == "" {
			continue
		}
		if l.text[len(l.text)-1] != '{' {
			l.text = append(l.text, ',')
		}
		l.text = append(l.text, '"')
		l.text = append(l.text, p.key...)
		l.text = append(l.text, '"', ':')
		l.text = appendText(l.text, p.value)
	}
	l.text = append(l.text, '}')
}

// key hashes a value by which lines are found; addresses also by their domain.
func (l *line) key(name, value string) {
	if value == "" || !searchable(name) {
		return
	}
	value = cut(value)
	l.keys = append(l.keys, hash(value))
	if i := strings.LastIndexByte(value, '@'); i >= 0 && addressed(name) {
		l.keys = append(l.keys, hash(value[i:]))
	}
}

// searchable are the keys by which lines are found.
func searchable(key string) bool {
	switch key {
	case obs.KeyQueueID, obs.KeyCause, obs.KeyMessageID, obs.KeySession, obs.KeyClient:
		return true
	}
	return addressed(key)
}

// addressed are the keys whose values are addresses.
func addressed(key string) bool {
	switch key {
	case obs.KeyFrom, obs.KeyTo, obs.KeyOrigTo, obs.KeyAccount:
		return true
	}
	return false
}

func appendNumber(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(b, '0') // JSON has no word for it
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}

// cut bounds a value, at the end of a character.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for n > maxText-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// appendText writes a string of JSON (RFC 8259 §7). What is not UTF-8 becomes U+FFFD; nothing in it can end the line.
func appendText(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	s = cut(s)
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' && c != 0x7f {
			i++
			continue
		}
		size, ok := 1, false
		if c >= utf8.RuneSelf {
			var r rune
			r, size = utf8.DecodeRuneInString(s[i:])
			ok = (r != utf8.RuneError || size > 1) && r >= 0xa0 // below are controls, which terminals obey
		}
		if ok {
			i += size
			continue
		}
		b = append(b, s[from:i]...)
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case size == 2: // U+0080 to U+009F
			b = append(b, '\\', 'u', '0', '0', digits[s[i+1]>>4], digits[s[i+1]&15])
		case c >= utf8.RuneSelf: // one for all that follow one another, as strings.ToValidUTF8 has it
			b = append(b, "\ufffd"...)
			for i+size < len(s) && s[i+size] >= utf8.RuneSelf {
				if r, n := utf8.DecodeRuneInString(s[i+size:]); r != utf8.RuneError || n > 1 {
					break
				}
				size++
			}
		default:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
		i += size
		from = i
	}
	return append(append(b, s[from:]...), '"')
}
