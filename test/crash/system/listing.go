package system

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Mailboxes are those that the clients here use.
var Mailboxes = [...]string{"INBOX", "Archive", "Trash"}

// Place is where a message was found.
type Place struct {
	Account, Mailbox string
	UIDValidity, UID uint32
}

func (p Place) String() string { return fmt.Sprintf("%s/%s/%d", p.Account, p.Mailbox, p.UID) }

// Found is what was found there.
type Found struct {
	Place
	Token     string // "" when the body was not asked for
	Delivered bool   // it came through the queue: fields of a delivery stand in front
	Flags     []string
	Err       error // its bytes could not be read, or are not those sent
}

// List lists one mailbox in ascending order; the bodies of the UIDs that need names (nil: all) are read. It does not change
// the mailbox, and leaves it selected read-only.
func (c *IMAP) List(mailbox string, need func(uid uint32) bool) (list []Found, err error) {
	all, err := c.Do("EXAMINE " + mailbox)
	if err != nil {
		return nil, err
	}
	v := code(all, "UIDVALIDITY")
	if len(v) != 1 {
		return nil, errors.New("no UIDVALIDITY")
	}
	validity, err := strconv.ParseUint(v[0], 10, 32)
	if err != nil {
		return nil, err
	}
	place := Place{Account: c.Account, Mailbox: mailbox, UIDValidity: uint32(validity)}
	all, err = c.Do("UID FETCH 1:* (FLAGS)")
	if err != nil {
		return nil, err
	}
	at := map[uint32]int{}
	for _, r := range all {
		if uid, flags, ok := fetched(r.Text); ok {
			place.UID = uid
			at[uid] = len(list)
			list = append(list, Found{Place: place, Flags: flags})
		}
	}
	var wanted []string
	for _, f := range list {
		if need == nil || need(f.UID) {
			wanted = append(wanted, strconv.Itoa(int(f.UID)))
		}
	}
	if len(wanted) == 0 {
		return list, nil
	}
	all, err = c.Do("UID FETCH " + strings.Join(wanted, ",") + " (BODY.PEEK[])")
	var refused *Refused
	if errors.As(err, &refused) { // one that cannot be read; which?
		for _, uid := range wanted {
			one, err := c.Do("UID FETCH " + uid + " (BODY.PEEK[])")
			if err != nil && !errors.As(err, &refused) {
				return nil, err
			}
			if n, _ := strconv.ParseUint(uid, 10, 32); err != nil {
				list[at[uint32(n)]].Err = err
				continue
			}
			all = append(all, one...)
		}
	} else if err != nil {
		return nil, err
	}
	for _, r := range all {
		if uid, _, ok := fetched(r.Text); ok && len(r.Literals) > 0 {
			list[at[uid]].read(r)
		}
	}
	for _, uid := range wanted {
		n, _ := strconv.ParseUint(uid, 10, 32)
		if f := &list[at[uint32(n)]]; f.Token == "" && f.Err == nil {
			f.Err = errors.New("FETCH says nothing of its body")
		}
	}
	return list, nil
}

// read judges the body in a FETCH response.
func (f *Found) read(r Response) {
	var prefix int
	f.Token, prefix, f.Err = Read(r.Literals[0])
	f.Delivered = prefix > 0
}

// fetched reads "* 3 FETCH (UID 7 FLAGS (\Seen x) …)".
func fetched(text string) (uid uint32, flags []string, ok bool) {
	_, items, ok := strings.Cut(text, " FETCH (")
	if !ok {
		return 0, nil, false
	}
	_, rest, ok := strings.Cut(items, "UID ")
	if !ok {
		return 0, nil, false
	}
	digits := strings.FieldsFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	n, err := strconv.ParseUint(digits[0], 10, 32)
	if err != nil {
		return 0, nil, false
	}
	if _, rest, has := strings.Cut(items, "FLAGS ("); has {
		list, _, _ := strings.Cut(rest, ")")
		flags = strings.Fields(list)
	}
	return uint32(n), flags, true
}

// Names lists the account's mailboxes.
func (c *IMAP) Names() (names []string, err error) {
	all, err := c.Do(`LIST "" "*"`)
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if fields := strings.Fields(r.Text); len(fields) > 3 && fields[1] == "LIST" {
			names = append(names, strings.Trim(fields[len(fields)-1], `"`))
		}
	}
	return names, nil
}

// ListAll lists the mailboxes of accounts, with all bodies. Each message that cannot be read is an error.
func ListAll(p *Process, accounts []string) (all []Found, err error) {
	all, _, err = listAll(p, accounts)
	return all, err
}

// listAll also names the mailboxes, as account/mailbox.
func listAll(p *Process, accounts []string) (all []Found, mailboxes []string, err error) {
	for _, account := range accounts {
		c, err := DialIMAP(p.Addr["imaps"], account)
		if err != nil {
			return nil, nil, err
		}
		defer c.Close()
		names, err := c.Names()
		if err != nil {
			return nil, nil, err
		}
		for _, mailbox := range names {
			list, err := c.List(mailbox, nil)
			if err != nil {
				return nil, nil, fmt.Errorf("%s/%s: %w", account, mailbox, err)
			}
			all, mailboxes = append(all, list...), append(mailboxes, account+"/"+mailbox)
		}
	}
	return all, mailboxes, nil
}

// Recover starts the server on a directory as it was left, waits until everything accepted is delivered, lists the
// mailboxes, and stops the server, which checks its own invariants.
func Recover(ctx context.Context, s Server) ([]Found, error) {
	all, _, err := recovered(ctx, s)
	return all, err
}

// recovered is Recover that also names the mailboxes.
func recovered(ctx context.Context, s Server) ([]Found, []string, error) {
	p, err := s.Start(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer p.Kill()
	if err := p.Quiet(ctx); err != nil {
		return nil, nil, err
	}
	all, mailboxes, err := listAll(p, s.Accounts)
	return all, mailboxes, errors.Join(err, p.Stop())
}
