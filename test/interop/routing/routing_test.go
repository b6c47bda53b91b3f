package routing

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/node"
	"github.com/postrider/postrider/test/interop/postfix"
)

const (
	host = "here.example" // the host's own domain
	vbox = "vbox.example" // another domain with mailboxes
)

// people have mailboxes.
var people = []string{"alice@here.example", "bob@here.example", "carol@here.example", "postmaster@here.example", "alice@vbox.example", "info@vbox.example", "dave@vbox.example"}

// directory is people as package route asks for them.
type directory struct{}

func (directory) Domain(_ context.Context, domain string) (int64, bool, error) {
	return 1, domain == host || domain == vbox, nil
}

func (d directory) Lookup(ctx context.Context, a address.Address) ([]route.Target, bool, error) {
	if _, ours, _ := d.Domain(ctx, a.Domain); !ours {
		return nil, false, nil
	}
	base, ext, _ := address.SplitDelimiter(a.Local, "+")
	for _, local := range []string{a.Local, base} {
		to := address.Address{Local: strings.ToLower(local), Domain: a.Domain}
		if i := slices.Index(people, to.String()); i >= 0 {
			if local == a.Local {
				ext = ""
			}
			return []route.Target{{Account: int64(i + 1), Address: to, Extension: ext}}, true, nil
		}
	}
	return nil, true, status.Perm(550, 1, 1, "No such user here")
}

// logging makes every transport one that logs.
func logging() map[string]string {
	services := map[string]string{}
	for _, name := range []string{"smtp", "relay", "lmtp", "local", "virtual", "error", "retry", "discard"} {
		services[name] = fmt.Sprintf("%s unix - - n - - discard -o syslog_name=T-%s", name, name)
	}
	return services
}

// world is one set of settings: keys of [routing] in TOML are those of main.cf.
type world struct {
	settings map[string]string   // one value each
	lists    map[string][]string // tables, domains
	maps     map[string][]string // lines of a table, by setting
}

var (
	locals  = []string{"alice", "bob", "carol", "info", "x", "list", "Team", "alice+tag", "info+a+b", "postmaster"}
	domains = []string{host, "local.example", vbox, "valias.example", "relay.example", "sub.relay.example", "far.example", "sub.far.example", "other.example"}
)

func pick(r *rand.Rand, s []string) string { return s[r.IntN(len(s))] }

func someone(r *rand.Rand) string { return pick(r, locals) + "@" + pick(r, domains) }

// right is the right side of an alias.
func right(r *rand.Rand) string {
	var to []string
	for range 1 + r.IntN(3)*r.IntN(2) {
		switch r.IntN(8) {
		case 0:
			to = append(to, pick(r, locals))
		case 1:
			to = append(to, "@"+pick(r, domains))
		default:
			to = append(to, someone(r))
		}
	}
	return strings.Join(to, ", ")
}

func keys(r *rand.Rand, n int, kinds ...func() string) []string {
	var out []string
	seen := map[string]bool{}
	for range n {
		k := kinds[r.IntN(len(kinds))]()
		if !seen[strings.ToLower(k)] {
			seen[strings.ToLower(k)] = true
			out = append(out, k)
		}
	}
	return out
}

