package compare

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/postrider/postrider/cmd/mailbench/load"
)

// busyShare is the share of the machine that others may use before the report warns.
const busyShare = 0.15

// page gathers Markdown.
type page struct{ strings.Builder }

func (p *page) say(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// table begins a table; the first column stands left, the others right.
func (p *page) table(columns ...string) {
	p.say("| %s |", strings.Join(columns, " | "))
	p.say("|---%s|", strings.Repeat("|--:", len(columns)-1))
}

func (p *page) cells(cells ...string) { p.say("| %s |", strings.Join(cells, " | ")) }

// Markdown writes the report. note is the caller's remark, command what makes the report anew.
func (o *Outcome) Markdown(note, command string) string {
	p := &page{}
	p.say("# Benchmarks\n")
	p.say("Written by `%s`. `make bench`, as root, does that with the usual values, after installing Debian's packages; `make "+
		"bench-quick` has every table from fewer, shorter and smaller runs. What was measured is kept after each run (`--save FILE`): a "+
		"comparison that was ended goes on there when the same command is given again.\n", command+" --write docs/"+o.page())
	o.conditions(p, note)
	o.plots(p)
	for _, sessions := range o.Sessions {
		o.sessionTable(p, sessions)
	}
	o.readTables(p)
	o.trialTables(p)
	o.goalTable(p)
	o.behindList(p)
	o.method(p)
	ownServer(p)
	o.runTable(p)
	o.configs(p)
	return strings.TrimRight(p.String(), "\n") + "\n"
}

// page is the document that a report is kept in: what is not the whole comparison has a page of its own.
func (o *Outcome) page() string {
	if len(o.Sessions) == 0 {
		return "benchmarks-relay.md"
	}
	return "benchmarks.md"
}

func (o *Outcome) conditions(p *page, note string) {
	if note != "" {
		p.say("**%s**\n", note)
	}
	if o.Cut != "" {
		p.say("**Not complete:** %s.\n", o.Cut)
	}
	var others []float64
	for _, r := range o.Runs {
		if r.Error == "" {
			others = append(others, r.Others)
		}
	}
	if len(others) > 0 {
		if worst := slices.Max(others); worst > busyShare {
			p.say("**A busy machine:** in the worst run, all that is neither the system nor the load generator used %.0f %% of the "+
				"CPU. Ratios between neighbours mean more here than rates.\n", worst*100)
		}
	}
	m := o.Machine
	p.say("%s. %s, %d CPUs, %d MiB, %s, Linux %s; disk: %s.\n", o.Date.UTC().Format("2006-01-02 15:04 UTC"), m.CPU, m.CPUs,
		m.MemoryMiB, m.System, m.Kernel, m.Filesystem)
	var versions []string
	for _, s := range o.Systems {
		if v := o.Versions[s]; v != "" && !slices.Contains(versions, v) {
			versions = append(versions, v)
		}
	}
	if len(versions) > 0 {
		p.say("Versions: %s.\n", strings.Join(versions, "; "))
	}
}

func (o *Outcome) sessionTable(p *page, sessions int) {
	p.say("## SMTP to mailbox, %s bytes, %s\n", load.Grouped(int64(o.Size)), plural(sessions, "session"))
	p.table("system", "in mailboxes /s", "× "+o.Systems[0], "accepted /s", "p50 ms", "p99 ms", "CPU ms/message", "MiB idle", "MiB loaded",
		"syncs/message", "disk probe ms", "runs")
	ours := o.summarize(o.Systems[0], sessions)
	for _, system := range o.Systems {
		r := o.summarize(system, sessions)
		runs := runsCell(r.used, r.discarded, r.noisy, len(r.failed))
		p.cells(system, number("%.0f", r.rate), number("%.2f", r.rate/ours.rate), number("%.0f", r.accepted),
			number("%.2f", r.p50), number("%.2f", r.p99), number("%.2f", r.cpu), number("%.0f", r.idle), number("%.0f", r.memory),
			number("%.2f", r.syncs), number("%.2f", r.probe), runs)
	}
	p.say("")
	o.sessionNotes(p, sessions)
}

func (o *Outcome) sessionNotes(p *page, sessions int) {
	if best, ok := o.best(sessions); ok {
		if ratios := o.paired(o.Systems[0], best.system, sessions); len(ratios) > 0 {
			var text []string
			for _, r := range ratios {
				text = append(text, fmt.Sprintf("%.2f", r))
			}
			p.say("%s beside the fastest peer (%s), pair by pair: %s ×.\n", o.Systems[0], best.system, strings.Join(text, ", "))
		}
	}
	for _, system := range o.Systems {
		r := o.summarize(system, sessions)
		if r.lost+r.extra > 0 {
			p.say("**%s: %d messages promised and not found, %d found too often.**\n", system, r.lost, r.extra)
		}
		for _, words := range slices.Sorted(maps.Keys(r.refusals)) {
			p.say("%s, %d times: %s\n", system, r.refusals[words], oneLine(words))
		}
		for _, e := range r.failed {
			p.say("%s failed: %s\n", system, oneLine(e))
		}
	}
}

func (o *Outcome) goalTable(p *page) {
	goals := o.goals()
	if len(goals) == 0 {
		return
	}
	p.say("## Beside what the design asks for\n")
	p.table("goal", "asked", "measured")
	for _, g := range goals {
		p.cells(g.what, g.want, g.have)
	}
	p.say("")
}

func (o *Outcome) behindList(p *page) {
	if len(o.Systems) < 2 {
		return
	}
	p.say("## Where %s is behind\n", o.Systems[0])
	list := slices.Concat(o.behind(), o.readBehind(), o.trialBehind())
	if len(list) == 0 {
		p.say("On no line of these tables.\n")
		return
	}
	for _, l := range list {
		p.say("- %s", l)
	}
	p.say("")
}

func (o *Outcome) method(p *page) {
	p.say("## How it was measured\n")
	if len(o.Sessions) > 0 {
		o.deliveryMethod(p)
	}
	p.say("- CPU is user and system time of all processes of the system, ended ones included, over load and delivery. Memory is " +
		"the sum of proportional set sizes: idle just after the start, loaded the highest of one a second. Loaded includes the " +
		"IMAP connections that count, one for each user by TLS, in every system.")
	p.say("- Durability is the same: every system answers 250 after a sync, and is configured as shipped in that respect. What IMAP " +
		"changes is another matter: Postrider syncs every change of flags and every copy before OK, Dovecot's mail_fsync=optimized, " +
		"as shipped, does not sync its indexes.")
	p.say("- Syncs are counted by strace (%s) over a run of their own; strace slows a system down, and groups are then smaller.",
		"fsync, fdatasync, sync, syncfs, sync_file_range, msync")
	o.otherMethods(p)
	p.say("- The disk probe is the median of %d appends of one message's size, each with fdatasync. A run (of reading: a turn of all "+
		"workloads) whose two probes differ by more than %.1f × is discarded and done again; a row whose every run was discarded uses "+
		"them all and is marked.\n", probes, maxRatio)
}

// deliveryMethod tells of SMTP to mailbox.
func (o *Outcome) deliveryMethod(p *page) {
	p.say("- Each run: the system starts, %s users' INBOXes are counted, one second of warm-up, disk probe, %.0f s of load, wait "+
		"until every message that got its 250 is in its INBOX (IMAP STATUS), disk probe, INBOXes counted again, stop. The data "+
		"stays from run to run. Systems take turns, %s for each number of sessions, and %s at all else; figures are medians.",
		load.Grouped(int64(o.Users)), o.Duration, plural(o.Pairs, "turn"), plural((&Options{Pairs: o.Pairs}).rounds(), "turn"))
	p.say("- The load is closed-loop: a session sends its next message after the reply, with PIPELINING, over one connection, to " +
		"the users in turn. *In mailboxes* counts until the last message is in its INBOX, *accepted* until the last reply. " +
		"Times to the reply run from the first byte of the message to the 250.")
}

// otherMethods tells of reading and of the trials.
func (o *Outcome) otherMethods(p *page) {
	if len(o.Readings) > 0 {
		p.say("- IMAP: each system's mailbox is filled with the same messages by APPEND; one tenth are unseen, one fifth have an " +
			"attachment. In each turn a system is started, and every operation is done once, unmeasured, and then again and again " +
			"for a time. Each answer is checked: all messages came, each as long as its RFC822.SIZE, a search found as many as it " +
			"must, a mailbox grew by what was added. POP3 reads the INBOX of a user who gets no other mail.")
	}
	if len(o.triers(kindSource))+len(o.triers(kindKept)) > 0 {
		p.say("- Between Postfix's own programs: %d messages warm the system up; then as many as it relays in %.0f s, as that has told, over "+
			"%d sessions, each to a recipient of its own (-N). Rates count from the start of smtp-source.", sourcePilot, o.Duration, relaySessions)
	}
	if len(o.Trials) > 0 {
		p.say("- Relay, crowds and large messages are runs of their own, with a start, a warm-up of small mail for every user (who has " +
			"logged in by then), and a disk probe before and after. Before memory is read, one user logs in and out for three seconds, and" +
			" memory falls no more. Every relayed message must arrive once, as it was sent; every " +
			"waiting connection must answer at the end; every large message must be in its INBOX.")
	}
}

func (o *Outcome) runTable(p *page) {
	if len(o.Sessions) == 0 {
		return
	}
	p.say("## All runs\n")
	p.table("system", "sessions", "pair", "messages", "in mailboxes /s", "accepted /s", "p50", "p99", "max", "CPU", "generator CPU",
		"others' CPU", "probe before", "after", "remark")
	for _, r := range o.Runs {
		remark := r.Discarded
		if r.Discarded != "" {
			remark = "discarded"
		}
		if r.Error != "" {
			remark = "failed"
		}
		if r.Lost+r.Extra > 0 {
			remark += fmt.Sprintf(" lost %d, extra %d", r.Lost, r.Extra)
		}
		l := r.Load.Data
		p.cells(r.System, fmt.Sprint(r.Sessions), fmt.Sprint(r.Pair), fmt.Sprint(r.Load.Messages), number("%.1f", r.Rate),
			number("%.1f", r.Load.Rate), number("%.2f", l.P50), number("%.2f", l.P99), number("%.2f", l.Max), number("%.2f", r.CPU),
			number("%.2f", r.Generator), number("%.0f %%", r.Others*100), number("%.2f", r.Before.P50), number("%.2f", r.After.P50), remark)
	}
	p.say("\nTimes are milliseconds; CPU is milliseconds a message; others' CPU is a share of the whole machine and includes the " +
		"kernel's own threads.\n")
}

func (o *Outcome) configs(p *page) {
	p.say("## Configurations\n")
	var shown []string
	for _, s := range o.Systems {
		text := strings.TrimSpace(o.Configs[s])
		if text == "" {
			continue
		}
		shown = append(shown, s)
		p.say("<details><summary>%s</summary>\n\n```\n%s\n```\n\n</details>\n", s, text)
	}
	if len(shown) == 0 {
		p.say("None was started.")
	}
}

func number(format string, v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "–"
	}
	return fmt.Sprintf(format, v)
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return load.Grouped(int64(n)) + " " + what
}

