package smtp

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/status"
)

// param is one esmtp-param, RFC 5321 §4.1.2; key in upper case.
type param struct{ key, value string }

var (
	errParam   = status.Perm(501, 5, 4, "Syntax error in parameters")
	errUnparam = status.Perm(555, 5, 4, "Parameter not recognized") // RFC 5321 §4.1.1.11
	errSize    = status.Perm(501, 5, 4, "Invalid SIZE parameter")
	errBody    = status.Perm(501, 5, 4, "Invalid BODY parameter")
	errDSN     = status.Perm(501, 5, 4, "Invalid DSN parameter")
)

// parsePath reads "FROM:<path> params" or "TO:…" with word giving the first word. Old clients put a space behind the
// colon (RFC 5321 forbids it, §3.3); that is let through. The path is read with UTF-8 allowed: whether SMTPUTF8 was
// said stands behind it.
func parsePath(args, word string, sender bool) (path string, a address.Address, params []param, err error) {
	if len(args) <= len(word) || !strings.EqualFold(args[:len(word)], word) || args[len(word)] != ':' {
		return "", a, nil, errSyntax
	}
	text := strings.TrimLeft(args[len(word)+1:], " ")
	a, rest, err := address.ParsePath(text, true)
	if err != nil {
		return "", a, nil, pathError(err, sender)
	}
	path = text[:len(text)-len(rest)]
	if rest != "" && rest[0] != ' ' {
		return "", a, nil, errSyntax
	}
	params, err = parseParams(rest)
	return path, a, params, err
}

// needASCII refuses a path that holds more than ASCII although the transaction has no SMTPUTF8.
func needASCII(path string, sender bool) error {
	if _, _, err := address.ParsePath(path, false); err != nil {
		return pathError(err, sender)
	}
	return nil
}

func pathError(err error, sender bool) error {
	var e *address.Error
	if errors.As(err, &e) {
		return e.Status(sender)
	}
	return errSyntax.With("path", err)
}

func parseParams(s string) ([]param, error) {
	words := strings.Fields(s)
	if len(words) > maxParams {
		return nil, errParam
	}
	params := make([]param, 0, len(words))
	for _, w := range words {
		key, value, given := strings.Cut(w, "=")
		verp := strings.EqualFold(key, "XVERP") // its value has the "=" that others must not have
		if !isKeyword(key) || (given && value == "") || !isParamValue(value) && !verp {
			return nil, errParam
		}
		key = strings.ToUpper(key)
		for _, p := range params {
			if p.key == key {
				return nil, errParam
			}
		}
		params = append(params, param{key, value})
	}
	return params, nil
}

func isKeyword(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if !(c >= 'a' && c <= 'z' || s[i] >= '0' && s[i] <= '9' || i > 0 && s[i] == '-') {
			return false
		}
	}
	return s != ""
}

// isParamValue: %d33-60 / %d62-126, and UTF-8 where RFC 6531 §3.3 adds it.
func isParamValue(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == '=' || s[i] == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}

// mailParams puts the parameters of MAIL into e.
func mailParams(e *envelope.Envelope, params []param, maxSize int64) error {
	for _, p := range params {
		switch p.key {
		case "SIZE": // RFC 1870 §4: up to 20 digits
			n, err := strconv.ParseUint(p.value, 10, 63)
			if errors.Is(err, strconv.ErrRange) && len(p.value) <= 20 {
				return ErrTooBig
			}
			if err != nil {
				return errSize
			}
			if int64(n) > maxSize {
				return ErrTooBig
			}
			e.Size = int64(n)
		case "BODY": // RFC 6152 §2; BINARYMIME is not offered
			switch strings.ToUpper(p.value) {
			case "7BIT":
				e.Body = envelope.Body7Bit
			case "8BITMIME":
				e.Body = envelope.Body8BitMIME
			default:
				return errBody
			}
		case "SMTPUTF8": // RFC 6531 §3.4
			if p.value != "" {
				return errParam
			}
			e.UTF8 = true
		case "RET": // RFC 3461 §4.3
			switch strings.ToUpper(p.value) {
			case "FULL":
				e.Ret = envelope.RetFull
			case "HDRS":
				e.Ret = envelope.RetHeaders
			default:
				return errDSN
			}
		case "ENVID": // RFC 3461 §4.4
			id, ok := decodeXtext(p.value)
			if !ok || id == "" || len(p.value) > 100 || !isPrintable(id) {
				return errDSN
			}
			e.EnvID = id
		case "AUTH": // RFC 4954 §5: nobody here trusts it, so it is as if "<>" had been said
			if _, ok := decodeXtext(p.value); !ok {
				return errParam
			}
		default:
			return errUnparam
		}
	}
	return nil
}