func generate(seed uint64) *world {
	r := rand.New(rand.NewPCG(seed, 5))
	w := &world{settings: map[string]string{}, lists: map[string][]string{}, maps: map[string][]string{}}
	whole, at, name := func() string { return someone(r) }, func() string { return "@" + pick(r, domains) }, func() string { return pick(r, locals) }
	table := func(setting string, n int, value func() string, kinds ...func() string) {
		for _, k := range keys(r, n, kinds...) {
			w.maps[setting] = append(w.maps[setting], k+" "+value())
		}
	}
	one := func() string {
		return pick(r, []string{someone(r), someone(r), "@" + pick(r, domains), pick(r, locals)})
	}
	table("virtual_alias_maps", 6+r.IntN(10), func() string { return right(r) }, whole, whole, whole, at, name)
	if r.IntN(2) == 0 {
		table("canonical_maps", 1+r.IntN(4), one, whole, whole, at, name)
		table("sender_canonical_maps", 1+r.IntN(3), one, whole, at)
		table("recipient_canonical_maps", 1+r.IntN(3), one, whole, at)
	}
	if r.IntN(3) == 0 {
		table("relocated_maps", 1+r.IntN(3), func() string { return someone(r) }, whole, at, name)
	}
	if r.IntN(2) == 0 {
		table("relay_recipient_maps", 1+r.IntN(8), func() string { return "x" }, whole, at)
	}
	way := func() string {
		return pick(r, []string{"smtp:[mx.far.example]", "smtp:[mx.far.example]:2525", "relay:gate.example", "smtp:", ":", ":[hop.example]:26", "lmtp:unix:/run/lmtp", "lmtp:inet:127.0.0.1:24",
			"error:5.1.2 no more", "retry:closed", "discard:quiet", "local:", "smtp:far.example:587"})
	}
	if r.IntN(4) != 0 {
		table("transport_maps", 1+r.IntN(6), way, whole, func() string { return pick(r, domains) }, func() string { return pick(r, domains) }, func() string { return "." + pick(r, domains) }, func() string { return pick(r, []string{"*", "example"}) })
	}
	if r.IntN(2) == 0 {
		table("sender_dependent_relayhost_maps", 1+r.IntN(4), func() string { return pick(r, []string{"[sender-relay.example]:587", "DUNNO", "sender-mx.example"}) }, whole, at)
		table("sender_dependent_default_transport_maps", 1+r.IntN(3), func() string { return pick(r, []string{"smtp:[by-sender.example]", "DUNNO", "smtp:"}) }, whole, at)
	}
	if r.IntN(3) == 0 {
		w.settings["relayhost"] = pick(r, []string{"[relayhost.example]", "relayhost.example:26"})
	}
	if r.IntN(4) == 0 {
		w.settings["relay_transport"] = pick(r, []string{"smtp:[inner.example]", "relay", "lmtp:unix:/run/inner"})
	}
	if r.IntN(4) == 0 {
		w.settings["default_transport"] = pick(r, []string{"smtp:[out.example]", "error:5.7.0 nothing leaves", "retry:later"})
	}
	if r.IntN(4) == 0 {
		w.lists["masquerade_domains"] = []string{"!sub.far.example", "far.example", "relay.example"}
		w.lists["masquerade_classes"] = []string{"envelope_sender", "envelope_recipient"}
		w.lists["masquerade_exceptions"] = []string{"carol"}
	}
	if r.IntN(3) == 0 {
		w.lists["propagate_unmatched_extensions"] = [][]string{{"canonical"}, {"virtual"}}[r.IntN(2)]
	}
	if r.IntN(4) == 0 {
		w.lists["virtual_alias_domains"] = []string{"valias.example"}
	} else {
		w.maps["virtual_alias_maps"] = append(w.maps["virtual_alias_maps"], "valias.example anything")
	}
	return w
}

// mainCF are the settings for Postfix.
func (w *world) mainCF() (text string, files map[string]string) {
	var b strings.Builder
	files = map[string]string{"people": "", "boxes": ""}
	for _, p := range people {
		if local, domain, _ := strings.Cut(p, "@"); domain == host {
			files["people"] += local + " x\n"
		} else {
			files["boxes"] += p + " x\n"
		}
	}
	b.WriteString(`myhostname = mx.here.example
myorigin = here.example
mydestination = here.example, local.example, localhost
local_recipient_maps = texthash:{dir}/people
virtual_mailbox_domains = vbox.example
virtual_mailbox_maps = texthash:{dir}/boxes
relay_domains = relay.example
parent_domain_matches_subdomains = relay_domains
recipient_delimiter = +
append_dot_mydomain = no
smtputf8_enable = no
virtual_alias_recursion_limit = 50
virtual_alias_expansion_limit = 100
smtpd_relay_restrictions = check_helo_access inline:{may.relay.example=OK}, reject_unauth_destination
smtpd_recipient_restrictions =
smtpd_delay_reject = yes
`)
	for k, v := range w.settings {
		fmt.Fprintf(&b, "%s = %s\n", k, v)
	}
	for k, v := range w.lists {
		fmt.Fprintf(&b, "%s = %s\n", k, strings.Join(v, ", "))
	}
	for k, lines := range w.maps {
		fmt.Fprintf(&b, "%s = texthash:{dir}/%s\n", k, k)
		files[k] = strings.Join(lines, "\n") + "\n"
	}
	return b.String(), files
}

