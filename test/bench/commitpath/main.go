package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// bench is the command line and what the runs have in common.
type bench struct {
	load
	set, only, profile string
	counts             []int
	pairs              int
	seq                int
	kept               []result
	discarded          int
	verbose            bool
	disk               *leveller
	begun              time.Time
}

func main() {
	b := bench{begun: time.Now()}
	var sessions string
	var seconds float64
	flag.Float64Var(&seconds, "seconds", 2, "length of a run")
	flag.StringVar(&sessions, "sessions", "1,50", "closed-loop sessions, one table each")
	flag.IntVar(&b.pairs, "pairs", 3, "rounds, A B A B: each runs every shape once (one round fewer for -set tune)")
	flag.StringVar(&b.dir, "dir", "", "directory on the disk to measure (default: for temporary files if on the disk of the working directory, else that)")
	flag.StringVar(&b.set, "set", "main", "main: the opponents; tune: ways to build the journal; all: both")
	flag.StringVar(&b.only, "only", "", "run only these shapes, comma-separated")
	flag.IntVar(&b.accounts, "accounts", 50, "mailboxes that the messages go round")
	flag.IntVar(&b.pageSize, "page-size", 4096, "of the database")
	flag.StringVar(&b.profile, "cpuprofile", "", "write a CPU profile of all runs")
	flag.BoolVar(&b.verbose, "v", false, "print every run")
	flag.Parse()
	b.spend = time.Duration(seconds * float64(time.Second))
	for _, s := range strings.Split(sessions, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			fatal(fmt.Errorf("-sessions: %q is not a number of sessions", s))
		}
		b.counts = append(b.counts, n)
	}
	if err := b.run(); err != nil {
		fatal(err)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "commitpath:", err)
	os.Exit(1)
}

func (b *bench) run() error {
	if b.dir == "" {
		b.dir = defaultDir()
	}
	dir, err := os.MkdirTemp(b.dir, "commitpath-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // only at the end: nothing is removed, and no block discarded, between runs
	b.dir = dir
	if err := realDisk(dir); err != nil {
		return err
	}
	if b.profile != "" {
		f, err := os.Create(b.profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer f.Close()
		defer pprof.StopCPUProfile()
	}
	fmt.Printf("%s, %d CPUs, %s a run, %d rounds, %d mailboxes, pages of %d; 10 KiB messages; ratios (×) are to the first line\n",
		runtime.Version(), runtime.NumCPU(), b.spend, b.pairs, b.accounts, b.pageSize)
	if b.disk, err = newLeveller(dir); err != nil {
		return err
	}
	defer b.disk.f.Close()
	if b.disk.limited {
		fmt.Println("the disk has a burst budget; it is spent before every run")
	}
	if b.set != "tune" {
		if err := b.compare("opponents", b.filter(mainShapes()), b.pairs); err != nil {
			return err
		}
	}
	if b.set != "main" {
		if err := b.compare("ways to build the journal", b.filter(tuneShapes()), max(1, b.pairs-1)); err != nil {
			return err
		}
	}
	if len(b.kept) > 0 {
		probes(os.Stdout, b.kept, b.discarded)
	}
	return nil
}

func (b *bench) filter(shapes []shape) []shape {
	if b.only == "" {
		return shapes
	}
	var out []shape
	for _, s := range shapes {
		for _, name := range strings.Split(b.only, ",") {
			if s.name == name {
				out = append(out, s)
			}
		}
	}
	return out
}

// compare prints one table for each number of sessions.
func (b *bench) compare(title string, shapes []shape, pairs int) error {
	if len(shapes) == 0 {
		return nil
	}
	fmt.Printf("\n== %s\n", title)
	for _, s := range shapes {
		fmt.Printf("%-9s %s\n", s.name, s.about)
	}
	for _, sessions := range b.counts {
		var rs rounds
		for range pairs {
			round := make([]*result, len(shapes))
			for i, s := range shapes {
				r, err := b.once(s, sessions)
				if err != nil {
					return err
				}
				round[i] = r
			}
			rs = append(rs, round)
		}
		if err := table(os.Stdout, shapes, sessions, rs); err != nil {
			return err
		}
	}
	return nil
}

// retryFor bounds the time that runs on an unsteady disk may cost.
const retryFor = 100 * time.Second

// once measures a shape, once more if the disk changed meanwhile; nil if it changed again.
func (b *bench) once(s shape, sessions int) (*result, error) {
	l := b.load
	l.sessions = sessions
	for try := range 2 {
		if try > 0 && time.Since(b.begun) > retryFor {
			break
		}
		b.seq++
		runtime.GC()
		r, err := measure(s, l, filepath.Join(b.dir, fmt.Sprintf("run%03d", b.seq)), b.disk)
		if err != nil {
			return nil, err
		}
		if b.verbose {
			fmt.Fprintf(os.Stderr, "%-9s %2d sessions %6.0f msg/s %4d µs CPU, p50 %v; probes %v %v, then %v %v\n",
				s.name, sessions, r.rate, r.cpu.Microseconds(), r.p50, r.probe.one, r.probe.fifty, r.after.one, r.after.fifty)
		}
		if !r.noisy {
			b.kept = append(b.kept, r)
			return &r, nil
		}
		b.discarded++
	}
	return nil, nil
}

// realDisk refuses a file system that keeps nothing through a power cut: its syncs cost nothing.
func realDisk(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return err
	}
	if st.Type == unix.TMPFS_MAGIC || st.Type == unix.RAMFS_MAGIC {
		return fmt.Errorf("%s is in memory; give -dir on a disk", dir)
	}
	return nil
}

func defaultDir() string {
	var here, temp unix.Stat_t
	if unix.Stat(".", &here) == nil && unix.Stat(os.TempDir(), &temp) == nil && here.Dev == temp.Dev {
		return os.TempDir()
	}
	return "."
}
