package compare

import (
	"testing"
	"time"
)

// box is an INBOX that grows by one each time it is asked, up to a limit.
type box struct{ have, limit int64 }

func (b *box) Messages() (int64, error) {
	b.have = min(b.have+1, b.limit)
	return b.have, nil
}

func (b *box) Close() error { return nil }

// Lost mail of many users costs the waiting time once, not once for each of them.
func TestWaitingForLostMailEndsOnceForAll(t *testing.T) {
	const stall = 200 * time.Millisecond
	m := &mailboxes{}
	promised := []int64{4}
	m.readers, m.want = append(m.readers, &box{limit: 4}), append(m.want, 0)
	for range 50 {
		m.readers, m.want, promised = append(m.readers, &box{limit: 2}), append(m.want, 1), append(promised, 3)
	}
	last, err := m.await(t.Context(), promised, stall)
	if err != nil || last.IsZero() {
		t.Fatal(err)
	}
	asked := int64(0)
	for _, r := range m.readers[1:] {
		asked += r.(*box).have
	}
	if asked > 2+49*2 {
		t.Errorf("users without news were asked %d times", asked)
	}
	lost, extra, err := m.settle()
	if lost != 50*2 || extra != 0 || err != nil {
		t.Errorf("lost %d, extra %d, %v", lost, extra, err)
	}
}
