package routing

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/decide/srs"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/test/needs"
)

// senders are reverse-paths of every form that forwarding meets; those of other hosts' SRS among them.
var senders = []string{
	"alice@source.example", "Alice.B+c=d@source.example", "x@a-b.c.source.example", "a=b=c@source.example", "bounce-1=bob=far.example@lists.example",
	"SRS0=abcd=AA=x.example=y@fwd.example", "SRS0+abcd=AA=x.example=y@fwd.example", "SRS0-abcd=AA=x.example=y@fwd.example",
	"SRS1=abcd=x.example==hhhh=AA=z.example=y@fwd.example", "SRS1+abcd=x.example=-hhhh=AA=z.example=y@fwd.example",
	"SRS0x@source.example", "srs0=abcd=AA=x.example=y@fwd.example",
}

const secret = "a long secret"

func rewriter() *srs.Rewriter {
	return &srs.Rewriter{Domain: "srs.example", Secrets: [][]byte{[]byte(secret)}, Now: time.Now}
}

// reading is one direction of another program's SRS: the address, or ok false where it has none.
type reading func(a string) (out string, ok bool)

// bothAgree gives every sender to both: what they write is the same, and each reads what the other wrote.
func bothAgree(t *testing.T, forward, reverse reading) {
	t.Helper()
	ours := rewriter()
	for _, text := range senders {
		from, err := address.Parse(text, true)
		if err != nil {
			t.Fatal(err)
		}
		mine, ok := ours.Forward(from)
		theirs, theyToo := forward(text)
		if again, _ := ours.Forward(from); again != mine {
			mine = again // midnight has passed
		}
		if !ok || !theyToo || mine.String() != theirs {
			t.Errorf("%s: ours is %s, theirs %s", text, mine, theirs)
			continue
		}
		want, err := ours.Reverse(mine)
		if err != nil {
			t.Errorf("%s: we do not read ours: %v", mine, err)
			continue
		}
		if back, ok := reverse(mine.String()); !ok || back != want.String() {
			t.Errorf("%s: they read %q, we %s", mine, back, want)
		}
	}
	forged := "SRS0=AAAA=" + "AA=source.example=alice@srs.example"
	if back, ok := reverse(forged); ok {
		t.Errorf("they read %s as %s", forged, back)
	}
	if a, _ := address.Parse(forged, true); a.Local != "" {
		if back, err := ours.Reverse(a); err == nil {
			t.Errorf("we read %s as %s", forged, back)
		}
	}
}

// A site that changes over from postsrsd keeps its secret, and addresses under way stay valid.
func TestPostsrsd(t *testing.T) {
	program := needs.Program(t, "postsrsd")
	file := filepath.Join(t.TempDir(), "secrets")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	forward, reverse := freePort(t), freePort(t)
	cmd := exec.Command(program, "-4", "-s"+file, "-dsrs.example", "-f"+forward, "-r"+reverse)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	bothAgree(t, tcpTable(t, forward), tcpTable(t, reverse))
}

// freePort is a port that nobody has at present: postsrsd takes numbers only.
func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// tcpTable asks a server of tcp_table(5), which may take a moment until it listens.
func tcpTable(t *testing.T, port string) reading {
	var c net.Conn
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		var err error
		if c, err = (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:"+port); err == nil {
			break
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Cleanup(func() { c.Close() })
	r := bufio.NewReader(c)
	return func(a string) (string, bool) {
		fmt.Fprintf(c, "get %s\n", strings.ReplaceAll(a, "%", "%25"))
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		code, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if text, err = url.PathUnescape(text); err != nil {
			t.Fatal(err)
		}
		return text, code == "200"
	}
}

// The same with the module that the others follow.
func TestMailSRS(t *testing.T) {
	perl := needs.Program(t, "perl")
	if exec.Command(perl, "-MMail::SRS", "-e", "1").Run() != nil {
		needs.Program(t, "perl with Mail::SRS (libmail-srs-perl)")
	}
	call := func(method string) reading {
		return func(a string) (string, bool) {
			script := `my $s = Mail::SRS->new(Secret => [$ARGV[0]], MaxAge => 21, HashLength => 4, HashMin => 4, Separator => "=");
				print $ARGV[1] eq "forward" ? $s->forward($ARGV[2], "srs.example") : scalar $s->reverse($ARGV[2]);`
			out, err := exec.Command(perl, "-MMail::SRS", "-e", script, secret, method, a).Output()
			return string(out), err == nil
		}
	}
	bothAgree(t, call("forward"), call("reverse"))
}
