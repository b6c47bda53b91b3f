package imap

import (
	"strconv"
	"strings"
)

// objectIDExtension is OBJECTID, RFC 8474. An id is a letter for its kind, the account's number, "-", and a number that the
// account never uses again for another such object; MAILBOXID stays with a mailbox through every RENAME, EMAILID with a
// message through COPY and MOVE.
func objectIDExtension() extension {
	return extension{
		capabilities: afterLogin("OBJECTID"),
		fetch: map[string]fetchItem{
			"EMAILID":  simple("EMAILID", WantEmail, func(c *conn, m *fetched) error { return c.objectID(EmailObject, m.msg.Email) }),
			"THREADID": simple("THREADID", WantThread, func(c *conn, m *fetched) error { return c.objectID(ThreadObject, m.msg.Thread) }),
		},
		status: map[string]statusItem{"MAILBOXID": func(c *conn, s *Status) { c.out.str("(", s.ID.objectID(), ")") }},
		search: map[string]searchKey{"EMAILID": objectKey(EmailObject), "THREADID": objectKey(ThreadObject)},
	}
}

// objectID is the mailbox's MAILBOXID.
func (id MailboxID) objectID() string {
	return showObject(MailboxObject, id.Account, uint64(id.Mailbox))
}

// mailboxIDCode is the response code of SELECT and CREATE, RFC 8474 §4.1, §4.2.
func (id MailboxID) mailboxIDCode() string { return "MAILBOXID (" + id.objectID() + ")" }

func showObject(kind ObjectKind, account int64, number uint64) string {
	return string(rune(kind)) + strconv.FormatInt(account, 10) + "-" + strconv.FormatUint(number, 10)
}

// objectID writes the value of EMAILID or THREADID, NIL where there is none (RFC 8474 §5.2).
func (c *conn) objectID(kind ObjectKind, number uint64) error {
	if number == 0 {
		c.out.str("NIL")
	} else {
		c.out.str("(", showObject(kind, c.sel.mailbox.ID().Account, number), ")")
	}
	return nil
}

// objectKey is SEARCH EMAILID or THREADID: an id that no message has finds none.
func objectKey(kind ObjectKind) searchKey {
	return func(p *parser, _ int) *searchNode {
		if kind == ThreadObject {
			p.dearKey()
		}
		p.sp()
		id := p.span(func(c byte) bool {
			return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '-' || c == '_'
		})
		if id == "" || len(id) > 255 { // RFC 8474 §7, objectid
			p.fail("Expected an object id%s", p.where())
		}
		n := &searchNode{op: opSet, object: kind}
		if rest, ok := strings.CutPrefix(id, string(rune(kind))); ok {
			account, number, _ := strings.Cut(rest, "-")
			a, err1 := strconv.ParseInt(account, 10, 64)
			i, err2 := strconv.ParseUint(number, 10, 63)
			if err1 == nil && err2 == nil && showObject(kind, a, i) == id {
				n.account, n.number = a, i
			}
		}
		return n
	}
}
