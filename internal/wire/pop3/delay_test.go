package pop3

import (
	"testing"
	"time"
)

// What is over is forgotten: the memory is that of the accounts of one delay.
func TestDelaysForget(t *testing.T) {
	var d delays
	now := time.Unix(1_800_000_000, 0)
	const delay = time.Minute
	for account := range int64(50_000) {
		if d.early(account, now, delay) {
			t.Fatalf("account %d is early at its first login", account)
		}
		d.note(account, now, delay)
		if !d.early(account, now.Add(delay-1), delay) || d.early(account, now.Add(delay), delay) {
			t.Fatalf("account %d", account)
		}
		now = now.Add(time.Second)
		if len(d.last) > 2*sweepLeast {
			t.Fatalf("%d accounts are remembered", len(d.last))
		}
	}
	if d.early(49_999, now, 0) {
		t.Error("without a delay nobody is early")
	}
}
