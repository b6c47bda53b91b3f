package system

import (
	"fmt"

	"github.com/postrider/postrider/test/crash/ledger"
)

// filed is how many messages a filing session works on.
const filed = 8

// filing is one IMAP session that does what a user does to mail in the end: makes mailboxes, copies, moves, expunges,
// renames, deletes. Each answer is entered with what is there from now on and what is not. Where nobody else writes, the
// order proof can tell the transaction of each command.
func filing(addr, account string, book *ledger.Book) error {
	imap, err := DialIMAP(addr, account)
	if err != nil {
		return err
	}
	defer imap.Close()
	f := &filer{imap, account, book}
	one, two, three, four := f.name("one"), f.name("two"), f.name("three"), f.name("four")
	for _, name := range []string{one, two, four} {
		if err := f.create(name); err != nil {
			return err
		}
	}
	places, tokens, err := f.fill(one)
	if err != nil {
		return err
	}
	copies, err := f.copy(places[:2], tokens[:2], two)
	if err != nil {
		return err
	}
	moved, err := f.move(places[2:5], tokens[2:5], two)
	if err != nil {
		return err
	}
	if err := f.expunge(places[5:7], tokens[5:7]); err != nil {
		return err
	}
	if err := f.remove(four); err != nil {
		return err
	}
	return f.rename(two, three, append(copies, moved...), tokens[:5])
}

type filer struct {
	imap    *IMAP
	account string
	book    *ledger.Book
}

func (f *filer) name(part string) string { return fmt.Sprintf("box-%s-%s", f.account, part) }

func (f *filer) do(command string) ([]Response, error) {
	all, err := f.imap.Do(command)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	return all, nil
}

func (f *filer) mailbox(name string) string { return "mailbox " + f.account + "/" + name }

func (f *filer) at(p Place, token string) string { return appended(f.account, p.Mailbox, p.UID, token) }

func (f *filer) create(name string) error {
	if _, err := f.do("CREATE " + name); err != nil {
		return err
	}
	f.book.Add(f.imap.ack(f.mailbox(name), "CREATE", name))
	return nil
}

// fill appends messages, of which the first two will be copied.
func (f *filer) fill(mailbox string) (places []Place, tokens []string, err error) {
	if _, err := f.do("SELECT " + mailbox); err != nil {
		return nil, nil, err
	}
	for n := range filed {
		token := fmt.Sprintf("filed-%s-%02d-end", f.account, n)
		if n < 2 {
			token = copied + token
		}
		uid, err := f.imap.Append(mailbox, "", Make(token, 600+300*n))
		if err != nil {
			return nil, nil, err
		}
		p := Place{Account: f.account, Mailbox: mailbox, UID: uid}
		places, tokens = append(places, p), append(tokens, token)
		f.book.Add(f.imap.ack(f.at(p, token), "APPENDUID", token))
		if n >= 2 { // owed also while a command takes it from one place to another
			f.book.Add(f.imap.ack(f.account+"/"+token, "APPENDUID", token))
		}
	}
	return places, tokens, nil
}

func (f *filer) copy(places []Place, tokens []string, to string) (made []Place, err error) {
	all, err := f.do(fmt.Sprintf("UID COPY %s %s", uids(places), to))
	if err != nil {
		return nil, err
	}
	made, err = placed(f.account, to, code(all, "COPYUID"), 2, len(places))
	for i, p := range made {
		f.book.Add(f.imap.ack(f.at(p, tokens[i]), "COPY", ""))
	}
	return made, err
}

func (f *filer) move(places []Place, tokens []string, to string) (made []Place, err error) {
	all, err := f.do(fmt.Sprintf("UID MOVE %s %s", uids(places), to))
	if err != nil {
		return nil, err
	}
	made, err = placed(f.account, to, code(all, "COPYUID"), 2, len(places))
	for i, p := range made {
		f.book.Add(f.imap.ack(f.at(p, tokens[i]), "MOVE", ""))
		f.book.Add(f.imap.gone(f.at(places[i], tokens[i]), "MOVE", ""))
	}
	return made, err
}

func (f *filer) expunge(places []Place, tokens []string) error {
	if _, err := f.do(fmt.Sprintf(`UID STORE %s +FLAGS.SILENT (\Deleted)`, uids(places))); err != nil {
		return err
	}
	if _, err := f.do("UID EXPUNGE " + uids(places)); err != nil {
		return err
	}
	for i, p := range places {
		f.book.Add(f.imap.gone(f.at(p, tokens[i]), "EXPUNGE", ""))
		f.book.Add(f.imap.gone(f.account+"/"+tokens[i], "EXPUNGE", ""))
	}
	return nil
}

func (f *filer) remove(name string) error {
	if _, err := f.do("DELETE " + name); err != nil {
		return err
	}
	f.book.Add(f.imap.gone(f.mailbox(name), "DELETE", ""))
	return nil
}

// rename takes a mailbox's messages along.
func (f *filer) rename(old, name string, places []Place, tokens []string) error {
	if _, err := f.do("RENAME " + old + " " + name); err != nil {
		return err
	}
	f.book.Add(f.imap.ack(f.mailbox(name), "RENAME", name))
	f.book.Add(f.imap.gone(f.mailbox(old), "RENAME", name))
	for i, p := range places {
		f.book.Add(f.imap.gone(f.at(p, tokens[i]), "RENAME", name))
		p.Mailbox = name
		f.book.Add(f.imap.ack(f.at(p, tokens[i]), "RENAME", name))
	}
	return nil
}
