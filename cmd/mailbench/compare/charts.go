package compare

import (
	"github.com/postrider/postrider/cmd/mailbench/load"
	"github.com/postrider/postrider/cmd/mailbench/plot"
)

// Chart is one drawing of the report.
type Chart struct {
	Name string // of the file, after the report's own: "rate"
	plot.Chart
}

// Charts draws the medians of all systems: how many messages they deliver, and how long they let a sender wait.
func (o *Outcome) Charts() []Chart {
	rate := plot.Chart{Title: "SMTP to mailbox, " + load.Grouped(int64(o.Size)) + " bytes", Unit: "messages a second in mailboxes (longer is better)"}
	wait := plot.Chart{Title: "From the message to its reply: p50 to p99", Unit: "milliseconds, logarithmic (further left is better)", Log: true}
	for i, sessions := range o.Sessions {
		title := plural(sessions, "session")
		rate.Groups = append(rate.Groups, plot.Group{Title: title})
		wait.Groups = append(wait.Groups, plot.Group{Title: title})
		for place, system := range o.Systems {
			r := o.summarize(system, sessions)
			rate.Groups[i].Rows = append(rate.Groups[i].Rows, plot.Row{Name: system, Value: r.rate, Accent: place == 0})
			wait.Groups[i].Rows = append(wait.Groups[i].Rows, plot.Row{Name: system, Value: r.p50, To: r.p99, Accent: place == 0})
		}
	}
	if len(o.Sessions) == 0 {
		return nil
	}
	return []Chart{{"rate", rate}, {"latency", wait}}
}

// plots shows the drawings that stand beside the report, if there are any.
func (o *Outcome) plots(p *page) {
	if len(o.Plots) == 0 {
		return
	}
	for i, c := range o.Charts() {
		if i < len(o.Plots) {
			p.say("![%s](%s)\n", c.Title, o.Plots[i])
		}
	}
}
