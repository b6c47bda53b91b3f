package node

import (
	"fmt"
	"testing"
)

// BenchmarkTraceCost is BenchmarkDelivery without and with a trace, in turn; docs/design/0021-trace.md has what it showed.
func BenchmarkTraceCost(b *testing.B) {
	for _, sessions := range []int{1, 50} {
		for _, kept := range []bool{false, true} {
			b.Run(fmt.Sprintf("sessions=%d/trace=%v", sessions, kept), func(b *testing.B) {
				benchmarkDelivery(b, &benchLoad{service: "smtp", sessions: sessions, recipients: 1, sets: []string{fmt.Sprintf("trace.enabled = %v", kept)}})
			})
		}
	}
}
