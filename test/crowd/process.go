package crowd

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
)

// Process is a running server as /proc shows it.
type Process int

// status returns a figure of /proc/PID/status that is in KiB, in bytes.
func (p Process) status(t testing.TB, name string) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatalf("no %s in /proc/%d/status", name, p)
	return 0
}

// Resident is the memory that the process holds, in bytes.
func (p Process) Resident(t testing.TB) int64 { return p.status(t, "VmRSS") }

// Peak is the most that it has held since it began, or since ForgetPeak.
func (p Process) Peak(t testing.TB) int64 { return p.status(t, "VmHWM") }

// ForgetPeak begins a new peak, where the kernel allows it.
func (p Process) ForgetPeak() {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p), []byte("5"), 0)
}

// Files is the number of descriptors that it has open.
func (p Process) Files(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// Metrics are the server's own figures, by name with labels.
func Metrics(t testing.TB, address string) map[string]float64 {
	t.Helper()
	r, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	out := map[string]float64{}
	lines := bufio.NewScanner(r.Body)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if n, err := strconv.ParseFloat(value, 64); ok && err == nil {
			out[name] = n
		}
	}
	if err := lines.Err(); err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("metrics: %s, %v", r.Status, err)
	}
	return out
}
