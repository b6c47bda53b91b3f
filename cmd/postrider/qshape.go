package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/admin"
)

// qshape is the command of that name that comes with Postfix: how many recipients wait for which domain, by their age.
// docs/postfix-commands.md has what differs.
func qshape(a *app, args []string) int {
	p := &postfixTool{app: a, name: "qshape", code: 255}
	s, err := p.shape(args)
	if err == nil {
		err = p.operateQueue(s.count)
	}
	if err == nil {
		err = s.write()
	}
	var misused *usageError
	if errors.As(err, &misused) {
		fmt.Fprint(p.stderr, misused.text)
		return p.code
	}
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(p.stderr, "qshape: %s\n", plain(strings.TrimSuffix(line, "\n")))
		}
		return p.code
	}
	return 0
}

const qshapeUsage = `Usage: qshape [ -s ] [ -p ] [ -m <min_subdomains> ] [ -l ]
	[ -b <bucket_count> ] [ -t <bucket_time> ] [ -w <terminal_width> ]
	[ -N <batch_msg_count> ] [ -n <batch_top_domains> ]
	[ -c <config_directory> ] [ <queue_name> ... ]
-s counts senders' domains, the others recipients'.
-p counts parent domains too, with a dot in front: those of min_subdomains (5)
domains or more, and no top level domains.
The ages of the columns double, beginning at bucket_time (5) minutes; with -l
they are multiples of it. The last column is what is older.
Queues are incoming, active, deferred and hold; unless some are named, it is
the first two.
`

// shape is what qshape counts.
type shape struct {
	tool    *postfixTool
	senders bool // -s
	parents bool // -p
	linear  bool // -l
	buckets int  // -b, with the last one
	tick    int  // -t, minutes
	width   int  // -w
	least   int  // -m
	top     int  // -n; 0: all
	states  []string
	now     time.Time

	domains  map[string][]int // by domain: all, then by age
	children map[string]int   // by parent: how many domains right below it
	total    []int
}

func (p *postfixTool) shape(args []string) (*shape, error) {
	options, queues, err := p.options(args, "lhc:psw:b:t:m:n:N:")
	if err != nil {
		return nil, &usageError{qshapeUsage}
	}
	s := &shape{tool: p, buckets: 10, tick: 5, width: 80, least: 5, now: time.Now(), domains: map[string][]int{}, children: map[string]int{}}
	if p.terminal() {
		s.top = 20
	}
	for _, o := range options {
		n, _ := strconv.Atoi(o.value) // what is no number is as if it was not said
		switch o.letter {
		case 'h':
			return nil, &usageError{qshapeUsage}
		case 's':
			s.senders = true
		case 'p':
			s.parents = true
		case 'l':
			s.linear = true
		case 'b':
			s.buckets = orElse(n > 0 && n <= maxBuckets, n, s.buckets)
		case 't':
			s.tick = orElse(n > 0 && n <= math.MaxInt32, n, s.tick)
		case 'w':
			s.width = orElse(n > 80 && n <= math.MaxInt16, n, s.width)
		case 'm':
			s.least = orElse(n > 0, n, s.least)
		case 'n':
			if p.terminal() {
				s.top = orElse(n >= 0, n, s.top)
			}
		}
	}
	if len(queues) == 0 {
		queues = []string{"incoming", "active"}
	}
	for _, name := range queues {
		state, ok := queueState(name)
		if !ok {
			fmt.Fprintf(p.stderr, "Can't stat %s: No such file or directory\n", plain(name))
		}
		if state != "" {
			s.states = append(s.states, state)
		}
	}
	s.total = make([]int, s.buckets+1)
	return s, p.place(options)
}

// maxBuckets bounds -b: the ages of 40 doublings are thousands of years.
const maxBuckets = 40

func orElse(ok bool, n, otherwise int) int {
	if ok {
		return n
	}
	return otherwise
}

func (s *shape) count(ctx context.Context, api admin.API) error {
	if len(s.states) == 0 {
		return nil
	}
	return api.Queue(ctx, admin.JobFilter{States: s.states}, func(j admin.Job) error {
		b := s.bucket(s.now.Sub(j.Arrival))
		if s.senders {
			s.add(j.Sender, b)
			return nil
		}
		for _, r := range j.Recipients {
			s.add(r.Address, b)
		}
		return nil
	})
}

// bucket is the column of an age, from 1.
func (s *shape) bucket(age time.Duration) int {
	n := age.Minutes() / float64(s.tick)
	switch {
	case n < 1:
		return 1
	case s.linear:
		return int(min(n+1, float64(s.buckets)))
	}
	return int(min(2+math.Floor(math.Log2(n)), float64(s.buckets)))
}

// add counts an address for its domain, and for the parents of that.
func (s *shape) add(addr string, bucket int) {
	s.total[0]++
	s.total[bucket]++
	domain := "MAILER-DAEMON"
	if addr != "" {
		domain = strings.Trim(strings.ToLower(addr[strings.LastIndexByte(addr, '@')+1:]), ".")
	}
	isNew := s.one(domain, bucket)
	for s.parents {
		_, parent, ok := strings.Cut(strings.TrimPrefix(domain, "."), ".")
		if !ok || !strings.Contains(parent, ".") {
			return
		}
		domain = "." + parent
		if isNew {
			s.children[domain]++
		}
		isNew = s.one(domain, bucket)
	}
}

// one counts for one name, and tells whether it is the first time.
func (s *shape) one(name string, bucket int) (isNew bool) {
	counts := s.domains[name]
	if counts == nil {
		counts, isNew = make([]int, s.buckets+1), true
		s.domains[name] = counts
	}
	counts[0]++
	counts[bucket]++
	return isNew
}

func (s *shape) write() error {
	heads, widths := s.columns()
	left := s.width
	for _, w := range widths {
		left -= w
	}
	left = max(left, 18)
	w := bufio.NewWriter(s.tool.stdout)
	line := func(name string, cells func(i int) string) {
		fmt.Fprintf(w, "%*s", left, shorten(plain(name), left))
		for i, width := range widths {
			fmt.Fprintf(w, "%*s", width, cells(i))
		}
		fmt.Fprintln(w)
	}
	numbers := func(counts []int) func(int) string { return func(i int) string { return strconv.Itoa(counts[i]) } }
	line("", func(i int) string { return heads[i] })
	line("TOTAL", numbers(s.total))
	names := slices.SortedFunc(maps.Keys(s.domains), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.domains[b][0], s.domains[a][0]), cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	})
	n := 1 // with TOTAL
	for _, name := range names {
		if strings.HasPrefix(name, ".") && s.children[name] < s.least {
			continue
		}
		if n++; s.top > 0 && n > s.top {
			break
		}
		line(name, numbers(s.domains[name]))
	}
	return w.Flush()
}

// columns are the heads, all and then the ages, and the widths that they and the largest numbers need.
func (s *shape) columns() (heads []string, widths []int) {
	age := 0
	for i := range s.total {
		head := strconv.Itoa(age)
		switch {
		case i == 0:
			head = "T"
		case i == s.buckets:
			head += "+"
		}
		heads = append(heads, head)
		widths = append(widths, max(3, 1+max(len(head), len(strconv.Itoa(s.total[i])))))
		if i+1 < s.buckets {
			age += orElse(age > 0 && !s.linear, age, s.tick)
		}
	}
	return heads, widths
}

// shorten keeps the end of a name that is too long, behind a plus sign.
func shorten(name string, most int) string {
	switch {
	case len(name) <= most:
		return name
	case name[0] == '.':
		return ".+" + name[len(name)-most+2:]
	}
	return "+" + name[len(name)-most+1:]
}
