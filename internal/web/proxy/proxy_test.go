package proxy

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

// ours are the proxies of the tests.
func ours(a netip.Addr) bool {
	return a.IsLoopback() || netip.MustParsePrefix("10.0.0.0/8").Contains(a) || netip.MustParsePrefix("fd00::/8").Contains(a)
}

func TestOf(t *testing.T) {
	for _, c := range []struct {
		name, peer string
		header     string // lines of "Name: value"
		addr       string // "": unknown
		more       string // what else: "https", "stranger", "direct", "host=…"
	}{
		{"no proxy", "203.0.113.9:4000", "", "203.0.113.9", "direct"},
		{"no proxy, from a proxy's address", "127.0.0.1:4000", "", "127.0.0.1", "direct"},
		{"mapped address", "[::ffff:203.0.113.9]:4000", "", "203.0.113.9", "direct"},
		{"zone", "[fe80::1%eth0]:4000", "", "fe80::1", "direct"},
		{"stranger plays a proxy", "203.0.113.9:4000", "X-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: https\nX-Forwarded-Host: a.example", "203.0.113.9", "stranger"},
		{"stranger with Forwarded", "203.0.113.9:4000", "Forwarded: for=127.0.0.1;proto=https", "203.0.113.9", "stranger"},
		{"one proxy", "127.0.0.1:4000", "X-Forwarded-For: 203.0.113.9\nX-Forwarded-Proto: https\nX-Forwarded-Host: autoconfig.a.example", "203.0.113.9", "https host=autoconfig.a.example"},
		{"client lies to the left", "127.0.0.1:4000", "X-Forwarded-For: 127.0.0.1, 10.1.1.1, 203.0.113.9", "203.0.113.9", ""},
		{"two proxies", "127.0.0.1:4000", "X-Forwarded-For: 192.0.2.1, 203.0.113.9, 10.1.1.1", "203.0.113.9", ""},
		{"two fields", "127.0.0.1:4000", "X-Forwarded-For: 192.0.2.1\nX-Forwarded-For: 203.0.113.9\nX-Forwarded-For: 10.1.1.1", "203.0.113.9", ""},
		{"all ours", "127.0.0.1:4000", "X-Forwarded-For: 10.1.1.1, 10.1.1.2", "10.1.1.1", ""},
		{"with port", "127.0.0.1:4000", "X-Forwarded-For: 203.0.113.9:5000", "203.0.113.9", ""},
		{"IPv6", "127.0.0.1:4000", "X-Forwarded-For: 2001:db8::9", "2001:db8::9", ""},
		{"IPv6 in brackets, with port", "127.0.0.1:4000", "X-Forwarded-For: [2001:db8::9]:5000", "2001:db8::9", ""},
		{"garbage to the left is not read", "127.0.0.1:4000", "X-Forwarded-For: <script>, 203.0.113.9", "203.0.113.9", ""},
		{"garbage where the client stands", "127.0.0.1:4000", "X-Forwarded-For: localhost", "", ""},
		{"garbage behind a proxy of ours", "127.0.0.1:4000", "X-Forwarded-For: rubbish, 10.1.1.1", "", ""},
		{"empty", "127.0.0.1:4000", "X-Forwarded-For: ", "", ""},
		{"too many hops", "127.0.0.1:4000", "X-Forwarded-For: 203.0.113.9" + strings.Repeat(", 10.1.1.1", 40), "", ""},
		{"a proxy that names no client", "127.0.0.1:4000", "X-Forwarded-Proto: https", "", "https"},
		{"a proxy that names the client in a field not read", "127.0.0.1:4000", "X-Real-IP: 203.0.113.9", "", ""},
		{"a proxy that only says that it is one", "127.0.0.1:4000", "Via: 1.1 cache", "", ""},
		{"scheme of the proxy next to us", "127.0.0.1:4000", "X-Forwarded-For: 203.0.113.9\nX-Forwarded-Proto: https, http", "203.0.113.9", ""},
		{"scheme unknown", "127.0.0.1:4000", "X-Forwarded-For: 203.0.113.9\nX-Forwarded-Proto: gopher", "203.0.113.9", ""},
		{"host that is none", "127.0.0.1:4000", "X-Forwarded-For: 203.0.113.9\nX-Forwarded-Host: a.example/../<x>", "203.0.113.9", ""},

		{"RFC 7239", "127.0.0.1:4000", `Forwarded: for=203.0.113.9;proto=https;by=203.0.113.43;host=a.example`, "203.0.113.9", "https host=a.example"},
		{"RFC 7239, quoted IPv6", "127.0.0.1:4000", `Forwarded: For="[2001:db8:cafe::17]:4711"`, "2001:db8:cafe::17", ""},
		{"RFC 7239, chain", "127.0.0.1:4000", `Forwarded: for=127.0.0.1, for=203.0.113.9;proto=http, for=10.1.1.1;proto=https`, "203.0.113.9", "https"},
		{"RFC 7239, obfuscated port", "127.0.0.1:4000", `Forwarded: for="203.0.113.9:_x"`, "203.0.113.9", ""},
		{"RFC 7239, unknown", "127.0.0.1:4000", `Forwarded: for=unknown`, "", ""},
		{"RFC 7239, hidden", "127.0.0.1:4000", `Forwarded: for=_gazonk`, "", ""},
		{"RFC 7239, escapes", "127.0.0.1:4000", `Forwarded: for="203.0\.113.9"`, "203.0.113.9", ""},
		{"RFC 7239, broken", "127.0.0.1:4000", `Forwarded: for="203.0.113.9`, "", ""},
		{"RFC 7239, no value", "127.0.0.1:4000", `Forwarded: for`, "", ""},
		{"both: a proxy of the older one", "127.0.0.1:4000", "X-Forwarded-For: 203.0.113.9\nForwarded: for=127.0.0.1;proto=https", "", ""},
		{"both: a proxy of the newer one", "127.0.0.1:4000", "X-Forwarded-For: 127.0.0.1\nForwarded: for=203.0.113.9;proto=https", "", ""},
		{"both: one of them broken", "127.0.0.1:4000", "X-Forwarded-For: 127.0.0.1\nForwarded: for", "", ""},
		{"both say the same", "127.0.0.1:4000", "X-Forwarded-For: 203.0.113.9\nForwarded: for=203.0.113.9;proto=https", "203.0.113.9", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "http://here.example/", nil)
			r.RemoteAddr = c.peer
			for line := range strings.SplitSeq(c.header, "\n") {
				if name, value, ok := strings.Cut(line, ": "); ok {
					r.Header.Add(name, value)
				}
			}
			got := Of(r, ours)
			addr, more := "", ""
			if got.Addr.IsValid() {
				addr = got.Addr.String()
			}
			for word, is := range map[string]bool{"https": got.HTTPS, "stranger": got.Stranger, "direct": got.Direct} {
				if is {
					more += " " + word
				}
			}
			if got.Host != "here.example" {
				more += " host=" + got.Host
			}
			if addr != c.addr || strings.TrimSpace(more) != c.more {
				t.Errorf("%q%s, want %q %s", addr, more, c.addr, c.more)
			}
		})
	}
}

