package destinations

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/plot"
)

const page = "../../../docs/benchmarks-destinations"

// report writes the plot and the page.
func report(t *testing.T, long time.Duration, calm, trouble outcome) {
	t.Helper()
	rows := []struct {
		name  string
		group int
		took  []time.Duration
	}{
		{"healthy", 0, calm.took[healthy]}, {"healthy", 1, trouble.took[healthy]}, {"slow", 1, trouble.took[slow]},
	}
	chart := plot.Chart{Title: "200 destinations: from submission to arrival, p50 to p99", Unit: "milliseconds, logarithmic (further left is better)", Log: true,
		Groups: []plot.Group{{Title: "all 200 healthy"}, {Title: "20 dead, 20 slow, 160 healthy"}}}
	var table strings.Builder
	table.WriteString("| destinations | messages | p50 ms | p90 ms | p99 ms | longest ms |\n|---|--:|--:|--:|--:|--:|\n")
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	for _, r := range rows {
		q := quantiles(r.took)
		chart.Groups[r.group].Rows = append(chart.Groups[r.group].Rows, plot.Row{Name: r.name, Value: ms(q.p50), To: ms(q.p99), Accent: r.name == "healthy"})
		fmt.Fprintf(&table, "| %s, %s | %d | %.1f | %.1f | %.1f | %.1f |\n", r.name, chart.Groups[r.group].Title, len(r.took), ms(q.p50), ms(q.p90), ms(q.p99), ms(q.most))
	}
	text := fmt.Sprintf(`# Destinations do not notice each other

Written by %s.

![%s](benchmarks-destinations.svg)

%s
%d messages a second over %d sessions for %.0f s, each to the next of %d destinations. Each destination has a domain, a mail exchanger and
an address of its own. Of the dead, half refuse connections, and half take them and never say a word. The slow ones take %v for each
reply. Postrider is as quickstart starts it; only the DNS and the port of the other side are the test's. Every message for a healthy or
slow destination arrived; that for the dead ones stays deferred. Times run from the first byte of the message at submission until the
destination has all of it.
`, "`go test ./test/bench/destinations -write`", chart.Title, table.String(), rate, senders, long.Seconds(), destinations, slowReply)
	for file, content := range map[string]string{page + ".svg": chart.SVG(), page + ".md": text} {
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
