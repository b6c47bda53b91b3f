package work

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/client"
)

// liar is a server whose answers a test chooses: the first whose key begins the command (after the tag, for IMAP).
// TAG stands for the tag. A sequence of answers to one key is used up to the last, which stays.
type liar struct {
	greeting string
	tagged   bool
	mu       sync.Mutex
	answers  map[string][]string
}

func (l *liar) target(t *testing.T) client.Target {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { l.serve(c) })
		}
	})
	t.Cleanup(func() { listener.Close(); wg.Wait() })
	return client.Target{Addr: listener.Addr().String(), Timeout: 20 * time.Second}
}

func (l *liar) serve(c net.Conn) {
	defer c.Close()
	fmt.Fprint(c, l.greeting)
	for r := bufio.NewScanner(c); r.Scan(); {
		tag, command := "", r.Text()
		if l.tagged {
			tag, command, _ = strings.Cut(command, " ")
		}
		fmt.Fprint(c, strings.ReplaceAll(l.answer(command), "TAG", tag))
	}
}

func (l *liar) answer(command string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, list := range l.answers {
		if strings.HasPrefix(command, key) {
			if len(list) > 1 {
				l.answers[key] = list[1:]
			}
			return list[0]
		}
	}
	if l.tagged {
		return "TAG OK done\r\n"
	}
	return "+OK\r\n"
}

// mailbox answers as one with three messages.
func imapLiar(lies map[string][]string) *liar {
	l := &liar{greeting: "* OK ready\r\n", tagged: true, answers: map[string][]string{
		"LOGIN":   {"TAG OK [CAPABILITY IMAP4rev1 MULTIAPPEND LITERAL+] in\r\n"},
		"SELECT":  {"* 3 EXISTS\r\nTAG OK\r\n"},
		"EXAMINE": {"* 3 EXISTS\r\nTAG OK\r\n"},
		"STATUS":  {"* STATUS x (MESSAGES 3 UNSEEN 2)\r\nTAG OK\r\n"},
	}}
	for k, v := range lies {
		l.answers[k] = v
	}
	return l
}

func TestAServerThatLiesIsFoundOut(t *testing.T) {
	const flags = "* 1 FETCH (FLAGS ())\r\n* 2 FETCH (FLAGS (\\Seen))\r\n"
	for name, c := range map[string]struct {
		workload string
		lies     map[string][]string
		words    string // of the error; "": there is none
	}{
		"all flags":           {"fetch-flags", map[string][]string{"FETCH": {flags + "* 3 FETCH (FLAGS ())\r\n* 4 EXISTS\r\nTAG OK\r\n"}}, ""},
		"a message left out":  {"fetch-flags", map[string][]string{"FETCH": {flags + "TAG OK\r\n"}}, "2 messages came, 3 were asked for"},
		"one twice":           {"fetch-flags", map[string][]string{"FETCH": {flags + "* 2 FETCH (FLAGS ())\r\nTAG OK\r\n"}}, "comes twice"},
		"one too many":        {"fetch-flags", map[string][]string{"FETCH": {flags + "* 4 FETCH (FLAGS ())\r\nTAG OK\r\n"}}, "was not asked for"},
		"other data":          {"fetch-envelope", map[string][]string{"FETCH": {flags + "TAG OK\r\n"}}, "0 messages came"},
		"a refusal":           {"fetch-flags", map[string][]string{"FETCH": {"TAG NO [UNAVAILABLE] not now\r\n"}}, "not now"},
		"the wrong size":      {"fetch-bodies", map[string][]string{"FETCH": {"* 1 FETCH (RFC822.SIZE 6 BODY[] {5}\r\nhello)\r\nTAG OK\r\n"}}, "RFC822.SIZE 6, but 5 octets came"},
		"a wrong SELECT":      {"select", map[string][]string{"SELECT": {"* 4 EXISTS\r\nTAG OK\r\n"}}, "SELECT says 4 messages, STATUS said 3"},
		"wrong unseen":        {"search-unseen", map[string][]string{"SEARCH": {"* SEARCH 1\r\nTAG OK\r\n"}}, "1 messages found, 2 expected"},
		"right unseen":        {"search-unseen", map[string][]string{"SEARCH": {"* SEARCH 1 3\r\nTAG OK\r\n"}}, ""},
		"another result":      {"search-text", map[string][]string{"SEARCH": {"* SEARCH 1 3\r\nTAG OK\r\n", "* SEARCH 1\r\nTAG OK\r\n"}}, "1 messages found, 2 expected"},
		"no such message":     {"search-text", map[string][]string{"SEARCH": {"* SEARCH 7\r\nTAG OK\r\n"}}, "message 7 of 3 was found"},
		"no result":           {"search-text", map[string][]string{"SEARCH": {"TAG OK\r\n"}}, "no SEARCH in the answer"},
		"a flag not set":      {"store", map[string][]string{"STORE 1:3 +": {flags + "TAG OK\r\n"}}, "message 1:"},
		"not all flags set":   {"store", map[string][]string{"STORE 1:3 +": {"* 1 FETCH (FLAGS (\\Flagged))\r\nTAG OK\r\n"}}, "1 messages answered, 3 were asked for"},
		"copies that are not": {"copy", nil, "6 messages were added, but it has grown by 0"},
		"copies":              {"copy", map[string][]string{"STATUS": {"* STATUS x (MESSAGES 3)\r\nTAG OK\r\n", "* STATUS x (MESSAGES 9)\r\nTAG OK\r\n"}}, ""},
		"goodbye":             {"fetch-flags", map[string][]string{"FETCH": {"* BYE restart\r\n"}}, "the server closes the connection"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Run(t.Context(), Options{Protocol: "imap", Workload: c.workload, Target: imapLiar(c.lies).target(t),
				Users: []User{{"alice", "secret"}}, Sessions: 1, Operations: 2}, nil)
			if (err == nil) != (c.words == "") || err != nil && !strings.Contains(err.Error(), c.words) {
				t.Errorf("%v, want %q", err, c.words)
			}
		})
	}
}

