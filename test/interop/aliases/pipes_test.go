package aliases

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// transports say which pipe gets the mail of whom.
const transports = `
plain@pipe.example pplain:
flags@pipe.example pflags:Hop.Example
one@pipe.example pargs:
two@pipe.example pargs:
hop@pipe.example pargs:some.hop
nouser@pipe.example pnouser:
later@pipe.example plater:
text@pipe.example ptext:
killed@pipe.example pkilled:
large@pipe.example plarge:
nowhere@pipe.example pnowhere:
`

// argsScript tells what it was given.
const argsScript = `#!/bin/sh
out=DIR/out/$1
id -un > $out.args
id -g >> $out.args
pwd >> $out.args
printf '<%s>\n' "$@" >> $out.args
cat > $out
chmod 644 $out $out.args
`

const pipeCF = `pplain unix - n n - - pipe directory=/ user=bo argv=/bin/sh DIR/lists/args pplain
pflags unix - n n - - pipe flags=DRhuOFBX.> user=bo:mail null_sender= directory=/tmp
 argv=/bin/sh DIR/lists/args pflags -f ${sender} -- ${recipient} ${user} ${extension} ${mailbox} $domain ${nexthop} ${original_recipient}
pargs unix - n n - - pipe flags=q directory=/ user=bo
 argv=/bin/sh DIR/lists/args pargs -f ${sender} ${recipient} $user -d ${domain} x${user}+${extension}y ${nexthop}
pnouser unix - n n - - pipe directory=/ user=bo argv=/bin/sh -c {exit 67}
plater unix - n n - - pipe directory=/ user=bo argv=/bin/sh -c {exit 75}
ptext unix - n n - - pipe directory=/ user=bo argv=/bin/sh -c {echo 5.7.99 not for you; exit 69}
pkilled unix - n n - - pipe directory=/ user=bo argv=/bin/sh -c {kill -9 $$$$}
plarge unix - n n - - pipe size=10 user=bo argv=/bin/cat
pnowhere unix - n n - - pipe directory=/ user=bo argv=/nowhere/program
`

const ourPipes = `pipes.pplain.argv = ["/bin/sh", "DIR/lists/args", "pplain"]
pipes.pplain.user = "bo"
pipes.pflags.argv = ["/bin/sh", "DIR/lists/args", "pflags", "-f", "${sender}", "--", "${recipient}", "${user}", "${extension}", "${mailbox}", "$domain", "${nexthop}", "${original_recipient}"]
pipes.pflags.user = "bo:mail"
pipes.pflags.flags = "DRhuOFBX.>"
pipes.pflags.directory = "/tmp"
pipes.pargs.argv = ["/bin/sh", "DIR/lists/args", "pargs", "-f", "${sender}", "${recipient}", "$user", "-d", "${domain}", "x${user}+${extension}y", "${nexthop}"]
pipes.pargs.user = "bo"
pipes.pargs.flags = "q"
pipes.pnouser.argv = ["/bin/sh", "-c", "exit 67"]
pipes.pnouser.user = "bo"
pipes.plater.argv = ["/bin/sh", "-c", "exit 75"]
pipes.plater.user = "bo"
pipes.ptext.argv = ["/bin/sh", "-c", "echo 5.7.99 not for you; exit 69"]
pipes.ptext.user = "bo"
pipes.pkilled.argv = ["/bin/sh", "-c", "kill -9 $$$$"]
pipes.pkilled.user = "bo"
pipes.plarge.argv = ["/bin/cat"]
pipes.plarge.user = "bo"
pipes.plarge.size = "10B"
pipes.pnowhere.argv = ["/nowhere/program"]
pipes.pnowhere.user = "bo"`

// pipeRecipients get one message each; several with commas share one.
var pipeRecipients = []string{"plain@pipe.example", "Flags+Ext@pipe.example", "one+x@pipe.example,two@pipe.example", "hop@pipe.example", "nouser@pipe.example",
	"later@pipe.example", "text@pipe.example", "killed@pipe.example", "large@pipe.example", "nowhere@pipe.example"}

// full completes the recipients of a message.
func full(to string) (all []string) {
	for one := range strings.SplitSeq(to, ",") {
		if !strings.Contains(one, "@") {
			one += "@" + domain
		}
		all = append(all, one)
	}
	return all
}

// The mail of a user goes to what mailbox_command, home_mailbox, mailbox_transport and fallback_transport name.
func TestSameMailboxes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		theirs, ours []string
		to           []string
	}{
		"command": {[]string{"mailbox_command = cat > DIR/out/command.$LOGNAME; env | grep -E '^(SENDER|RECIPIENT|EXTENSION|HOME)=' | sort >> DIR/out/command.$LOGNAME", "fallback_transport = pflags:fall"},
			[]string{`routing.fallback_transport = "pflags:fall"`, `routing.mailbox_command = "cat > DIR/out/command.$LOGNAME; env | grep -E '^(SENDER|RECIPIENT|EXTENSION|HOME)=' | sort >> DIR/out/command.$LOGNAME"`},
			[]string{"al", "di+ext", "nobodyhere"}},
		"mbox": {[]string{"home_mailbox = inbox"}, []string{`routing.home_mailbox = "inbox"`}, []string{"al", "al+x", "bo"}},
		"transport": {[]string{"mailbox_transport = pargs:hop"}, []string{`routing.mailbox_transport = "pargs:hop"`, `routing.local_recipient_maps = ["static:all"]`},
			[]string{"al", "di+ext", "nobodyhere"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			top := t.TempDir()
			for dir := top; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
				must(t, os.Chmod(dir, 0o755))
			}
			must(t, os.Mkdir(filepath.Join(top, "p"), 0o755), os.Mkdir(filepath.Join(top, "r"), 0o755))
			ours := newRider(t, filepath.Join(top, "r"), replaceAll(c.ours, filepath.Join(top, "r"))...)
			theirs := newPostfix(t, filepath.Join(top, "p"), c.theirs...)
			for _, to := range c.to {
				if a, b := theirs.send(t, to), ours.send(t, to); !slices.Equal(a, b) {
					t.Errorf("%s: Postfix %q, Postrider %q", to, a, b)
				}
				x, y := theirs.left(t), ours.left(t)
				for _, name := range slices.Sorted(maps.Keys(x)) {
					if x[name] != y[name] {
						t.Errorf("%s: %s: Postfix left\n%q\nPostrider\n%q", to, name, x[name], y[name])
					}
					delete(y, name)
				}
				for name, text := range y {
					t.Errorf("%s: only Postrider left %s: %s", to, name, text)
				}
			}
		})
	}
}

func replaceAll(list []string, dir string) (out []string) {
	for _, s := range list {
		out = append(out, strings.ReplaceAll(s, "DIR", dir))
	}
	return out
}
