package node

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/obs"
)

// Stop tells sessions at rest, lets a transaction under way finish, and what it acknowledged is there after the next
// start.
func TestStopDrains(t *testing.T) {
	dir := t.TempDir()
	n, stop := start(t, testConfig(t, dir))
	addUser(t, n, "alice", "pw")
	address := n.Addresses()["smtp"].String()
	busy := inData(t, n)
	idle := dialTalk(t, n, "smtp")
	idle.until("220")
	waiting := dialTalk(t, n, "imap")
	waiting.until("* OK")
	reader := dialTalk(t, n, "imaps").secure()
	reader.until("* OK")
	reader.say("a LOGIN alice@here.example pw", "a OK")
	reader.say("b SELECT INBOX", "b OK")
	reader.say("c IDLE", "+")

	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	idle.until("421 4.3.2")
	waiting.until("* BYE")
	reader.until("* BYE")
	select {
	case <-stopped:
		t.Fatal("stopped with a transaction under way")
	default:
	}
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("a new connection is taken")
	}
	busy.say("the rest\r\n.", "250 2.0.0 Ok: queued as")
	busy.until("421 4.3.2")
	<-stopped

	n, stop = start(t, testConfig(t, dir))
	defer stop()
	arrived(t, login(t, n, "alice@here.example", "pw"), "INBOX", 1)
}

// inData opens a transaction and sends the half of a message.
func inData(t *testing.T, n *Node) *talk {
	t.Helper()
	k := dialTalk(t, n, "smtp")
	k.until("220")
	k.say("EHLO client.example", "250 ")
	k.say("MAIL FROM:<a@far.example>", "250")
	k.say("RCPT TO:<alice@here.example>", "250")
	k.say("DATA", "354")
	if _, err := fmt.Fprintf(k, "Subject: half\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return k
}

// Whoever does not end in time is cut off; nothing of it was acknowledged, and nothing is kept.
func TestStopCutsOffWhenPatienceEnds(t *testing.T) {
	dir := t.TempDir()
	c := testConfig(t, dir)
	n, err := Open(t.Context(), Options{Config: c, Log: &obs.Log{Logger: slog.New(slog.DiscardHandler)}, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	n.events = obs.Discard{}
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	addUser(t, n, "alice", "pw")
	slow := inData(t, n)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := n.Stop(ctx); err != nil && !strings.Contains(err.Error(), context.DeadlineExceeded.Error()) {
		t.Errorf("stop: %v", err)
	}
	for s := slow.line(); s != ""; s = slow.line() {
		if strings.HasPrefix(s, "250") {
			t.Errorf("acknowledged: %s", s)
		}
	}
	n, stop := start(t, c)
	reader := login(t, n, "alice@here.example", "pw")
	arrived(t, reader, "INBOX", 0)
	reader.Close()
	stop()
	if err := verify(t, dir); err != nil {
		t.Error(err)
	}
}
