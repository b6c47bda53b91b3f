package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/admin"
)

// oneMessage is an API that has one message.
type oneMessage struct {
	admin.API
	text []byte
}

func (a oneMessage) JobMessage(context.Context, string) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(a.text)), nil
}

// FuzzPostcat: header and body are the message, line by line; -h and -b are its two parts; places only grow.
func FuzzPostcat(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		show := func(c *cat) string {
			var b bytes.Buffer
			c.w, c.app = bufio.NewWriter(&b), &app{stdout: os.Stdout, stderr: io.Discard}
			if err := c.message(t.Context(), oneMessage{text: text}, "id"); err != nil {
				t.Fatal(err)
			}
			if err := c.w.Flush(); err != nil {
				t.Fatal(err)
			}
			return b.String()
		}
		var want strings.Builder
		for line := range bytes.Lines(text) {
			want.Write(bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")))
			want.WriteByte('\n')
		}
		all := &cat{header: true, body: true}
		if got := show(all); got != want.String() {
			t.Fatalf("%q, want %q", got, want.String())
		}
		if got := show(&cat{header: true}) + show(&cat{body: true}); got != want.String() {
			t.Fatalf("header and body are %q, want %q", got, want.String())
		}
		if most := int64(len(text)) * 4; all.offset > most {
			t.Fatalf("%d bytes in a file for a message of %d", all.offset, len(text))
		}
	})
}

func TestQshape(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration, sender string, to ...string) admin.Job {
		j := admin.Job{State: "deferred", Arrival: now.Add(-d), Sender: sender}
		for _, a := range to {
			j.Recipients = append(j.Recipients, admin.Recipient{Address: a})
		}
		return j
	}
	jobs := []admin.Job{
		ago(time.Minute, "a@x.example", "1@Far.example", "2@far.example."), ago(5*time.Minute, "", "3@far.example"),
		ago(21*time.Minute, "a@x.example", "4@a-host-of-a-very-long-name.sub.far.example"), ago(-time.Minute, "b@x.example", "5@b.sub.far.example"),
		ago(1000*time.Hour, "a@y.example", `"odd@name"@far.example`),
	}
	for args, want := range map[string]string{
		"-b 4 -t 5": `                                                                    T  5 10 20 20+
                                                             TOTAL  6  3  1  0   2
                                                       far.example  4  2  1  0   1
                                                 b.sub.far.example  1  1  0  0   0
                       a-host-of-a-very-long-name.sub.far.example  1  0  0  0   1
`,
		"-s -b 2": `                                                                          T  5  5+
                                                                   TOTAL  5  2   3
                                                               x.example  3  2   1
                                                               y.example  1  0   1
                                                           MAILER-DAEMON  1  0   1
`,
	} {
		got := written(t, func(a *app) error {
			p := &postfixTool{app: a, name: "qshape"}
			a.getenv = func(string) string { return "" }
			s, err := p.shape(append(strings.Fields(args), "deferred"))
			if err != nil {
				return err
			}
			s.now = now
			if err := s.count(t.Context(), jobsOnly{jobs: jobs}); err != nil {
				return err
			}
			return s.write()
		})
		if strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") || strings.Contains(got, " \n") {
			t.Errorf("%s\n%s\nwant\n%s", args, got, want)
		}
		for line := range strings.Lines(got) {
			if len(line) != 81 {
				t.Errorf("%s: a line of %d bytes: %s", args, len(line)-1, line)
			}
		}
	}
}

func TestGetopt(t *testing.T) {
	for line, want := range map[string]string{
		"-p": "p", "-vp": "v p", "-i ID": "i=ID", "-iID more": "i=ID more", "-vsSITE -f": "v s=SITE f", "-- -p": "-p", "-p -- -f": "p -f", "- -p": "- -p",
		"-x": "error", "-i": "error", "-pi": "error", "-:": "error", "": "",
	} {
		p := &postfixTool{app: &app{stderr: io.Discard}, name: "x", usage: "u"}
		options, operands, err := p.options(strings.Fields(line), "c:fi:jps:v")
		var words []string
		for _, o := range options {
			word := string(o.letter)
			if o.value != "" {
				word += "=" + o.value
			}
			words = append(words, word)
		}
		got := strings.Join(append(words, operands...), " ")
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}
