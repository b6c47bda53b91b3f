package system

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/postrider/postrider/test/crash"
	"github.com/postrider/postrider/test/crash/ledger"
	"github.com/postrider/postrider/test/needs"
)

// The load under strace.
const (
	smtpSessions = 8
	imapSessions = 2
	perSession   = 10

	handedOver       = 5         // messages of the LMTP and of the submission session
	appendedTogether = 3         // messages of a MULTIAPPEND
	large            = 300 << 10 // beyond what a pack's groups take: a stream into a pack of its own
)

var accounts = []string{"alice", "bob"}

// variant is a build of the server, and what the proofs must say of it.
type variant struct {
	tag   string
	order string // part of a violation; "": proven
}

var variants = []variant{
	{"", ""},
	{"nosync_pack", ": pack: write of"},
	{"nosync_packdir", ": pack: entry "},
	{"nosync_wal", ": wal: write of"},
}

// TestOrderOfSyncs: nothing that was acknowledged was still waiting for a sync; a build that lacks one is found out.
func TestOrderOfSyncs(t *testing.T) {
	for _, v := range variants {
		t.Run("tag="+v.tag, func(t *testing.T) {
			run := traced(t, v.tag, load)
			report, err := run.Order()
			if err != nil {
				t.Fatal(err)
			}
			t.Log(report)
			if v.order != "" {
				if !strings.Contains(report.String(), v.order) {
					t.Errorf("the missing sync is not seen: %s", report)
				}
				return
			}
			if err := report.Err(); err != nil {
				t.Fatal(err)
			}
			below := judgeStorage(t, run)
			t.Log(below)
			if len(below.Faults) > 0 || below.Records < len(run.Acks)/4 || below.Facts < len(run.Acks) || below.Database.Checkpoints == 0 {
				t.Errorf("below the acknowledgements: %s", below)
			}
			kinds := map[string]int{}
			for _, a := range run.Acks {
				kinds[a.Kind]++
			}
			t.Log("acknowledgements by kind:", kinds)
			if report.Acks != len(run.Acks) || kinds["250"] < smtpSessions*perSession || kinds["APPENDUID"] != imapSessions*(perSession+appendedTogether+1+2*filed-2) ||
				kinds["STORE"]*kinds["COPY"]*kinds["MOVE"]*kinds["EXPUNGE"]*kinds["CREATE"]*kinds["RENAME"]*kinds["DELETE"] == 0 {
				t.Errorf("judged too little: %v, %s", kinds, report)
			}
			// Each large message has a pack of its own, made during the run: its name counts too.
			if report.Entries < smtpSessions {
				t.Errorf("names of new packs were not judged: %s", report)
			}
		})
	}
}

// traced runs a build of the server under strace in a directory of its own, with clients on it, and loads the trace.
func traced(t *testing.T, tag string, clients func(addr map[string]string, book *ledger.Book) error) *crash.Run {
	t.Helper()
	return tracedIn(t, Server{Bin: build(t, tag), Dir: filepath.Join(realDir(t), "data"), Accounts: accounts, Checkpoint: 128 << 10,
		Sets: []string{rewriting(t)}}, "", clients)
}

