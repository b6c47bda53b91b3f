package plot

import "math"

// Chart has rows in groups, all on one axis.
type Chart struct {
	Title  string
	Unit   string // of the axis: "messages a second"
	Log    bool   // a logarithmic axis; only for ranges, as a bar without zero means nothing
	Groups []Group
}

// Group is rows under a heading.
type Group struct {
	Title string
	Rows  []Row
}

// Row is a bar from zero to Value or, if To is larger than Value, a range with a dot at both ends.
type Row struct {
	Name   string
	Value  float64
	To     float64
	Accent bool // the one that the chart is about
}

func (r Row) drawable() bool { return finite(r.Value) }

func (r Row) ranged() bool { return finite(r.To) && r.To > r.Value }

func (r Row) end() float64 {
	if r.ranged() {
		return r.To
	}
	return r.Value
}

func finite(v float64) bool { return v > 0 && !math.IsInf(v, 0) && !math.IsNaN(v) }

// span returns the smallest and largest value that is drawn; ok is false if there is none.
func (c *Chart) span() (low, high float64, ok bool) {
	low = math.Inf(1)
	for _, g := range c.Groups {
		for _, r := range g.Rows {
			if r.drawable() {
				low, high, ok = min(low, r.Value), max(high, r.end()), true
			}
		}
	}
	return low, high, ok
}