func TestAPOP3ServerThatLiesIsFoundOut(t *testing.T) {
	for name, c := range map[string]struct {
		workload string
		lies     map[string][]string
		words    string
	}{
		"all well":       {"list", nil, ""},
		"retrieved":      {"retr", nil, ""},
		"a wrong STAT":   {"list", map[string][]string{"STAT": {"+OK 3 12\r\n"}}, "STAT says 3 messages of 12 octets, LIST has 2 of 12"},
		"a double UIDL":  {"list", map[string][]string{"UIDL": {"+OK\r\n1 a\r\n2 a\r\n.\r\n"}}, "another's"},
		"a short UIDL":   {"list", map[string][]string{"UIDL": {"+OK\r\n1 a\r\n.\r\n"}}, "UIDL has 1 messages, LIST 2"},
		"a short answer": {"retr", map[string][]string{"RETR": {"+OK\r\nA:b\r\n.\r\n"}}, "5 octets came, LIST says 6"},
		"locked":         {"login", map[string][]string{"PASS": {"-ERR [IN-USE] later\r\n"}}, "[IN-USE] later"},
	} {
		t.Run(name, func(t *testing.T) {
			l := &liar{greeting: "+OK ready\r\n", answers: map[string][]string{
				"STAT": {"+OK 2 12\r\n"}, "LIST": {"+OK\r\n1 6\r\n2 6\r\n.\r\n"}, "UIDL": {"+OK\r\n1 a\r\n2 b\r\n.\r\n"}, "RETR": {"+OK\r\nA: b\r\n.\r\n"},
			}}
			for k, v := range c.lies {
				l.answers[k] = v
			}
			_, err := Run(t.Context(), Options{Protocol: "pop3", Workload: c.workload, Target: l.target(t), Users: []User{{"alice", "secret"}},
				Sessions: 1, Operations: 2}, nil)
			if (err == nil) != (c.words == "") || err != nil && !strings.Contains(err.Error(), c.words) {
				t.Errorf("%v, want %q", err, c.words)
			}
		})
	}
}

func TestAFillThatDoesNotArriveIsTold(t *testing.T) {
	target := imapLiar(nil).target(t)
	_, err := Fill(t.Context(), FillOptions{Target: target, User: User{"alice", "x"}, Mailbox: "INBOX", Messages: 3, Size: 600, Batch: 1, Sessions: 1}, nil)
	if err == nil { // the literal's lines are answered as commands of their own: any of it is an error
		t.Error("no error")
	}
}

func TestTheFirstErrorEndsAll(t *testing.T) {
	ctx, fail := context.WithCancelCause(t.Context())
	err := each(ctx, fail, 3, 100, func(ctx context.Context, i int) error {
		if i == 2 {
			return fmt.Errorf("broken")
		}
		if i > 20 {
			<-ctx.Done() // others end because of it
			return ctx.Err()
		}
		return nil
	})
	if err == nil || err.Error() != "session 3: broken" {
		t.Errorf("%v", err)
	}
}

func TestSessionsShareAMailboxWithoutOverlap(t *testing.T) {
	for _, c := range []struct{ users, sessions, exists int }{{1, 3, 10}, {2, 5, 7}, {3, 3, 1}, {4, 2, 5}} {
		r := &run{o: Options{Users: make([]User, c.users), Sessions: c.sessions}}
		used := map[[2]int]int{}
		for i := range c.sessions {
			s := &seat{run: r, number: i, exists: uint32(c.exists)}
			low, high, err := s.part()
			if err != nil {
				t.Fatal(err)
			}
			for n := low; n <= high; n++ {
				used[[2]int{i % c.users, int(n)}]++
			}
		}
		for u := range min(c.users, c.sessions) {
			for n := 1; n <= c.exists; n++ {
				if used[[2]int{u, n}] != 1 {
					t.Errorf("%+v: message %d of user %d is used %d times", c, n, u, used[[2]int{u, n}])
				}
			}
		}
	}
	s := &seat{run: &run{o: Options{Users: make([]User, 1), Sessions: 5}}, exists: 3}
	if _, _, err := s.part(); err == nil {
		t.Error("three messages were divided by five")
	}
}
