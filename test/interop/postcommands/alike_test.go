package postcommands

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// names are the messages of one system by their ids.
type names map[string]string

// name finds the ids of both queues' messages, by sender.
func name(list []queued) (byID names, byName map[string]string) {
	byID, byName = names{}, map[string]string{}
	for _, q := range list {
		n := "ID-" + strings.ReplaceAll(q.Sender, " ", "_")
		byID[q.ID], byName[n] = n, q.ID
	}
	return byID, byName
}

var (
	// What differs from one message to the other, whoever has it: times, sizes, ports.
	times  = regexp.MustCompile(`(Mon|Tue|Wed|Thu|Fri|Sat|Sun) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-9]\d \d\d:\d\d:\d\d( \d{4})?`)
	arrive = regexp.MustCompile(`"arrival_time": \d+, "message_size": \d+`)
	listed = regexp.MustCompile(`(?m)^(ID-\S+) +\d+ TIME`)
	total  = regexp.MustCompile(`-- \d+ Kbytes`)
	sizes  = regexp.MustCompile(`(message_size: ) +\d+ +\d+( +\d+) +\d+ +\d+( +\d+)`)
	ports  = regexp.MustCompile(`(client_port=|\[127\.0\.0\.1\]:)\d+`)
	folder = regexp.MustCompile(`deferred/[0-9A-F]/`)
	// Received is each system's own.
	received = regexp.MustCompile(`(?m)^((?:(?: *\d+ )|regular_text: )*)Received: .*\n(?:(?:(?: *\d+ )|regular_text: )*\t.*\n)+`)
	// Postfix tells the command that a host has answered; we keep the answer.
	inReply = regexp.MustCompile(` \(in reply to [^()]* command\)`)
	// Postfix's own attributes: the context of its rewriting, and the address that the client had connected to.
	own = regexp.MustCompile(`(?m)^.*named_attribute: (rewrite_context|server_address|server_port)=.*\n`)
	// Postfix looks at the text too.
	extracted = regexp.MustCompile(`(?m)^.*named_attribute: encoding=8bit\n(.*\*\*\* MESSAGE FILE END)`)
	// With -v Postfix tells of its start. postcat has the name by which it was called.
	start = regexp.MustCompile(`(?m)^(/\S+/)?post\w+: (name_mask|inet_addr_local): .*\n`)
	path  = regexp.MustCompile(`/\S+/postcat\b`)
)

// alike is an output without what must differ.
func alike(ids names, text string) string {
	for id, name := range ids {
		text = strings.ReplaceAll(text, id, name)
	}
	text = times.ReplaceAllString(text, "TIME")
	text = arrive.ReplaceAllString(text, "ARRIVAL AND SIZE")
	text = listed.ReplaceAllString(text, "$1 SIZE TIME")
	text = total.ReplaceAllString(text, "-- N Kbytes")
	text = sizes.ReplaceAllString(text, "$1$2$3")
	text = own.ReplaceAllString(text, "")
	text = extracted.ReplaceAllString(text, "$1")
	text = path.ReplaceAllString(start.ReplaceAllString(text, ""), "postcat")
	text = received.ReplaceAllString(text, "${1}Received\n")
	text = inReply.ReplaceAllString(text, "")
	text = ports.ReplaceAllString(text, "${1}PORT")
	text = folder.ReplaceAllString(text, "deferred/X/")
	return reasons.ReplaceAllString(text, "(")
}

// reasons stand at the right of the line: their place tells their length.
var reasons = regexp.MustCompile(`(?m)^ +\(`)

// sorted puts the messages of a list in order: Postfix has them as its folders have them, we by age.
func sorted(text string) string {
	parts := strings.SplitAfter(text, "\n\n")
	if strings.HasPrefix(text, "{") {
		parts = strings.SplitAfter(text, "\n")
	}
	if len(parts) < 2 {
		return text
	}
	head := ""
	if i := strings.IndexByte(parts[0], '\n'); strings.HasPrefix(parts[0], "----") {
		head, parts[0] = parts[0][:i+1], parts[0][i+1:]
	}
	last := len(parts) - 1
	slices.Sort(parts[:last])
	return head + strings.Join(parts, "")
}

// lines sorts the lines of what is told message by message.
func lines(text string) string {
	list := strings.SplitAfter(text, "\n")
	slices.Sort(list)
	return strings.Join(list, "")
}

func TestSorted(t *testing.T) {
	const list = "----Queue\nb 1\n x\n\na 2\n y\n\n-- 3\n"
	if got := sorted(list); got != "----Queue\na 2\n y\n\nb 1\n x\n\n-- 3\n" {
		t.Error(got)
	}
	if got := fmt.Sprintf("%q", sorted("{b}\n{a}\n")); got != `"{a}\n{b}\n"` {
		t.Error(got)
	}
}
