package system

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// tokenField begins every message made here.
const tokenField = "X-Token: "

// submitted begins the token of a message from alice, who may not write in another's name.
const submitted = "submitted-"

// Make makes the message of a token: about size bytes (at least some hundred), the same at every call. The token stands
// in the subject and in every line of the body, so that each write of a long message carries it.
func Make(token string, size int) []byte {
	from := "sender@far.example"
	if strings.HasPrefix(token, submitted) {
		from = "alice@here.example"
	}
	b := fmt.Appendf(nil, "%s%s\r\nX-Size: %d\r\nFrom: <%s>\r\nTo: <reader@here.example>\r\nSubject: %s\r\n"+
		"Message-ID: <%s@far.example>\r\nDate: Mon, 02 Jan 2006 15:04:05 +0000\r\n\r\n", tokenField, token, size, from, token, token)
	for line := 0; len(b) < size; line++ {
		if line%7 == 3 {
			b = append(b, ".a line that begins with a dot\r\n"...)
		}
		b = fmt.Appendf(b, "%s %06d %s\r\n", token, line, strings.Repeat("filler ", 1+line%128))
	}
	return b
}

// Read finds the message of Make in what a mailbox holds, and how much a delivery put in front of it. It is an error when
// a byte of it differs.
func Read(raw []byte) (token string, prefix int, err error) {
	prefix = bytes.Index(raw, []byte(tokenField))
	if prefix < 0 {
		return "", 0, fmt.Errorf("no message of ours: %.60q", raw)
	}
	head, _, _ := bytes.Cut(raw[prefix:], []byte("From: "))
	lines := strings.Split(string(head), "\r\n")
	if len(lines) != 3 {
		return "", 0, fmt.Errorf("header damaged: %.200q", head)
	}
	token = strings.TrimPrefix(lines[0], tokenField)
	size, err := strconv.Atoi(strings.TrimPrefix(lines[1], "X-Size: "))
	if err != nil || size > 1<<24 {
		return "", 0, fmt.Errorf("header damaged: %.200q", head)
	}
	if want := Make(token, size); !bytes.Equal(raw[prefix:], want) {
		at := 0
		for at < len(want) && at < len(raw)-prefix && want[at] == raw[prefix+at] {
			at++
		}
		return token, prefix, fmt.Errorf("%s is damaged: %d bytes for %d, first difference at %d", token, len(raw)-prefix, len(want), at)
	}
	return token, prefix, nil
}
