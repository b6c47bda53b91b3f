package system

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// worker is the IMAP client of one account, the only one that changes it.
type worker struct {
	model    *Model
	account  string
	rand     *rand.Rand
	name     string
	imap     *IMAP
	selected string
}

// run works until the server goes away.
func (w *worker) run(addr string) (err error) {
	w.imap, err = DialIMAP(addr, w.account)
	if err != nil {
		return refusal(err)
	}
	defer w.imap.Close()
	for n := 0; err == nil; n++ {
		err = w.step(n)
	}
	if faulty := (*fault)(nil); errors.As(err, &faulty) {
		return err
	}
	return refusal(err)
}

// fault is an error of the model: the server did something wrong.
type fault struct{ error }

func (w *worker) step(n int) error {
	if n%5 == 4 { // what came in meanwhile is worked on too
		list, err := w.imap.List("INBOX", w.model.unknown(w.account, "INBOX"))
		w.selected = ""
		if err != nil {
			return err
		}
		if err := w.model.Learn(w.account, list); err != nil {
			return &fault{err}
		}
	}
	places, contents := w.model.present(w.account)
	if len(places) > maxPlaces {
		return w.expunge(places)
	}
	if len(places) == 0 {
		return w.append(n)
	}
	i := w.rand.IntN(len(places))
	switch w.rand.IntN(7) {
	case 0:
		return w.append(n)
	case 1, 2:
		return w.store(places[i], n)
	case 3:
		return w.copy("COPY", places, contents, i)
	case 4:
		return w.copy("MOVE", places, contents, i)
	case 5:
		return w.replace(places[i], n)
	}
	return w.expunge(places[i:])
}

// command sends a command on a mailbox that changes c.from or makes new places.
func (w *worker) command(mailbox, command string, c *change, literals ...[]byte) ([]Response, error) {
	if w.selected != mailbox {
		w.selected = ""
		if _, err := w.imap.Do("SELECT " + mailbox); err != nil {
			return nil, err
		}
		w.selected = mailbox
	}
	w.model.begin(w.account, c)
	return w.imap.Do(command, literals...)
}

// append stores one message, or some at once: all of them or none.
func (w *worker) append(n int) error {
	c := &change{to: Mailboxes[w.rand.IntN(len(Mailboxes))]}
	var texts [][]byte
	for i := range 1 + w.rand.IntN(3) {
		size, flags := 300+w.rand.IntN(5000), ""
		if i == 0 {
			flags = `\Seen` // they stand before the first
		}
		if w.rand.IntN(20) == 0 {
			size = large
		}
		c.token, c.flags = append(c.token, fmt.Sprintf("%s-%d%c-end", w.name, n, 'a'+i)), append(c.flags, flags)
		texts = append(texts, Make(c.token[i], size))
	}
	w.model.begin(w.account, c)
	all, err := w.imap.Do(fmt.Sprintf("APPEND %s (%s)", c.to, c.flags[0]), texts...)
	if err != nil {
		return err
	}
	made, err := placed(w.account, c.to, code(all, "APPENDUID"), 1, len(texts))
	return w.done(c, made, err)
}

// replace puts a new message in the place of an old one: both, or neither.
func (w *worker) replace(p Place, n int) error {
	c := &change{from: []Place{p}, takes: true, to: Mailboxes[w.rand.IntN(len(Mailboxes))], token: []string{fmt.Sprintf("%s-%dr-end", w.name, n)},
		flags: []string{`\Seen`}}
	all, err := w.command(p.Mailbox, fmt.Sprintf("UID REPLACE %d %s (%s)", p.UID, c.to, c.flags[0]), c, Make(c.token[0], 300+w.rand.IntN(5000)))
	if err != nil {
		return err
	}
	made, err := placed(w.account, c.to, code(all, "APPENDUID"), 1, 1)
	return w.done(c, made, err)
}

func (w *worker) done(c *change, made []Place, err error) error {
	if err == nil {
		err = w.model.done(w.account, c, made)
	}
	if err != nil {
		return &fault{err}
	}
	return nil
}

func (w *worker) store(p Place, n int) error {
	flags := canonical([]string{fmt.Sprintf("%s-%d", w.name, n), [...]string{`\Flagged`, `\Seen`, `\Answered`}[w.rand.IntN(3)]})
	c := &change{from: []Place{p}, gives: flags}
	_, err := w.command(p.Mailbox, fmt.Sprintf("UID STORE %d FLAGS.SILENT (%s)", p.UID, flags), c)
	if err != nil {
		return err
	}
	return w.done(c, nil, nil)
}

// copy copies or moves up to three messages of one mailbox to another one.
func (w *worker) copy(verb string, places []Place, contents []content, i int) error {
	c := &change{takes: verb == "MOVE"}
	for c.to == "" || c.to == places[i].Mailbox {
		c.to = Mailboxes[w.rand.IntN(len(Mailboxes))]
	}
	for j := i; j < len(places) && j < i+3 && places[j].Mailbox == places[i].Mailbox; j++ {
		c.from = append(c.from, places[j])
		c.token = append(c.token, contents[j].token)
		c.flags = append(c.flags, contents[j].flags)
	}
	all, err := w.command(places[i].Mailbox, fmt.Sprintf("UID %s %s %s", verb, uids(c.from), c.to), c)
	if err != nil {
		return err
	}
	made, err := placed(w.account, c.to, code(all, "COPYUID"), 2, len(c.from))
	return w.done(c, made, err)
}

// expunge removes up to ten messages of the first place's mailbox: flagged first, then expunged by UID.
func (w *worker) expunge(places []Place) error {
	var from []Place
	for _, p := range places {
		if p.Mailbox == places[0].Mailbox && len(from) < 10 {
			from = append(from, p)
		}
	}
	flagged := &change{from: from, gives: `\Deleted`}
	if _, err := w.command(from[0].Mailbox, fmt.Sprintf(`UID STORE %s FLAGS.SILENT (\Deleted)`, uids(from)), flagged); err != nil {
		return err
	}
	if err := w.done(flagged, nil, nil); err != nil {
		return err
	}
	c := &change{from: from, takes: true}
	if _, err := w.command(from[0].Mailbox, "UID EXPUNGE "+uids(from), c); err != nil {
		return err
	}
	return w.done(c, nil, nil)
}

func uids(places []Place) string {
	var list []string
	for _, p := range places {
		list = append(list, strconv.Itoa(int(p.UID)))
	}
	return strings.Join(list, ",")
}

// placed reads UIDVALIDITY and the set at index set of APPENDUID or COPYUID.
func placed(account, mailbox string, args []string, set, n int) (made []Place, err error) {
	if len(args) <= set {
		return nil, fmt.Errorf("%s: response code %q", account, args)
	}
	validity, err := strconv.ParseUint(args[0], 10, 32)
	if err != nil {
		return nil, err
	}
	for part := range strings.SplitSeq(args[set], ",") {
		lo, hi, ok := strings.Cut(part, ":")
		if !ok {
			hi = lo
		}
		a, err1 := strconv.ParseUint(lo, 10, 32)
		b, err2 := strconv.ParseUint(hi, 10, 32)
		if err := errors.Join(err1, err2); err != nil || b < a || b-a > 1000 {
			return nil, fmt.Errorf("%s: UIDs %q", account, args[set])
		}
		for uid := a; uid <= b; uid++ {
			made = append(made, Place{account, mailbox, uint32(validity), uint32(uid)})
		}
	}
	if len(made) != n {
		return nil, fmt.Errorf("%s: %d UIDs for %d messages: %q", account, len(made), n, args)
	}
	return made, nil
}
