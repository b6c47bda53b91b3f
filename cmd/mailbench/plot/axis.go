package plot

import (
	"math"
	"strconv"
	"strings"
)

// axis places values between 0 and 1.
type axis struct {
	low, high float64
	log       bool
	ticks     []float64
}

const wantTicks = 5

func newAxis(c *Chart) axis {
	low, high, ok := c.span()
	if !ok {
		low, high = 1, 1
	}
	if c.Log {
		return logAxis(low, high)
	}
	return linearAxis(high)
}

// linearAxis goes from zero to the first tick that is not less than high.
func linearAxis(high float64) axis {
	raw := high / wantTicks
	unit := math.Pow(10, math.Floor(math.Log10(raw)))
	step := 10 * unit
	for _, s := range []float64{1, 2, 5} {
		if s*unit >= raw*(1-1e-9) {
			step = s * unit
			break
		}
	}
	a := axis{}
	for i := 0; ; i++ {
		v := float64(i) * step
		a.ticks, a.high = append(a.ticks, v), v
		if v >= high*(1-1e-9) && i > 0 {
			return a
		}
	}
}

// logAxis goes from one of 1, 2, 5 × 10ⁿ to another; with many decades only the powers of ten have ticks.
func logAxis(low, high float64) axis {
	decades := math.Log10(high / low)
	steps := []float64{1, 2, 5}
	if decades > 3 {
		steps = steps[:1]
	}
	a := axis{log: true}
	for n := math.Floor(math.Log10(low)); ; n++ {
		for _, s := range steps {
			v := s * math.Pow(10, n)
			if v <= low*(1+1e-9) {
				a.ticks = a.ticks[:0] // the last one not above low is the first tick
			}
			a.ticks = append(a.ticks, v)
			if v >= high*(1-1e-9) && len(a.ticks) > 1 {
				a.low, a.high = a.ticks[0], v
				return a
			}
		}
	}
}

func (a axis) at(v float64) float64 {
	if a.log {
		return math.Log(v/a.low) / math.Log(a.high/a.low)
	}
	return v / a.high
}

// format writes a number with three digits that mean something, and thousands apart.
func format(v float64) string {
	decimals := 0
	if v > 0 && v < 100 {
		decimals = max(0, 2-int(math.Floor(math.Log10(v))))
	}
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	whole, rest, dot := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if dot {
		whole += "." + rest
	}
	return whole
}
