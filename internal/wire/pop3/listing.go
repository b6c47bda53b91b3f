package pop3

import (
	"context"
	"slices"
	"strconv"
)

// listing is the maildrop as it was at the login: message n is at n-1. Numbers never change in a session (RFC 1939 §5).
type listing struct {
	uids   []uint32
	sizes  []int64
	count  int   // messages not marked deleted
	octets int64 // their sizes

	deleted   marks
	retrieved marks
}

// marks is a set of messages.
type marks []uint64

func (m marks) has(i int) bool { return i/64 < len(m) && m[i/64]>>(i%64)&1 != 0 }

// set marks the message at i of n.
func (m *marks) set(i, n int) {
	if *m == nil {
		*m = make(marks, (n+63)/64)
	}
	(*m)[i/64] |= 1 << (i % 64)
}

func (l *listing) add(uid uint32, size int64) {
	l.uids, l.sizes = append(l.uids, uid), append(l.sizes, size)
	l.count++
	l.octets += size
}

// complete gives back what growing has left over.
func (l *listing) complete() {
	l.uids, l.sizes = slices.Clone(l.uids), slices.Clone(l.sizes)
}

// chosen returns the UIDs of those marked in is and not in isNot, ascending.
func (l *listing) chosen(is, isNot marks) []uint32 {
	var uids []uint32
	for i, uid := range l.uids {
		if is.has(i) && !isNot.has(i) {
			uids = append(uids, uid)
		}
	}
	return uids
}

// find returns where message number s is.
func (c *conn) find(s string) (int, error) {
	n, ok := number(s)
	if !ok {
		return 0, misuse("Not a message number")
	}
	switch {
	case n < 1 || n > len(c.list.uids):
		return 0, &refusal{text: "No such message"}
	case c.list.deleted.has(n - 1):
		return 0, &refusal{text: "Message is marked deleted"}
	}
	return n - 1, nil
}

func statCommand(_ context.Context, c *conn, _ []string) error {
	c.ok(strconv.Itoa(c.list.count), " ", strconv.FormatInt(c.list.octets, 10))
	return nil
}

// listCommand is LIST, RFC 1939 §5.
func listCommand(_ context.Context, c *conn, args []string) error {
	return c.scan(args, func(line []byte, i int) []byte { return strconv.AppendInt(line, c.list.sizes[i], 10) })
}

// uidlCommand is UIDL, RFC 1939 §7.
func uidlCommand(_ context.Context, c *conn, args []string) error {
	return c.scan(args, func(line []byte, i int) []byte { return append(line, c.drop.UniqueID(c.list.uids[i])...) })
}

// scan writes the listing of one message or of all that are not marked deleted; say adds what is said of the message at i.
func (c *conn) scan(args []string, say func(line []byte, i int) []byte) error {
	line := make([]byte, 0, 128)
	if len(args) == 1 {
		i, err := c.find(args[0])
		if err != nil {
			return err
		}
		line = strconv.AppendInt(line, int64(i)+1, 10)
		c.ok(string(say(append(line, ' '), i)))
		return nil
	}
	c.ok(strconv.Itoa(c.list.count), " messages")
	for i := range c.list.uids {
		if c.list.deleted.has(i) {
			continue
		}
		line = strconv.AppendInt(line[:0], int64(i)+1, 10)
		line = append(say(append(line, ' '), i), '\r', '\n')
		if _, err := c.out.Write(line); err != nil {
			return err // the connection's: nobody listens any more
		}
	}
	c.text(".")
	return nil
}

func deleCommand(_ context.Context, c *conn, args []string) error {
	i, err := c.find(args[0])
	if err != nil {
		return err
	}
	c.list.deleted.set(i, len(c.list.uids))
	c.list.count--
	c.list.octets -= c.list.sizes[i]
	c.ok("Message will be removed at QUIT")
	return nil
}

func rsetCommand(ctx context.Context, c *conn, _ []string) error {
	c.list.deleted = nil
	c.list.count, c.list.octets = c.stats.Messages, c.stats.Bytes
	return statCommand(ctx, c, nil)
}
