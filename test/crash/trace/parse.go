package trace

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// MaxLine bounds one line: the 16 MiB that Options lets a string have, at four
// characters a byte, twice.
const MaxLine = 128 << 20

const unfinished = " <unfinished ...>"

type pending struct {
	line int64
	text string
}

// Parse reads a trace and calls emit for each event in the order of its return;
// calls that never returned come last. Memory is bounded by the longest line
// and one unfinished call a thread; what is kept of the events is emit's choice.
func Parse(r io.Reader, emit func(Event) error) error {
	br := bufio.NewReaderSize(r, 1<<16)
	open := map[int]pending{}
	var order []int // threads in order of their unfinished calls, for a stable end
	for n := int64(1); ; n++ {
		line, err := readLine(br)
		if err == io.EOF {
			break
		}
		if err == nil {
			err = parseLine(n, line, open, &order, emit)
		}
		if err != nil {
			return fmt.Errorf("trace line %d: %w", n, err)
		}
	}
	for _, pid := range order {
		if p, ok := open[pid]; ok {
			delete(open, pid)
			if err := emitCut(p, pid, emit); err != nil {
				return fmt.Errorf("trace line %d: %w", p.line, err)
			}
		}
	}
	return nil
}

// readLine returns a line without its end. A last line without newline is one
// that strace was still writing: nothing that it says has happened for sure,
// so it is left out.
func readLine(br *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		part, err := br.ReadSlice('\n')
		if b.Len()+len(part) > MaxLine {
			return "", errors.New("line too long")
		}
		b.Write(part)
		if err == nil {
			return strings.TrimSuffix(b.String(), "\n"), nil
		}
		if err != bufio.ErrBufferFull {
			return "", err
		}
	}
}

func parseLine(n int64, line string, open map[int]pending, order *[]int, emit func(Event) error) error {
	pid, text, err := head(line)
	if err != nil {
		return err
	}
	switch {
	case strings.HasPrefix(text, "--- "), strings.HasPrefix(text, "+++ "):
		return nil // a signal, an end
	case strings.HasPrefix(text, "<... "):
		_, after, ok := strings.Cut(text, " resumed>")
		p, begun := open[pid]
		if !ok || !begun {
			return fmt.Errorf("resumed call of %d was never begun", pid)
		}
		delete(open, pid)
		return emitCall(p.line, n, pid, p.text+after, emit)
	case strings.HasSuffix(text, unfinished):
		if _, begun := open[pid]; begun {
			return fmt.Errorf("thread %d has two calls open", pid)
		}
		open[pid] = pending{n, strings.TrimSuffix(text, unfinished)}
		*order = append(*order, pid)
		return nil
	}
	return emitCall(n, n, pid, text, emit)
}

// head takes "PID TIME" off a line.
func head(line string) (pid int, text string, err error) {
	num, rest, _ := strings.Cut(line, " ")
	if pid, err = strconv.Atoi(num); err != nil || pid <= 0 {
		return 0, "", fmt.Errorf("no process id: %.40q", line)
	}
	at, text, ok := strings.Cut(strings.TrimLeft(rest, " "), " ")
	if !ok || strings.Trim(at, "0123456789.") != "" {
		return 0, "", fmt.Errorf("no time: %.40q", line)
	}
	return pid, text, nil
}

func emitCall(begin, end int64, pid int, text string, emit func(Event) error) error {
	name, rest, ok := strings.Cut(text, "(")
	if !ok {
		return fmt.Errorf("no call: %.40q", text)
	}
	args, rest, err := splitArgs(rest)
	if err != nil {
		return err
	}
	rest, ok = strings.CutPrefix(strings.TrimLeft(rest, " "), "= ")
	if !ok {
		return fmt.Errorf("%s: no result: %.40q", name, rest)
	}
	e := Event{Begin: begin, End: end, PID: pid, Call: name, FD: -1, Offset: -1, Result: -1}
	if strings.HasPrefix(rest, "?") {
		e.End = Never
	}
	return interpret(&e, args, rest, emit)
}

// emitCut reports a call of which only the beginning is known. What strace had
// not yet written of its arguments (outputs only) is gone.
func emitCut(p pending, pid int, emit func(Event) error) error {
	name, rest, ok := strings.Cut(p.text, "(")
	if !ok {
		return fmt.Errorf("no call: %.40q", p.text)
	}
	args, _, err := splitArgs(strings.TrimSuffix(strings.TrimRight(rest, " "), ",") + ")")
	if err != nil {
		return err
	}
	e := Event{Begin: p.line, End: Never, PID: pid, Call: name, FD: -1, Offset: -1, Result: -1}
	return interpret(&e, args, "?", emit)
}
