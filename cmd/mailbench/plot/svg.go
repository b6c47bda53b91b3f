package plot

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// The page, in pixels.
const (
	width     = 860
	names     = 300 // for the names of rows
	values    = 120 // for the numbers right of the drawing
	margin    = 16
	titleRow  = 34
	groupRow  = 30
	barRow    = 24
	bar       = 14
	axisRow   = 44
	drawn     = width - names - values
	colour    = "#0b6e4f"
	otherOnes = "#8a8f98"
	ink       = "#1f2328"
	faint     = "#d8dbe0"
)

// drawing gathers SVG.
type drawing struct{ strings.Builder }

func (d *drawing) say(format string, args ...any) { fmt.Fprintf(d, format+"\n", args...) }

func (d *drawing) text(x, y float64, anchor, style, s string) {
	d.WriteString(fmt.Sprintf(`<text x="%.1f" y="%.1f" text-anchor="%s"%s>`, x, y, anchor, style))
	xml.EscapeText(d, []byte(s)) // a strings.Builder takes everything
	d.WriteString("</text>\n")
}

const bold = ` font-weight="bold"`

// SVG draws the chart.
func (c Chart) SVG() string {
	rows := 0
	for _, g := range c.Groups {
		rows += groupRow + barRow*len(g.Rows)
	}
	height := titleRow + rows + axisRow
	d := &drawing{}
	d.say(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" font-family="sans-serif" font-size="12" fill="%s">`,
		width, height, width, height, ink)
	d.WriteString("<title>")
	xml.EscapeText(d, []byte(c.Title))
	d.say("</title>")
	d.say(`<rect width="%d" height="%d" fill="#ffffff"/>`, width, height)
	d.text(margin, 22, "start", bold+` font-size="15"`, c.Title)
	a := newAxis(&c)
	c.grid(d, a, titleRow+rows)
	y := float64(titleRow)
	for _, g := range c.Groups {
		d.text(margin, y+20, "start", bold, g.Title)
		y += groupRow
		for _, r := range g.Rows {
			r.draw(d, a, y)
			y += barRow
		}
	}
	d.say("</svg>")
	return d.String()
}

// grid draws a faint line for each tick, down to bottom, with its number below.
func (c *Chart) grid(d *drawing, a axis, bottom int) {
	for _, tick := range a.ticks {
		x := names + drawn*a.at(tick)
		d.say(`<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s"/>`, x, titleRow, x, bottom, faint)
		d.text(x, float64(bottom)+15, "middle", "", format(tick))
	}
	d.text(names+drawn/2, float64(bottom)+34, "middle", "", c.Unit)
}

func (r Row) draw(d *drawing, a axis, y float64) {
	fill, style := otherOnes, ""
	if r.Accent {
		fill, style = colour, bold
	}
	middle := y + barRow/2
	d.text(names-10, middle+4, "end", style, r.Name)
	if !r.drawable() {
		d.text(names+6, middle+4, "start", "", "–")
		return
	}
	x := names + drawn*a.at(r.Value)
	if !r.ranged() {
		if a.log {
			d.say(`<circle cx="%.1f" cy="%.1f" r="5" fill="%s"/>`, x, middle, fill)
		} else {
			d.say(`<rect x="%d" y="%.1f" width="%.1f" height="%d" fill="%s"/>`, names, middle-bar/2, x-names, bar, fill)
		}
		d.text(x+10, middle+4, "start", style, format(r.Value))
		return
	}
	to := names + drawn*a.at(r.To)
	d.say(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="4"/>`, x, middle, to, middle, fill)
	for _, at := range []float64{x, to} {
		d.say(`<circle cx="%.1f" cy="%.1f" r="5" fill="%s"/>`, at, middle, fill)
	}
	d.text(to+10, middle+4, "start", style, format(r.Value)+" – "+format(r.To))
}
