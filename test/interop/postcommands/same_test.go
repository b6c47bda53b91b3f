package postcommands

import (
	"strings"
	"testing"
)

// command is a command line in which ID-… stands for a message's id.
type command struct {
	line  string
	stdin string
	// after is how many messages wait in the end; 0: nothing was tried anew.
	after int
	out   func(string) string // makes outputs alike that have another order
	codes bool                // the words are each system's own
}

func commands() []command {
	const ann, ben, cat, dsn, odd = "ID-ann@away.example", "ID-MAILER-DAEMON", "ID-cat@away.example", "ID-dsn@away.example", `ID-"odd_name"@sub.away.example`
	return []command{
		{line: "postqueue -p", out: sorted}, {line: "postqueue -j", out: sorted}, {line: "mailq", out: sorted},
		{line: "qshape"}, {line: "qshape deferred"}, {line: "qshape -s deferred"}, {line: "qshape -b 4 -t 1 deferred hold"},
		{line: "qshape -l -b 5 -t 7 deferred"}, {line: "qshape -p -m 1 deferred", out: lines}, {line: "qshape -w 100 -b 12 deferred"}, {line: "qshape -b 0 -t 0 deferred"},
		{line: "qshape nosuch", codes: true}, {line: "qshape -x", codes: true}, {line: "qshape -h", codes: true},

		{line: "postqueue"}, {line: "postqueue -x"}, {line: "postqueue -p -j"}, {line: "postqueue -p more"}, {line: "postqueue -i"},
		{line: "postqueue -i bad/id"}, {line: "postqueue -i NOSUCH"}, {line: "postqueue -s bad..name"}, {line: "postqueue -s 127.0.0.1"},
		{line: "postqueue -s a@far.example"}, {line: "postqueue -i " + ann, after: 5}, {line: "postqueue -s far.example", after: 5}, {line: "postqueue -f", after: 5},

		{line: "postcat -q " + ann}, {line: "postcat -q " + ben + " " + cat}, {line: "postcat -qe " + dsn}, {line: "postcat -qd " + dsn}, {line: "postcat -qb " + ann},
		{line: "postcat -qh " + cat}, {line: "postcat -qbh " + cat}, {line: "postcat -qhe " + ben}, {line: "postcat -qdb " + odd}, {line: "postcat -qv " + odd},
		{line: "postcat -qbv " + dsn}, {line: "postcat -q"}, {line: "postcat -x"}, {line: "postcat -q NOSUCH"}, {line: "postcat -q bad/name"}, {line: "postcat nosuch", codes: true},

		{line: "postsuper"}, {line: "postsuper -s"}, {line: "postsuper -p"}, {line: "postsuper -S"}, {line: "postsuper -x"}, {line: "postsuper -d"}, {line: "postsuper foo"}, {line: "postsuper -d ALL foo"},
		{line: "postsuper -d NOSUCH"}, {line: "postsuper -d bad/id"}, {line: "postsuper -d all"}, {line: "postsuper -H ALL"}, {line: "postsuper -d " + ann + " hold"},
		{line: "postsuper -h " + ann}, {line: "postqueue -p", out: sorted}, {line: "postqueue -j", out: sorted}, {line: "postsuper -h " + ann}, {line: "qshape hold"},
		{line: "postcat -qe " + ann}, {line: "postsuper -H " + ann + " deferred"}, {line: "postsuper -H " + ann, after: 5},
		{line: "postsuper -h -", stdin: ann + "\n" + ben + "\n\nNOSUCH\nbad/id\n"}, {line: "postsuper -h " + cat + " -H " + cat, after: 5},
		{line: "postqueue -j", out: sorted}, {line: "postsuper -h ALL hold"}, {line: "postsuper -H ALL", after: 5}, {line: "postsuper -h ALL deferred"}, {line: "postsuper -H ALL active"},
		{line: "postqueue -p", out: sorted}, {line: "postsuper -H -", stdin: ann + "\n" + ben + "\n"}, {line: "postsuper -H ALL", after: 5},
		{line: "postsuper -h " + ann}, {line: "postsuper -d " + ann + " -d " + cat + " -h " + dsn + " -H " + ann, out: lines},
		{line: "postqueue -p", out: sorted}, {line: "postsuper -H ALL", after: 3},
		{line: "postsuper -r " + ben}, {line: "postsuper -r NOSUCH"}, {line: "postsuper -r ALL hold"},
		{line: "postsuper -d ALL hold"},
	}
}

// Every command does the same on both, and says so in the same words.
func TestSameCommands(t *testing.T) {
	theirs, ours := both(t)
	for _, l := range letters() {
		theirs.send(t, l)
		ours.send(t, l)
	}
	theirIDs, theirNames := name(theirs.settled(t, len(letters())))
	ourIDs, ourNames := name(ours.settled(t, len(letters())))
	for _, c := range commands() {
		run := func(s *side, ids names, byName map[string]string) (string, int) {
			line, stdin := c.line, c.stdin
			for name, id := range byName {
				line = strings.ReplaceAll(line, name, id)
				stdin = strings.ReplaceAll(stdin, name, id)
			}
			words := strings.Fields(line)
			r := s.run(t, stdin, words[0], words[1:]...)
			out := alike(ids, r.Stdout)
			if c.out != nil {
				out = c.out(out)
			}
			said := alike(ids, r.Stderr)
			if c.out != nil {
				said = c.out(said)
			}
			return out + "-- standard error\n" + said, r.Code
		}
		wantOut, wantCode := run(theirs, theirIDs, theirNames)
		gotOut, gotCode := run(ours, ourIDs, ourNames)
		if gotCode != wantCode || gotOut != wantOut && !c.codes {
			t.Errorf("%s\nours, exit code %d:\n%s\nPostfix's, exit code %d:\n%s", c.line, gotCode, gotOut, wantCode, wantOut)
		}
		if c.after > 0 {
			theirs.settled(t, c.after)
			ours.settled(t, c.after)
		}
	}
}
