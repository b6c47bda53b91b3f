package load

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/gauge"
)

// maxReplies bounds how many different refusals are told apart.
const maxReplies = 40

// recorder gathers what happens while sessions run.
type recorder struct {
	data, transaction Histogram
	messages          atomic.Int64 // accepted for at least one recipient
	accepted          []atomic.Int64
	uncertain         atomic.Int64
	connections       atomic.Int64
	failed            atomic.Int64
	took              atomic.Int64 // until the last session had its last reply, in ns

	mu     sync.Mutex
	errors map[string]int64
}

func newRecorder(recipients int) *recorder {
	return &recorder{accepted: make([]atomic.Int64, recipients), errors: map[string]int64{}}
}

// refuse counts a failure under the words of whoever told of it.
func (r *recorder) refuse(words string) {
	r.failed.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.errors[words]; !known && len(r.errors) >= maxReplies {
		words = "other replies"
	}
	r.errors[words]++
}

// ended notes that a session has sent its last message and has the reply.
func (r *recorder) ended(at time.Duration) {
	for {
		old := r.took.Load()
		if int64(at) <= old || r.took.CompareAndSwap(old, int64(at)) {
			return
		}
	}
}

// Result is what came of a run.
type Result struct {
	Protocol    string           `json:"protocol"`
	Sessions    int              `json:"sessions"`
	Sizes       []int            `json:"sizes"`
	Seconds     float64          `json:"seconds"`  // from the first connect to the last reply
	Messages    int64            `json:"messages"` // answered 250 for at least one recipient
	Recipients  int64            `json:"recipients"`
	Rate        float64          `json:"messages_per_second"`
	Data        Latency          `json:"data"`        // from the first byte of the message to the reply to its end
	Transaction Latency          `json:"transaction"` // from MAIL to that reply
	Connections int64            `json:"connections"`
	Failed      int64            `json:"failed"`
	Uncertain   int64            `json:"uncertain"` // deliveries whose reply never came: they may or may not have been taken
	Errors      map[string]int64 `json:"errors,omitempty"`
	Server      *gauge.Usage     `json:"server,omitempty"` // of Config.ServerPIDs

	Start    time.Time `json:"-"`
	Accepted []int64   `json:"-"` // deliveries promised to each of Config.Recipients
}

func (r *recorder) result(c *Config, start time.Time, took time.Duration) Result {
	res := Result{
		Protocol: "smtp", Sessions: c.Sessions, Sizes: c.Sizes, Seconds: took.Seconds(), Start: start,
		Messages: r.messages.Load(), Data: r.data.Latency(), Transaction: r.transaction.Latency(),
		Connections: r.connections.Load(), Failed: r.failed.Load(), Uncertain: r.uncertain.Load(),
		Errors: map[string]int64{}, Accepted: make([]int64, len(r.accepted)),
	}
	if c.LMTP {
		res.Protocol = "lmtp"
	}
	for i := range r.accepted {
		res.Accepted[i] = r.accepted[i].Load()
		res.Recipients += res.Accepted[i]
	}
	if took > 0 {
		res.Rate = float64(res.Messages) / took.Seconds()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, v := range r.errors {
		res.Errors[k] = v
	}
	return res
}

// Grouped writes 1234567 as 1,234,567.
func Grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
