package compare

import (
	"context"
	"fmt"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/peer"
)

// mailboxes watches every user's INBOX. The connections are opened before the load and stay: a login costs a system
// more than a delivery, and would be counted to it.
type mailboxes struct {
	readers []counter // one for each user
	want    []int64   // messages that there must be
}

// counter is one user's INBOX.
type counter interface {
	Messages() (int64, error)
	Close() error
}

func openMailboxes(ctx context.Context, a peer.Access, users int) (*mailboxes, error) {
	m := &mailboxes{}
	for u := 1; u <= users; u++ {
		r, err := a.Open(ctx, u)
		if err != nil {
			m.close()
			return nil, err
		}
		m.readers = append(m.readers, r)
		n, err := r.Messages()
		if err != nil {
			m.close()
			return nil, fmt.Errorf("%s: %w", peer.Address(u), err)
		}
		m.want = append(m.want, n)
	}
	return m, nil
}

// await adds to what there must be, and returns when the last message was seen to be there. It asks about one user at a
// time, from the first that is not complete: a few dozen small questions a second, whatever the load. It gives up
// when nobody it looks at got anything for the time stall; what is missing then is counted by settle.
func (m *mailboxes) await(ctx context.Context, promised []int64, stall time.Duration) (time.Time, error) {
	for i, n := range promised {
		m.want[i] += n
	}
	grew := time.Now()
	for i, r := range m.readers {
		have := int64(-1)
		for {
			n, err := r.Messages()
			if err != nil {
				return time.Time{}, fmt.Errorf("%s: %w", peer.Address(i+1), err)
			}
			if n > have && have >= 0 {
				grew = time.Now()
			}
			have = n
			if n >= m.want[i] || time.Since(grew) >= stall {
				break
			}
			select {
			case <-ctx.Done():
				return time.Time{}, context.Cause(ctx)
			case <-time.After(readerPoll):
			}
		}
	}
	return time.Now(), nil
}

// settle counts once more, and returns how many messages are missing and how many are there too often. What there is
// then is what later questions start from.
func (m *mailboxes) settle() (lost, extra int64, err error) {
	for i, r := range m.readers {
		n, err := r.Messages()
		if err != nil {
			return lost, extra, fmt.Errorf("%s: %w", peer.Address(i+1), err)
		}
		lost += max(m.want[i]-n, 0)
		extra += max(n-m.want[i], 0)
		m.want[i] = n
	}
	return lost, extra, nil
}

func (m *mailboxes) close() {
	for _, r := range m.readers {
		r.Close()
	}
}
