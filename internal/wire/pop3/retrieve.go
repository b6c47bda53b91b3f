package pop3

import (
	"context"
	"io"
	"strconv"
)

const chunkSize = 32 << 10 // bytes of a message in memory at a time

// retrCommand is RETR, RFC 1939 §5.
func retrCommand(ctx context.Context, c *conn, args []string) error {
	i, err := c.find(args[0])
	if err != nil {
		return err
	}
	b, err := c.drop.Body(ctx, c.list.uids[i], true)
	if err != nil {
		return err
	}
	c.ok(strconv.FormatInt(b.Size(), 10), " octets")
	before := c.said()
	if err := c.stream(b, everything); err != nil {
		return err
	}
	c.list.retrieved.set(i, len(c.list.uids))
	c.stats.Retrieved++
	c.stats.RetrievedBytes += c.said() - before
	return nil
}

// topCommand is TOP, RFC 1939 §7.
func topCommand(ctx context.Context, c *conn, args []string) error {
	lines, ok := number(args[1])
	if !ok {
		return misuse("Not a number of lines")
	}
	i, err := c.find(args[0])
	if err != nil {
		return err
	}
	b, err := c.drop.Body(ctx, c.list.uids[i], false)
	if err != nil {
		return err
	}
	c.ok("Top of message follows")
	before := c.said()
	if err := c.stream(b, lines); err != nil {
		return err
	}
	c.stats.Tops++
	c.stats.TopBytes += c.said() - before
	return nil
}

// said is how many bytes have been written, sent or not.
func (c *conn) said() int64 { return c.t.Out() + int64(c.out.Buffered()) }

// stream writes a message, or its header and the first lines of its body, as a multi-line response.
func (c *conn) stream(b Body, lines int) error {
	chunk, _ := c.srv.chunks.Get().(*[]byte)
	if chunk == nil {
		chunk = new([]byte)
		*chunk = make([]byte, chunkSize)
	}
	defer c.srv.chunks.Put(chunk)
	out := stuffer{w: c.out, lines: lines}
	for at, size := int64(0), b.Size(); at < size && !out.done; {
		p := (*chunk)[:min(chunkSize, size-at)]
		n, err := b.ReadAt(p, at)
		if n < len(p) {
			if err == nil {
				err = io.ErrUnexpectedEOF
			}
			// Half of it has been said: the end of the connection is all that can tell the client.
			c.log.Error("pop3: message cannot be read to its end", "err", err)
			c.why = EndDamaged
			return errClose
		}
		at += int64(n)
		if err := out.write(p); err != nil {
			return err
		}
	}
	return out.end()
}