// router is the same for us; dir has Postfix's tables.
func (w *world) router(t *testing.T, dir string) *route.Router {
	t.Helper()
	var b strings.Builder
	b.WriteString("domain = \"here.example\"\nhostname = \"mx.here.example\"\n[routing]\nallow_percent_hack = true\nswap_bangpath = true\nresolve_dequoted_address = true\n" +
		"mydestination = [\"local.example\", \"localhost\"]\nrelay_domains = [\"relay.example\"]\nvirtual_alias_recursion_limit = 50\nvirtual_alias_expansion_limit = 100\n")
	for k, v := range w.settings {
		fmt.Fprintf(&b, "%s = %q\n", k, v)
	}
	for k, v := range w.lists {
		fmt.Fprintf(&b, "%s = [%q]\n", k, strings.Join(v, `", "`))
	}
	text := strings.ReplaceAll(b.String(), `\"`, `"`)
	for k := range w.maps {
		text += fmt.Sprintf("%s = %q\n", k, "texthash:"+dir+"/"+k)
	}
	c, err := config.Parse("test", []byte(text), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	rules, err := node.RoutingRules(c, dir)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	rules.Own = func(ip netip.Addr) bool { return ip.IsLoopback() }
	return &route.Router{Directory: directory{}, Rules: rules}
}

// letter is one envelope.
type letter struct {
	from, to string
	mayRelay bool
}

func (l letter) String() string {
	return fmt.Sprintf("<%s> → <%s> (may relay: %v)", l.from, l.to, l.mayRelay)
}

func letters(r *rand.Rand, n int) []letter {
	out := make([]letter, n)
	for i := range out {
		to := someone(r)
		switch r.IntN(12) {
		case 0:
			to = pick(r, locals[:5]) + "%" + pick(r, domains) + "@" + pick(r, domains)
		case 1:
			to = pick(r, domains) + "!" + pick(r, locals[:5]) + "@" + pick(r, domains)
		case 2:
			to = `"` + someone(r) + `"@` + pick(r, domains)
		case 3:
			to = "@" + pick(r, domains) + ":" + to
		case 4:
			to = strings.ToUpper(to)
		case 5:
			to = pick(r, locals[:3]) + "@[127.0.0.1]"
		}
		from := pick(r, []string{someone(r), someone(r), someone(r), "s@outside.example", ""})
		out[i] = letter{from, to, r.IntN(2) == 0}
		if strings.HasSuffix(to, "@"+vbox) && strings.ContainsAny(to, "%!\"") {
			// Postfix refuses strangers who name a way to a domain whose mailboxes it has. To us that is an ordinary local part
			// there, which our directory has or has not.
			out[i].mayRelay = true
		}
	}
	return out
}

// TestPostfixAgrees is the comparison; the seeds are fixed, so that a failure comes again.
func TestPostfixAgrees(t *testing.T) {
	const each = 60
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("world ", seed), func(t *testing.T) {
			w := generate(seed)
			main, files := w.mainCF()
			p := postfix.Start(t, postfix.Config{Main: main, Files: files, Instead: logging()})
			router := w.router(t, p.Dir)
			all := letters(rand.New(rand.NewPCG(seed, 9)), each)
			said := send(t, p, all)
			wrong := 0
			for i, l := range all {
				theirs, ours := said[i].show(t, p), w.show(router, l)
				if !agree(theirs, ours) {
					wrong++
					t.Errorf("%s\npostfix %s\nours    %s", l, theirs, ours)
				}
			}
			if wrong > 0 {
				t.Logf("settings:\n%s%v", main, files)
			}
		})
	}
}

// answer is what Postfix said: a refusal, or the queue id.
type answer struct {
	code int
	text string
	id   string
}

// send has Postfix take all letters.
func send(t *testing.T, p *postfix.Postfix, all []letter) []answer {
	t.Helper()
	out := make([]answer, len(all))
	conns := map[bool]*textproto.Conn{}
	for may, helo := range map[bool]string{true: "may.relay.example", false: "stranger.example"} {
		d, err := net.Dial("tcp", p.Address)
		if err != nil {
			t.Fatal(err)
		}
		c := textproto.NewConn(d)
		defer c.Close()
		conns[may] = c
		if err := d.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if code, text, err := c.ReadResponse(220); err != nil {
			t.Fatal(code, text, err)
		}
		say(t, c, "EHLO "+helo)
	}
	for i, l := range all {
		c := conns[l.mayRelay]
		a := say(t, c, "MAIL FROM:<"+l.from+">")
		if a.code/100 == 2 {
			a = say(t, c, "RCPT TO:<"+l.to+">")
		}
		if a.code/100 == 2 {
			if a = say(t, c, "DATA"); a.code == 354 {
				a = say(t, c, "Subject: x\r\n\r\nx\r\n.")
			}
		}
		if _, rest, ok := strings.Cut(a.text, "queued as "); ok {
			a.id = strings.TrimSpace(rest)
		} else {
			say(t, c, "RSET")
		}
		out[i] = a
	}
	return out
}

func say(t *testing.T, c *textproto.Conn, line string) answer {
	t.Helper()
	if err := c.PrintfLine("%s", line); err != nil {
		t.Fatal(err)
	}
	code, text, err := c.ReadResponse(0)
	var e *textproto.Error
	if err != nil && !errors.As(err, &e) {
		t.Fatal(line, err)
	}
	return answer{code: code, text: text}
}

// fate is what becomes of a letter: "refused", "later", or each final recipient as "transport address next-hop".
type fate struct {
	sender string
	to     []string
	why    string
}

