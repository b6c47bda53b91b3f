package dns

import (
	"strings"
	"testing"

	wire "github.com/miekg/dns"
)

// FuzzResponse: whatever a server sends, the result is an error, an absence, an alias to ask for, or records of the type
// and name asked; every name that leaves the package is a plain one.
func FuzzResponse(f *testing.F) {
	const id = 0x1234
	q := question{"example.test", wire.TypeMX}
	f.Fuzz(func(t *testing.T, packet []byte) {
		resp := parse(packet, id, q)
		if resp == nil {
			return
		}
		r, err := interpret(resp, q)
		if err != nil {
			return
		}
		if name, ok := canonical(r.canonical); !ok || name != r.canonical {
			t.Fatalf("canonical name %q", r.canonical)
		}
		if r.ttl < 0 {
			t.Fatalf("ttl %v", r.ttl)
		}
		states := 0
		if len(r.records) > 0 {
			states++
		}
		if r.absence == NXDomain || r.absence == NoData {
			states++
		}
		if r.aliasTo != "" {
			states++
		}
		if states != 1 {
			t.Fatalf("%d states at once: %+v", states, r)
		}
		for _, rr := range r.records {
			if rr.Header().Rrtype != q.qtype || owner(rr.Header()) != r.canonical {
				t.Fatalf("not asked for: %v", rr)
			}
		}
	})
}

// FuzzUnescape: bytes written as a TXT string come back the same.
func FuzzUnescape(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 255 {
			return
		}
		escaped := new(strings.Builder)
		for i := range len(s) {
			switch c := s[i]; {
			case c == '"' || c == '\\':
				escaped.WriteString(`\` + string(rune(c)))
			case c < ' ' || c > '~':
				escaped.WriteString(`\` + string([]byte{'0' + c/100, '0' + c/10%10, '0' + c%10}))
			default:
				escaped.WriteByte(c)
			}
		}
		if got := unescape(escaped.String()); got != s {
			t.Fatalf("%q → %q → %q", s, escaped, got)
		}
		_ = unescape(s)
	})
}

// FuzzConf: what comes out of a resolv.conf can be dialled.
func FuzzConf(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		servers := parseConf(text)
		if len(servers) > maxServers {
			t.Fatalf("%d servers", len(servers))
		}
		for _, s := range servers {
			if !strings.HasSuffix(s, ":53") {
				t.Fatalf("%q", s)
			}
		}
	})
}
