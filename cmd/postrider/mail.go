package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/admin"
)

func (c mailListCmd) Run(a *app) error {
	if c.Limit < 1 {
		return usagef("--limit: %d is less than 1", c.Limit)
	}
	return a.operate(func(ctx context.Context, api admin.API) error {
		if c.Mailbox == "" {
			return a.mailboxes(ctx, api, c.Account)
		}
		list, err := api.Messages(ctx, admin.MessageQuery{Account: c.Account, Mailbox: c.Mailbox, Limit: c.Limit})
		if err != nil {
			return err
		}
		return a.show(list, func(w io.Writer) {
			t := newTable(">UID", "RECEIVED", ">SIZE", "FLAGS", "FROM", "SUBJECT")
			for _, m := range list {
				t.row(strconv.FormatUint(uint64(m.UID), 10), shortTime(m.Received), shortSize(m.Size), dash(strings.Join(m.Flags, " ")), clip(m.From, 40), clip(m.Subject, 60))
			}
			t.write(a, w, "No messages.")
		})
	})
}

func (a *app) mailboxes(ctx context.Context, api admin.API, account string) error {
	list, err := api.Mailboxes(ctx, account)
	if err != nil {
		return err
	}
	return a.show(list, func(w io.Writer) {
		t := newTable("MAILBOX", ">MESSAGES", ">UNSEEN", ">SIZE", "SPECIAL USE")
		for _, m := range list {
			t.row(m.Name, strconv.FormatInt(m.Messages, 10), strconv.FormatInt(m.Unseen, 10), shortSize(m.Bytes), dash(m.Role))
		}
		t.write(a, w, "No mailboxes.")
	})
}

// clip shortens text for a column.
func clip(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most-1]) + "…"
}

func (c mailReadCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		m, err := api.Message(ctx, admin.MessageID{Account: c.Account, Mailbox: c.Mailbox, UID: c.UID})
		if err != nil {
			return err
		}
		return a.printMessage(m)
	})
}

// printMessage writes a message: byte for byte, but on a terminal as lines of text that cannot command it.
func (a *app) printMessage(m io.ReadCloser) error {
	w := bufio.NewWriter(a.stdout)
	if !a.terminal() {
		_, err := io.Copy(w, m)
		return errors.Join(err, w.Flush(), m.Close())
	}
	r := bufio.NewReader(m)
	for {
		line, err := r.ReadString('\n')
		if line != "" {
			_, _ = w.WriteString(printable(strings.TrimRight(line, "\r\n")) + "\n") // Flush has the error
		}
		if errors.Is(err, io.EOF) {
			return errors.Join(w.Flush(), m.Close())
		}
		if err != nil {
			return errors.Join(err, w.Flush(), m.Close())
		}
	}
}
