package plot

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
)

// shapes reads an SVG and returns the attributes of its elements of one name, and all its text.
func shapes(t *testing.T, svg, name string) (found []map[string]string, text string) {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(svg))
	for {
		tok, err := dec.Token()
		if err == io.EOF {
			return found, text
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if tok.Name.Local == name {
				attr := map[string]string{}
				for _, a := range tok.Attr {
					attr[a.Name.Local] = a.Value
				}
				found = append(found, attr)
			}
		case xml.CharData:
			text += string(tok)
		}
	}
}

func TestBarsAreAsLongAsTheirValues(t *testing.T) {
	c := Chart{Title: `a <b> & "c"`, Unit: "messages a second", Groups: []Group{
		{"1 session", []Row{{Name: "ours", Value: 500, Accent: true}, {Name: "<peer>", Value: 125}}},
		{"50 sessions", []Row{{Name: "ours", Value: 1000}, {Name: "failed", Value: math.NaN()}}},
	}}
	bars, text := shapes(t, c.SVG(), "rect")
	if len(bars) != 4 { // and the background
		t.Fatalf("%d rectangles", len(bars))
	}
	for i, share := range []float64{0.5, 0.125, 1} { // the axis ends at 1,000
		if want := fmt.Sprintf("%.1f", share*drawn); bars[i+1]["width"] != want {
			t.Errorf("bar %d: %s, want %s", i, bars[i+1]["width"], want)
		}
	}
	for _, want := range []string{`a <b> & "c"`, "<peer>", "1,000", "messages a second", "–", "50 sessions"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %q", want, text)
		}
	}
	if first, second := c.SVG(), c.SVG(); first != second || strings.Contains(first, "NaN") {
		t.Error("not the same twice, or not a number")
	}
}

func TestRangesStandOnALogarithmicAxis(t *testing.T) {
	c := Chart{Title: "latency", Unit: "ms", Log: true, Groups: []Group{{"x", []Row{{Name: "a", Value: 1, To: 100}, {Name: "b", Value: 10}}}}}
	dots, text := shapes(t, c.SVG(), "circle")
	if len(dots) != 3 || dots[0]["cx"] != fmt.Sprintf("%.1f", float64(names)) || dots[1]["cx"] != fmt.Sprintf("%.1f", float64(names+drawn)) ||
		dots[2]["cx"] != fmt.Sprintf("%.1f", names+drawn/2.0) {
		t.Errorf("%v", dots)
	}
	if !strings.Contains(text, "1 – 100") {
		t.Error(text)
	}
}

func TestAxesHoldAllValuesAndFewTicks(t *testing.T) {
	for v := 0.0001; v < 1e9; v *= 1.7 {
		a := linearAxis(v)
		if len(a.ticks) < 2 || len(a.ticks) > 8 || a.at(v) > 1.0001 || a.at(v) < 0.5 {
			t.Errorf("linear %g: %v", v, a.ticks)
		}
		for _, factor := range []float64{1, 1.5, 30, 2000, 1e6} {
			a := logAxis(v, v*factor)
			if len(a.ticks) < 2 || len(a.ticks) > 12 || a.at(v) < -0.0001 || a.at(v*factor) > 1.0001 {
				t.Errorf("logarithmic %g to %g: %v", v, v*factor, a.ticks)
			}
		}
	}
}

func TestAChartOfNothingIsStillOne(t *testing.T) {
	for _, log := range []bool{false, true} {
		shapes(t, Chart{Title: "nothing", Log: log, Groups: []Group{{"x", []Row{{Name: "a"}, {Name: "b", Value: math.Inf(1)}}}}}.SVG(), "rect")
	}
}

func TestNumbersAreWrittenForPeople(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.4: "0.4", 0.123456: "0.123", 1.5: "1.5", 21.63: "21.6", 123.4: "123", 4947: "4,947", 1234567: "1,234,567", 20: "20"} {
		if got := format(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}
