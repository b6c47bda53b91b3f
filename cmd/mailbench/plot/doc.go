// Package plot draws bar and range charts as SVG 1.1, readable on light and dark pages, with no script, no font of its
// own and nothing fetched from elsewhere.
//
// It never decides what to show: values, names and their order are the caller's. The same chart always gives the same
// bytes. Files: chart.go (what to draw), axis.go (where ticks stand), svg.go (the drawing).
//
// Failure contract: there are no errors. A value that is not a finite positive number is left out and its row says "–".
package plot
