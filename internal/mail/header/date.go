package header

import (
	"strconv"
	"strings"
	"time"
)

// FormatDate writes date-time of RFC 5322 §3.3.
func FormatDate(t time.Time) string { return t.Format("Mon, 02 Jan 2006 15:04:05 -0700") }

// ParseDate reads date-time of RFC 5322 §3.3 with the obsolete forms of §4.3 and what else occurs: no day of week, no
// seconds, the order of asctime, dashes, a missing or unknown zone (taken for +0000). The zone of the result is the one
// written, since IMAP's SENTON looks at the date as written.
func ParseDate(value string) (time.Time, bool) {
	var d dateParts
	d.day, d.month, d.year, d.hour = -1, -1, -1, -1
	for i := 0; i < len(value) && i < maxLine; {
		if i = skipCFWS(value, i); i == len(value) {
			break
		}
		j := i
		for j < len(value) && strings.IndexByte(" \t\r\n,(", value[j]) < 0 {
			j++
		}
		if j == i { // a comma
			i++
			continue
		}
		for word := range splitDashes(value[i:j], d.hour >= 0) {
			if !d.take(word) {
				return time.Time{}, false
			}
		}
		i = j
	}
	return d.time()
}

type dateParts struct {
	day, month, year     int
	hour, minute, second int
	offset               int // seconds
	zoned                bool
}

// splitDashes gives "02-Jan-2006" as three words; after the time a dash is the sign of a zone.
func splitDashes(word string, timeSeen bool) func(func(string) bool) {
	return func(yield func(string) bool) {
		if timeSeen || strings.Count(word, "-") != 2 {
			yield(word)
			return
		}
		for part := range strings.SplitSeq(word, "-") {
			if !yield(part) {
				return
			}
		}
	}
}

// take puts one word where it belongs. Unknown letters are a zone after the time, a day of week before it.
func (d *dateParts) take(word string) bool {
	switch {
	case word == "": // between two dashes
		return true
	case word[0] == '+' || word[0] == '-':
		return d.takeOffset(word)
	case strings.IndexByte(word, ':') >= 0:
		return d.takeTime(word)
	case '0' <= word[0] && word[0] <= '9':
		return d.takeNumber(word)
	}
	if m := monthOf(word); m > 0 && d.month < 0 {
		d.month = m
	} else if d.hour >= 0 && !d.zoned {
		d.offset, d.zoned = namedZone(word), true
	}
	return true
}

func (d *dateParts) takeNumber(word string) bool {
	n, err := strconv.Atoi(word)
	if err != nil || len(word) > 5 {
		return d.hour >= 0 && d.year >= 0 // rubbish after a whole date
	}
	switch {
	case d.day < 0 && len(word) <= 2:
		d.day = n
	case d.year < 0:
		d.year = n
		// RFC 5322 §4.3.
		if len(word) <= 2 && n < 50 {
			d.year += 2000
		} else if len(word) <= 3 {
			d.year += 1900
		}
	}
	return true
}

func (d *dateParts) takeTime(word string) bool {
	if d.hour >= 0 {
		return true
	}
	// A zone may be glued to the time: "10:20:30+0200".
	if i := strings.IndexAny(word, "+-"); i > 0 {
		if !d.takeOffset(word[i:]) {
			return false
		}
		word = word[:i]
	}
	parts := strings.SplitN(word, ":", 4)
	nums := [3]int{}
	for i, p := range parts {
		p, _, _ = strings.Cut(p, ".") // fractions of seconds
		n, err := strconv.ParseUint(p, 10, 8)
		if err != nil || i == len(nums) {
			return false
		}
		nums[i] = int(n)
	}
	d.hour, d.minute, d.second = nums[0], nums[1], nums[2]
	return true
}

func (d *dateParts) takeOffset(word string) bool {
	digits := strings.Replace(word[1:], ":", "", 1)
	n, err := strconv.ParseUint(digits, 10, 16)
	if d.zoned || err != nil {
		return d.hour >= 0
	}
	if len(digits) <= 2 {
		n *= 100
	}
	if n%100 > 59 || n > 2359 {
		n = 0
	}
	d.offset, d.zoned = int(n/100*3600+n%100*60), true
	if word[0] == '-' {
		d.offset = -d.offset
	}
	return true
}

func (d *dateParts) time() (time.Time, bool) {
	if d.hour < 0 {
		d.hour = 0
	}
	if d.day < 1 || d.day > 31 || d.month < 1 || d.year < 1900 || d.year > 9999 || d.hour > 23 || d.minute > 59 || d.second > 60 {
		return time.Time{}, false
	}
	zone := time.UTC
	if d.offset != 0 {
		zone = time.FixedZone("", d.offset)
	}
	t := time.Date(d.year, time.Month(d.month), d.day, d.hour, d.minute, d.second, 0, zone)
	if t.Day() != d.day && d.second < 60 { // 31 February
		return time.Time{}, false
	}
	return t, true
}

func monthOf(word string) int {
	if len(word) < 3 {
		return 0
	}
	i := strings.Index("janfebmaraprmayjunjulaugsepoctnovdec", strings.ToLower(word[:3]))
	if i < 0 || i%3 != 0 {
		return 0
	}
	return i/3 + 1
}

// namedZone gives the seconds of the zones of RFC 5322 §4.3 and a few common ones; all others are +0000, as it says.
func namedZone(word string) int {
	word = strings.ToUpper(word)
	if rest, ok := strings.CutPrefix(word, "GMT"); ok && len(rest) > 1 && (rest[0] == '+' || rest[0] == '-') {
		d := dateParts{hour: 0}
		d.takeOffset(rest)
		return d.offset
	}
	const hour = 3600
	switch word {
	case "EDT":
		return -4 * hour
	case "EST", "CDT":
		return -5 * hour
	case "CST", "MDT":
		return -6 * hour
	case "MST", "PDT":
		return -7 * hour
	case "PST":
		return -8 * hour
	case "CET", "MEZ", "BST":
		return hour
	case "CEST", "MESZ", "EET":
		return 2 * hour
	case "JST":
		return 9 * hour
	}
	return 0
}