// oneLine keeps an error, which may quote a log, from breaking the page.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return s[:min(len(s), 300)]
}

// ownServer tells a reader with a server of any make how to get such figures of it.
func ownServer(p *page) {
	p.say("## Measuring your own server\n")
	p.say("`mailbench` loads any mail server; only `compare` knows Postrider. `--json` gives all figures, `--server-pid PID` adds " +
		"CPU time and memory of a server on the same machine, and `mailbench COMMAND --help` lists the rest. Passwords come from " +
		"`--password-file` or `MAILBENCH_PASSWORD`.\n")
	p.say("```")
	for _, line := range []string{
		"mailbench smtp  --addr mx.example.org:25 --rcpt 'user%d@example.org' --rcpt-count 50 --sessions 20 --size 4096,100000",
		"mailbench lmtp  --addr /run/dovecot/lmtp --rcpt user@example.org --no-pipelining",
		"mailbench relay --addr mail.example.org:465 --tls --auth user --from user@example.org --rcpt x@sink.example --sink 192.0.2.1:25",
		"mailbench fill  --addr imap.example.org:993 --tls --user user --messages 100000",
		"mailbench imap search-text --addr imap.example.org:993 --tls --user user --sessions 4 --seconds 30",
		"mailbench idle  --addr imap.example.org:993 --tls --user 'user%d' --user-count 100 --connections 10000 --notify",
		"mailbench idle smtp --addr 127.0.0.1:25 --starttls --insecure --connections 10000 --sources 200 --server-pid 4711",
		"mailbench pop3 retr --addr pop.example.org:995 --tls --user user",
	} {
		p.say("%s", line)
	}
	p.say("```\n")
	p.say("A workload fails, with the server's words, when an answer is wrong: a message left out of a FETCH, a body shorter than " +
		"its RFC822.SIZE, a mailbox that has not grown by what was appended, a relayed message that is lost, damaged or comes twice. " +
		"Mailboxes that are read must be quiet meanwhile.\n")
}
