package dnslist

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/dns"
	"github.com/postrider/postrider/internal/dns/dnstest"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"zen.example":                             "zen.example",
		" Zen.Example. ":                          "zen.example",
		"zen.example=127.0.0.[2..11]*3":           "zen.example=127.0.0.[2..11]*3",
		"wl.example=127.0.[0..255].[1;3..5;9]*-5": "wl.example=127.0.[0..255].[1;3..5;9]*-5",
		"a.example=127.0.0.[4]*1":                 "a.example=127.0.0.4",
		"a.example*0":                             "a.example*0",
		"a.example*+2":                            "a.example*2",
		"a.example*x":                             "!not a weight",
		"a.example*1000001":                       "!not a weight",
		"a.example=127.0.0":                       "!expected is d.d.d.d",
		"a.example=127.0.0.256":                   "!not a number from 0 to 255",
		"a.example=127.0.0.[9..2]":                "!begins behind its end",
		"a.example=127.0.0.[2":                    "!not closed",
		"a.example=127.0.0.2.3":                   "!left over",
		"a.example=":                              "!not a number",
		"a.example=127.0.0.[]":                    "!not a number",
		"a..example":                              "!not a domain name",
		"":                                        "!not a domain name",
		"https://a.example/":                      "!not a domain name",
		strings.Repeat("a.", 100) + "example":     "!not a domain name",
		"a.example=127.0.0.[2;2;2;" + strings.Repeat("1;", 300) + "1]": "!more than 256",
	} {
		l, err := Parse(in, true)
		got := l.String()
		if err != nil {
			got = "!" + err.Error()
		}
		if got != want && (want == "" || want[0] != '!' || !strings.HasPrefix(got, "!") || !strings.Contains(got, want[1:])) {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	if _, err := Parse("a.example*2", false); err == nil || !strings.Contains(err.Error(), "postscreen_dnsbl_sites") {
		t.Error(err)
	}
	all, err := ParseScored([]string{"a.example*2, b.example=127.0.0.2", "c.example*-1"})
	if err != nil || len(all) != 3 || all[0].Weight != 2 || all[2].Weight != -1 {
		t.Error(all, err)
	}
	if _, err := ParseScored([]string{strings.Repeat("a.example,", MaxLists+1)}); err == nil {
		t.Error("any number of lists is taken")
	}
}

const zone = `
2.0.2.198.bl.test. 120 A 127.0.0.2
2.0.2.198.bl.test. A 127.0.0.10
2.0.2.198.bl.test. TXT "198.2.0.2 is " "bad\010\226"
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.test. A 127.0.0.2
3.0.2.198.wl.test. A 127.0.5.3
2.0.2.198.sold.test. A 192.0.2.80
2.0.2.198.refused.test. A 127.255.255.254
2.0.2.198.blocked.test. A 127.0.0.1
1.0.0.127.bl.test. A 127.0.0.2
bad.example.bl.test. A 127.0.1.2
`

func lists(t *testing.T, items ...string) []List {
	t.Helper()
	all, err := ParseScored(items)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := dnstest.New(t, zone)
		server.SetFault("2.0.2.198.broken.test", dnstest.ServFail)
		server.SetFault("2.0.2.198.silent.test", dnstest.Silent)
		a := Asker{Resolver: dns.New(dns.Options{Servers: []string{"ns"}, Dial: server.Dial, CacheEntries: 100}), Timeout: 3 * time.Second}
		began := time.Now()
		answers := a.Client(t.Context(), netip.MustParseAddr("::ffff:198.2.0.2"), lists(t, "bl.test", "bl.test=127.0.0.[9..11]*4",
			"bl.test=127.0.0.3*8", "none.test*16", "broken.test*32", "silent.test*64", "sold.test*128", "refused.test*256", "blocked.test*512",
			"sold.test=192.0.2.80*1024", "refused.test=127.255.255.254*2048"))
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("all lists together took %v", took)
		}
		if got := Score(answers); got != 1+4+1024+2048 {
			t.Errorf("score %d: %+v", got, answers)
		}
		for i, unknown := range []bool{false, false, false, false, true, true, true, true, true, false, false} {
			if (answers[i].Err != nil) != unknown {
				t.Errorf("%s: %v", answers[i].List, answers[i].Err)
			}
			if i > 5 && unknown && !errors.Is(answers[i].Err, ErrNoListing) {
				t.Errorf("%s: %v", answers[i].List, answers[i].Err)
			}
		}
		if ttl := answers[0].TTL; ttl != 120*time.Second {
			t.Errorf("TTL %v", ttl)
		}
		if ttl := answers[3].TTL; ttl != time.Minute { // the SOA's, which dnstest gives
			t.Errorf("TTL of an absence: %v", ttl)
		}
		if n := server.Queries()["2.0.2.198.bl.test A"]; n != 1 {
			t.Errorf("asked %d times for three filters of one list", n)
		}
		if got := a.Reason(t.Context(), answers[0]); got != "198.2.0.2 is bad__" {
			t.Errorf("reason %q", got)
		}
		if got := a.Reason(t.Context(), answers[9]); got != "" {
			t.Errorf("reason %q", got)
		}
		if got := Score(a.Client(t.Context(), netip.MustParseAddr("2001:db8::1"), lists(t, "bl.test*7"))); got != 7 {
			t.Errorf("IPv6: %d", got)
		}
		if got := Score(a.Client(t.Context(), netip.MustParseAddr("127.0.0.1"), lists(t, "bl.test"))); got != 0 {
			t.Errorf("this host is listed: %d", got) // RFC 5782 §5
		}
	})
}

func TestDomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := dnstest.New(t, zone)
		a := Asker{Resolver: dns.New(dns.Options{Servers: []string{"ns"}, Dial: server.Dial})}
		for domain, want := range map[string]int{"BAD.example": 1, "good.example": 0, "": 0, "[192.0.2.1]": 0, "192.0.2.1": 0, "a b": 0,
			strings.Repeat("a.", 124) + "b": 0} {
			answers := a.Domain(t.Context(), domain, lists(t, "bl.test"))
			if got := Score(answers); got != want || answers[0].Err != nil {
				t.Errorf("%s: %d, %+v", domain, got, answers)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if answers := a.Domain(ctx, "other.example", lists(t, "bl.test")); answers[0].Err == nil || answers[0].Listed {
			t.Errorf("given up is not the same as not listed: %+v", answers)
		}
	})
}

func value(name string) string {
	return map[string]string{"rbl_class": ClassClient, "rbl_what": "198.2.0.2", "rbl_domain": "bl.test", "rbl_reason": "see $client\r\n250 ok",
		"client": "unknown[198.2.0.2]"}[name]
}

func TestTemplate(t *testing.T) {
	for in, want := range map[string]string{
		DefaultReply: "554 5.7.1 Service unavailable; Client host [198.2.0.2] blocked using bl.test; see $client__250 ok",
		"$rbl_code 5.7.9 go ${helo_name:away} $$":                     "554 5.7.9 go away $",
		"450 4.7.1 ${sender?{s $sender}:{n ${rbl_what?$(rbl_what)}}}": "450 4.7.1 n 198.2.0.2",
		"550 5.7.1 ${sender?x}${sender:{y}}":                          "550 5.7.1 y",
		"450 5.7.1 class":                                             "450 4.7.1 5.7.1 class",
		"$client":                                                     "554 5.7.1 Service unavailable",
		"250 fine":                                                    "554 5.7.1 Service unavailable",
		"$rbl_code ":                                                  "554 5.7.1 Service unavailable",
		"$rbl_code $nothing":                                          "!there is no $nothing",
		"$rbl_code ${client":                                          "!not closed",
		"$rbl_code ${client!x}":                                       "!expected is } ? or :",
		"$rbl_code ${client?{a}b}":                                    "!not \"b\" behind",
		"$rbl_code ${client:{a}b}":                                    "!left over",
		"$rbl_code $":                                                 "!there is no $",
		strings.Repeat("${client?", 20) + strings.Repeat("}", 20): "!deep",
		strings.Repeat("x", 5000):                                 "!longer than",
	} {
		tmpl, err := ParseTemplate(in)
		if err != nil {
			if want[0] != '!' || !strings.Contains(err.Error(), want[1:]) {
				t.Errorf("%.80s: %v, want %s", in, err, want)
			}
			continue
		}
		reply, problem := tmpl.Reply(554, value)
		if got := reply.Error(); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
		if (problem != nil) != (want == "554 5.7.1 Service unavailable") {
			t.Errorf("%s: problem %v", in, problem)
		}
	}
}