// realDir is a directory of the test without symbolic links in its name.
func realDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// tracedIn is traced in a directory of which initial is a copy ("": it is empty).
func tracedIn(t *testing.T, s Server, initial string, clients func(addr map[string]string, book *ledger.Book) error) *crash.Run {
	t.Helper()
	needs.Quick(t, "strace makes the server slow")
	needs.Program(t, "strace")
	traceFile := filepath.Join(t.TempDir(), "trace")
	p, err := crash.Start(t.Context(), traceFile, s.Bin, s.Args()...)
	if err != nil {
		t.Fatal(err)
	}
	addr, err := Addresses(p.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	var book ledger.Book
	if err := errors.Join(clients(addr, &book), p.Stop()); err != nil {
		t.Fatal(err)
	}
	sys := underTest(s)
	sys.Initial = initial
	run, err := crash.Load(traceFile, sys, book.Acks())
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// load is all sessions at once; then, with nobody else, one account's client that files its mail.
func load(addr map[string]string, book *ledger.Book) error {
	var clients []func() error
	for i := range smtpSessions {
		clients = append(clients, func() error { return deliver(addr["smtp"], i, book) })
	}
	for i := range imapSessions {
		clients = append(clients, func() error { return file(addr["imaps"], accounts[i], book) })
	}
	clients = append(clients, func() error { return handOver(addr["lmtp"], "", book) },
		func() error { return handOver(addr["submissions"], accounts[0], book) },
		func() error { return filing(addr["imaps"], accounts[0], book) })
	errs := make([]error, len(clients))
	var wg sync.WaitGroup
	for i, client := range clients {
		wg.Go(func() { errs[i] = client() })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return filing(addr["imaps"], accounts[1], book)
}

// handOver is one session of LMTP, or of submission by an account: some messages to all accounts.
func handOver(addr, account string, book *ledger.Book) error {
	dial := DialLMTP
	if account != "" {
		dial = func(addr string) (*SMTP, error) { return DialSubmission(addr, account) }
	}
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	for n := range handedOver {
		m := Mail{Token: fmt.Sprintf("lmtp-%02d-end", n), Size: 500 + n*3000, To: accounts, Bdat: n%2 == 1}
		if account != "" {
			m.Token = fmt.Sprintf(submitted+"%02d-end", n) // no token may be part of another: it marks its writes
		}
		acks, err := c.Send(m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Token, err)
		}
		book.Add(acks...)
	}
	return nil
}

// deliver is one SMTP session: messages of very different sizes, to one or two recipients, by DATA and by BDAT.
func deliver(addr string, session int, book *ledger.Book) error {
	c, err := DialSMTP(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	for n := range perSession {
		m := Mail{Token: fmt.Sprintf("smtp-%02d-%02d-end", session, n), Size: 500 + n*n*session*70, To: accounts[session%2 : session%2+1],
			Bdat: n%3 == 2, Hint: session%2 == 0}
		if n%4 == 1 {
			m.To = accounts
		}
		if n == session {
			m.Size = large
		}
		acks, err := c.Send(m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Token, err)
		}
		book.Add(acks...)
	}
	return nil
}

// file is one IMAP session: appended messages, and keywords set on every second one.
func file(addr, account string, book *ledger.Book) error {
	c, err := DialIMAP(addr, account)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Do("SELECT Archive"); err != nil {
		return err
	}
	for n := range perSession {
		token := fmt.Sprintf("imap-%s-%02d-end", account, n)
		size := 700 * (1 + n)
		if n == perSession/2 {
			size = large
		}
		uid, err := c.Append("Archive", `\Seen`, Make(token, size))
		if err != nil {
			return fmt.Errorf("%s: %w", token, err)
		}
		book.Add(c.ack(appended(account, "Archive", uid, token), "APPENDUID", token))
		if n%2 == 0 {
			continue
		}
		keyword := "kw-" + token
		if _, err := c.Do(fmt.Sprintf("UID STORE %d +FLAGS (%s)", uid, keyword)); err != nil {
			return fmt.Errorf("%s: %w", keyword, err)
		}
		book.Add(c.ack(account+"/"+keyword, "STORE", keyword))
	}
	return together(c, account, book)
}

// together is a MULTIAPPEND, then a REPLACE of a message that is not in the book: nobody looks for what was replaced.
func together(c *IMAP, account string, book *ledger.Book) error {
	var tokens []string
	var texts [][]byte
	for n := range appendedTogether {
		tokens = append(tokens, fmt.Sprintf("multi-%s-%02d-end", account, n))
		texts = append(texts, Make(tokens[n], 900*(1+n)))
	}
	all, err := c.Do(`APPEND Archive (\Seen)`, texts...)
	if err != nil {
		return fmt.Errorf("MULTIAPPEND: %w", err)
	}
	uids, err := placed(account, "Archive", code(all, "APPENDUID"), 1, appendedTogether)
	if err != nil {
		return err
	}
	for n, at := range uids {
		book.Add(c.ack(appended(account, "Archive", at.UID, tokens[n]), "APPENDUID", tokens[n]))
	}
	if all, err = c.Do(`APPEND Archive`, Make("replaced-"+account, 700)); err != nil {
		return fmt.Errorf("APPEND: %w", err)
	}
	if uids, err = placed(account, "Archive", code(all, "APPENDUID"), 1, 1); err != nil {
		return err
	}
	token := "replace-" + account + "-end"
	all, err = c.Do(fmt.Sprintf(`UID REPLACE %d Archive (\Seen)`, uids[0].UID), Make(token, 1500))
	if err != nil {
		return fmt.Errorf("REPLACE: %w", err)
	}
	if uids, err = placed(account, "Archive", code(all, "APPENDUID"), 1, 1); err != nil {
		return err
	}
	book.Add(c.ack(appended(account, "Archive", uids[0].UID, token), "APPENDUID", token))
	return nil
}

func appended(account, mailbox string, uid uint32, token string) string {
	return fmt.Sprintf("%s/%s/%d/%s", account, mailbox, uid, token)
}