// rcptParams puts the parameters of RCPT into r.
func rcptParams(r *envelope.Recipient, params []param) error {
	for _, p := range params {
		switch p.key {
		case "NOTIFY": // RFC 3461 §4.1
			for _, word := range strings.Split(strings.ToUpper(p.value), ",") {
				n := map[string]envelope.Notify{"NEVER": envelope.NotifyNever, "SUCCESS": envelope.NotifySuccess,
					"FAILURE": envelope.NotifyFailure, "DELAY": envelope.NotifyDelay}[word]
				if n == 0 {
					return errDSN
				}
				r.Notify |= n
			}
			if r.Notify&envelope.NotifyNever != 0 && r.Notify != envelope.NotifyNever {
				return errDSN
			}
		case "ORCPT":
			orcpt, ok := decodeORcpt(p.value)
			if !ok {
				return errDSN
			}
			r.ORcpt = orcpt
		default:
			return errUnparam
		}
	}
	return nil
}

// decodeORcpt decodes "addr-type;xtext", RFC 3461 §4.2, or "utf-8;…" with \x{HEX} escapes, RFC 6533 §3. The type comes
// out in lower case.
func decodeORcpt(s string) (string, bool) {
	kind, text, ok := strings.Cut(s, ";")
	if !ok || len(s) > 500 || !isKeyword(kind) || text == "" {
		return "", false
	}
	kind = strings.ToLower(kind)
	var decoded string
	if kind == "utf-8" {
		decoded, ok = decodeUnitext(text)
	} else if decoded, ok = decodeXtext(text); ok && !isPrintable(decoded) {
		// Postfix (3.7) writes UTF-8 addresses as rfc822 in xtext; to refuse them would be to refuse its mail.
		ok, kind = kind == "rfc822" && isText(decoded), "utf-8"
	}
	return kind + ";" + decoded, ok && len(kind)+1+len(decoded) <= 500
}

// decodeXtext: "+" and two upper-case hexadecimal digits stand for an octet, RFC 3461 §4.
func decodeXtext(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			if i+2 >= len(s) || !isUpperHex(s[i+1]) || !isUpperHex(s[i+2]) {
				return "", false
			}
			n, _ := strconv.ParseUint(s[i+1:i+3], 16, 8)
			b.WriteByte(byte(n))
			i += 2
		case c < '!' || c > '~' || c == '=':
			return "", false
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), true
}

func encodeXtext(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < '!' || c > '~' || c == '+' || c == '=' {
			b.WriteByte('+')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func isUpperHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' }

// isPrintable: RFC 3461 §4.4 and §4.2 want printable ASCII, which also keeps line ends out of the reports.
func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// isText tells valid UTF-8 without control characters.
func isText(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || r < ' ' || r >= 0x7f && r < 0xa0 {
			return false
		}
	}
	return true
}

// decodeUnitext: RFC 6533 §3, utf-8-addr-xtext and -unitext; \x{HEXPOINT} stands for a character.
func decodeUnitext(s string) (string, bool) {
	var b strings.Builder
	for s != "" {
		if s[0] != '\\' {
			r, n := utf8.DecodeRuneInString(s)
			if r == utf8.RuneError && n == 1 || r < '!' || r == '+' || r == '=' || r >= 0x7f && r < 0xa0 {
				return "", false
			}
			b.WriteString(s[:n])
			s = s[n:]
			continue
		}
		end := strings.IndexByte(s, '}')
		if !strings.HasPrefix(s, `\x{`) || end < 5 || end > 9 {
			return "", false
		}
		n, err := strconv.ParseUint(s[3:end], 16, 32)
		if err != nil || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) || n < ' ' || n >= 0x7f && n < 0xa0 {
			return "", false
		}
		b.WriteRune(rune(n))
		s = s[end+1:]
	}
	return b.String(), true
}

// encodeUnitext writes s so that it passes with (unitext) or without (xtext) SMTPUTF8.
func encodeUnitext(s string, utf8OK bool) string {
	var b strings.Builder
	for _, r := range s {
		if r > '~' && utf8OK || r > ' ' && r <= '~' && r != '\\' && r != '+' && r != '=' {
			b.WriteRune(r)
		} else {
			b.WriteString(`\x{`)
			b.WriteString(strings.ToUpper(strconv.FormatInt(int64(r), 16)))
			b.WriteByte('}')
		}
	}
	return b.String()
}

// encodeORcpt is decodeORcpt's inverse.
func encodeORcpt(s string, utf8OK bool) string {
	kind, text, _ := strings.Cut(s, ";")
	if kind == "utf-8" {
		return kind + ";" + encodeUnitext(text, utf8OK)
	}
	return kind + ";" + encodeXtext(text)
}