func (f fate) String() string { return fmt.Sprintf("from <%s> %q (%s)", f.sender, f.to, f.why) }

// agree compares; the sender only where there is mail.
func agree(a, b fate) bool {
	if slices.ContainsFunc(a.to, func(s string) bool { return strings.Contains(s, `""@`) }) {
		return true // Postfix loses the user of "name @domain", a key without a domain; we put him in front as of any other key
	}
	return slices.Equal(a.to, b.to) && (a.sender == b.sender || len(a.to) == 1 && !strings.Contains(a.to[0], " "))
}

func field(line, name string) string {
	_, rest, _ := strings.Cut(line, name)
	rest, _, _ = strings.Cut(rest, ">")
	return rest
}

func (a answer) show(t *testing.T, p *postfix.Postfix) fate {
	t.Helper()
	why := fmt.Sprint(a.code, " ", a.text)
	switch {
	case a.id == "" && a.code/100 == 5:
		return fate{to: []string{"refused"}, why: why}
	case a.id == "":
		return fate{to: []string{"later"}, why: why}
	}
	p.Logged(t, a.id+": removed")
	f := fate{why: why}
	for line := range strings.Lines(p.Log()) {
		if !strings.Contains(line, " "+a.id+": ") {
			continue
		}
		if strings.Contains(line, "/qmgr[") && strings.Contains(line, " from=<") {
			f.sender = field(line, " from=<")
		}
		_, rest, ok := strings.Cut(line, " T-")
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(rest, "/discard[")
		_, hop, _ := strings.Cut(line, "status=sent (")
		to, hop := field(line, " to=<"), strings.TrimSuffix(strings.TrimSpace(hop), ")")
		if word := final(name, to, hop); word != "" {
			f.to = append(f.to, word)
		}
	}
	return f.tidy()
}

// tidy sorts. Nobody left is what we refuse.
func (f fate) tidy() fate {
	slices.Sort(f.to)
	f.to = slices.Compact(f.to)
	if len(f.to) == 0 {
		f.to = []string{"refused"}
	}
	return f
}

// final writes a recipient of Postfix's as ours are written; members that are nobody are left out.
func final(name, to, hop string) string {
	a, err := address.Parse(to, true)
	if err != nil {
		return "unreadable " + to
	}
	switch name {
	case "local", "virtual":
		if a.Domain != vbox {
			a.Domain = host
		}
		targets, _, err := (directory{}).Lookup(context.Background(), a)
		if err != nil {
			return ""
		}
		return "mailbox " + targets[0].Address.String()
	case "error":
		return ""
	case "retry":
		return "retry " + a.String()
	case "discard":
		return "discard " + a.String()
	}
	t := flow.SMTP
	if name == "lmtp" {
		t = flow.LMTP
	}
	return hops(t, a, hop)
}

func hops(t flow.Transport, a address.Address, hop string) string {
	list, err := flow.ParseNextHop(t, strings.ToLower(hop)) // Postfix keeps the case of the domain that it was given
	if err != nil {
		return fmt.Sprintf("%s %s unreadable %s", t, a, hop)
	}
	return fmt.Sprintf("%s %s %s", t, a, list[0])
}

// show is what we do with a letter.
func (w *world) show(router *route.Router, l letter) fate {
	ctx := context.Background()
	var from address.Address
	if l.from != "" {
		var err error
		if from, err = address.Parse(l.from, true); err != nil {
			return fate{to: []string{"refused"}, why: err.Error()}
		}
	}
	to, _, err := address.ParsePath("<"+l.to+">", true)
	if err != nil {
		return fate{to: []string{"refused"}, why: err.Error()}
	}
	sender, err := router.Sender(ctx, from, nil)
	var rs []flow.Recipient
	if err == nil {
		rs, err = router.Recipient(ctx, route.Query{From: sender, To: envelope.Recipient{To: to}, MayRelay: l.mayRelay})
	}
	if status.IsPermanent(err) {
		return fate{to: []string{"refused"}, why: err.Error()}
	}
	if err != nil {
		return fate{to: []string{"later"}, why: err.Error()}
	}
	f := fate{sender: sender.String()}
	for _, r := range rs {
		switch r.Transport {
		case flow.Mailbox:
			f.to = append(f.to, "mailbox "+r.To.String())
		case flow.Error:
			f.to = append(f.to, "retry "+r.To.String())
		case flow.Drop:
			f.to = append(f.to, "discard "+r.To.String())
		default:
			hop := r.NextHop
			if hop == "" {
				if hop = w.settings["relayhost"]; hop == "" {
					hop = r.To.Domain
				}
			}
			f.to = append(f.to, hops(r.Transport, r.To, hop))
		}
	}
	return f.tidy()
}