func TestHandlerTellsTheClient(t *testing.T) {
	var got Client
	h := Handler(ours, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = From(r.Context()) }))
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "10.0.0.1:1"
	r.Header.Set("X-Forwarded-For", "203.0.113.9")
	h.ServeHTTP(httptest.NewRecorder(), r)
	if got.Addr != netip.MustParseAddr("203.0.113.9") {
		t.Error(got)
	}
	if From(t.Context()).Addr.IsValid() {
		t.Error("a client from nowhere")
	}
}

// Whatever fields say: an address that is not trusted is the client itself; a trusted one never makes the client a trusted
// address unless that address stands in the fields; and what is appended to the right by a proxy of ours decides.
func FuzzClient(f *testing.F) {
	for _, s := range []string{"", "203.0.113.9", "127.0.0.1", "unknown", "_hidden", "a, b", "10.0.0.1, 10.0.0.2", "[2001:db8::1]:80", "2001:db8::1",
		"::ffff:10.0.0.1", "for=1.2.3.4", `for="[::1]"`, `for="[::1]:_p";proto=https`, "for=a;for=b", "1.2.3.4:5", ",,,", "for==", `"`, "fe80::1%eth0", "for=1.2.3.4,"} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, value string, rfc bool) {
		const real = "203.0.113.77"
		name, mark := "X-Forwarded-For", real
		if rfc {
			name, mark = "Forwarded", "for="+real
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "198.51.100.1:9"
		r.Header[name] = []string{value}
		if c := Of(r, ours); c.Addr.String() != "198.51.100.1" || !c.Stranger {
			t.Fatalf("%q from a stranger: %+v", value, c)
		}
		r.RemoteAddr = "10.0.0.1:9"
		r.Header[name] = []string{value, mark}
		if c := Of(r, ours); c.Addr.IsValid() && c.Addr.String() != real || !rfc && !c.Addr.IsValid() {
			t.Fatalf("%q, then %s: %+v", value, mark, c)
		}
		for _, e := range forwarded([]string{value}) {
			if e.node.IsValid() && e.node != node(fmt.Sprintf("[%s]:80", e.node)) && e.node.Is6() {
				t.Fatalf("%v is not read back", e.node)
			}
		}
	})
}
