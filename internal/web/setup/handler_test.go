package setup

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/web/proxy"
)

// handler serves two domains; "broken.example" has a database that fails.
func handler(certificate *tls.Certificate) http.Handler {
	h := &Handler{
		Ours: func(_ context.Context, domain string) (bool, error) {
			if domain == "broken.example" {
				return false, errors.New("disk on fire")
			}
			return domain == "here.example" || domain == "xn--mller-kva.example", nil
		},
		Offer:       offer,
		Certificate: func(string) *tls.Certificate { return certificate },
		Now:         func() time.Time { return time.Unix(1.7e9, 0) },
		Log:         slog.New(slog.DiscardHandler),
	}
	return proxy.Handler(func(netip.Addr) bool { return false }, h)
}

func ask(h http.Handler, method, url, body string) (*http.Response, string) {
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	text, _ := io.ReadAll(w.Result().Body)
	return w.Result(), string(text)
}

func outlook(addr, schema string) string {
	return `<?xml version="1.0" encoding="utf-8"?><Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request><EMailAddress>` +
		addr + `</EMailAddress><AcceptableResponseSchema>` + schema + `</AcceptableResponseSchema></Request></Autodiscover>`
}

func TestHandler(t *testing.T) {
	const s, p = "https://mail.here.example", "http://mail.here.example"
	for _, c := range []struct {
		name, method, url, body string
		code                    int
		want                    string // in the body, or in Location
	}{
		{"autoconfig", "GET", s + "/mail/config-v1.1.xml?emailaddress=alice@here.example", "", 200, "<hostname>mail.here.example</hostname>"},
		{"autoconfig, well-known", "GET", s + "/.well-known/autoconfig/mail/config-v1.1.xml?emailaddress=alice@here.example", "", 200, `id="here.example"`},
		{"autoconfig by plain http", "GET", p + "/mail/config-v1.1.xml?emailaddress=alice@here.example", "", 200, "<socketType>SSL</socketType>"},
		{"autoconfig by host name", "GET", "http://autoconfig.here.example/mail/config-v1.1.xml", "", 200, `id="here.example"`},
		{"autoconfig by host name and port", "GET", "http://HERE.example:8080/mail/config-v1.1.xml", "", 200, `id="here.example"`},
		{"autoconfig, U-labels", "GET", s + "/mail/config-v1.1.xml?emailaddress=m%40m%C3%BCller.example", "", 200, "<domain>müller.example</domain>"},
		{"autoconfig, A-labels", "GET", s + "/mail/config-v1.1.xml?emailaddress=m@XN--mller-kva.example", "", 200, "<domain>müller.example</domain>"},
		{"autoconfig, another's domain", "GET", s + "/mail/config-v1.1.xml?emailaddress=alice@elsewhere.example", "", 404, "no mail for that domain"},
		{"autoconfig, another's host name", "GET", s + "/mail/config-v1.1.xml", "", 404, "no mail for that domain"},
		{"autoconfig, rubbish", "GET", s + "/mail/config-v1.1.xml?emailaddress=<x>", "", 400, "is not an address"},
		{"autoconfig, failure", "GET", s + "/mail/config-v1.1.xml?emailaddress=a@broken.example", "", 503, "try again later"},
		{"autoconfig is only read", "POST", s + "/mail/config-v1.1.xml?emailaddress=alice@here.example", "", 405, "only read"},

		{"autodiscover", "POST", s + "/autodiscover/autodiscover.xml", outlook("alice@here.example", schemaOutlook), 200, "<LoginName>alice@here.example</LoginName>"},
		{"autodiscover, Outlook's spelling", "POST", s + "/Autodiscover/Autodiscover.xml", outlook("alice@here.example", ""), 200, "<Type>IMAP</Type>"},
		{"autodiscover by plain http", "GET", p + "/autodiscover/autodiscover.xml", "", 302, s + "/autodiscover/autodiscover.xml"},
		{"autodiscover by plain http, POST", "POST", p + "/AutoDiscover/AutoDiscover.xml", "x", 307, s + "/AutoDiscover/AutoDiscover.xml"},
		{"autodiscover for phones", "POST", s + "/autodiscover/autodiscover.xml", outlook("alice@here.example", "http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006"), 200, "<ErrorCode>601</ErrorCode>"},
		{"autodiscover, GET", "GET", s + "/autodiscover/autodiscover.xml", "", 200, "<ErrorCode>600</ErrorCode>"},
		{"autodiscover, rubbish", "POST", s + "/autodiscover/autodiscover.xml", "<a><b></a>", 200, "<ErrorCode>600</ErrorCode>"},
		{"autodiscover, empty", "POST", s + "/autodiscover/autodiscover.xml", "", 200, "<ErrorCode>600</ErrorCode>"},
		{"autodiscover, too long", "POST", s + "/autodiscover/autodiscover.xml", outlook("alice@here.example"+strings.Repeat(" ", 20<<10), ""), 200, "<ErrorCode>600</ErrorCode>"},
		{"autodiscover, entities", "POST", s + "/autodiscover/autodiscover.xml", `<!DOCTYPE x [<!ENTITY a "b">]><Autodiscover><Request><EMailAddress>&a;</EMailAddress></Request></Autodiscover>`, 200, "<ErrorCode>600</ErrorCode>"},
		{"autodiscover, no address", "POST", s + "/autodiscover/autodiscover.xml", outlook("alice", ""), 200, "<ErrorCode>500</ErrorCode>"},
		{"autodiscover, another's domain", "POST", s + "/autodiscover/autodiscover.xml", outlook("a@elsewhere.example", ""), 200, "<ErrorCode>500</ErrorCode>"},
		{"autodiscover, failure", "POST", s + "/autodiscover/autodiscover.xml", outlook("a@broken.example", ""), 503, "try again later"},

		{"JSON", "GET", s + "/autodiscover/autodiscover.json?Email=alice@here.example&Protocol=AutodiscoverV1", "", 200, `"Url":"https://mail.here.example/autodiscover/autodiscover.xml"`},
		{"JSON, address in the path", "GET", s + "/autodiscover/autodiscover.json/v1.0/alice@here.example?Protocol=Autodiscoverv1", "", 200, `"Protocol":"AutodiscoverV1"`},
		{"JSON, another protocol", "GET", s + "/autodiscover/autodiscover.json?Email=alice@here.example&Protocol=ActiveSync", "", 400, `"ErrorCode":"InvalidProtocol"`},
		{"JSON, another's domain", "GET", s + "/autodiscover/autodiscover.json?Email=a@elsewhere.example&Protocol=AutodiscoverV1", "", 404, "no mail"},
		{"JSON, no address", "GET", s + "/autodiscover/autodiscover.json?Protocol=AutodiscoverV1", "", 400, "is not an address"},

		{"profile", "GET", s + "/profile.mobileconfig?addresses=alice@here.example,al@here.example&fullname=Alice+%26+Co", "", 200, "<string>Alice &amp; Co</string>"},
		{"profile by plain http", "GET", p + "/profile.mobileconfig?addresses=alice@here.example", "", 302, s + "/profile.mobileconfig?addresses=alice@here.example"},
		{"profile, one of another's", "GET", s + "/profile.mobileconfig?addresses=alice@here.example,a@elsewhere.example", "", 404, "no mail"},
		{"profile for nobody", "GET", s + "/profile.mobileconfig", "", 400, "wants addresses"},
		{"profile for a crowd", "GET", s + "/profile.mobileconfig?addresses=" + strings.Repeat("a@here.example,", 20), "", 400, "Too many"},
		{"code", "GET", s + "/profile.mobileconfig.qrcode.png?addresses=alice@here.example", "", 200, "PNG"},

		{"page", "GET", s + "/setup", "", 200, "your whole address"},
		{"page for an address", "GET", s + "/setup?address=alice@here.example", "", 200, `href="/profile.mobileconfig?addresses=alice@here.example"`},
		{"page for rubbish", "GET", s + "/setup?address=<script>", "", 400, "not an address"},
		{"page for a bad name", "GET", s + "/setup?address=%22%3Cscript%3E%22@here.example", "", 200, "&lt;script&gt;"},
		{"page for another's", "GET", s + "/setup?address=a@elsewhere.example", "", 404, "no mail"},
		{"anything else", "GET", s + "/autodiscover/other", "", 404, "not found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, body := ask(handler(nil), c.method, c.url, c.body)
			if r.StatusCode/100 == 3 {
				body = r.Header.Get("Location")
			}
			if r.StatusCode != c.code || !strings.Contains(body, c.want) {
				t.Errorf("%d, want %d with %q:\n%s", r.StatusCode, c.code, c.want, body)
			}
			switch kind := r.Header.Get("Content-Type"); {
			case strings.HasPrefix(kind, "text/xml"):
				read(t, []byte(body))
			case kind == "application/json" && !json.Valid([]byte(body)):
				t.Errorf("%s", body)
			}
		})
	}
}

// Nobody can find out by these pages who has an account: nothing asks, and the answers differ by the address only.
func TestNoAccountIsGivenAway(t *testing.T) {
	for _, path := range []string{"/mail/config-v1.1.xml?emailaddress=", "/profile.mobileconfig?addresses=", "/setup?address=", "/autodiscover/autodiscover.json?Protocol=AutodiscoverV1&Email="} {
		var seen [2]string
		for i, user := range []string{"alice@here.example", "nobody@here.example"} {
			r, body := ask(handler(nil), "GET", "https://mail.here.example"+path+user, "")
			// Identifiers are hashes of the address.
			seen[i] = r.Status + strings.ReplaceAll(mask(body), user, "USER")
		}
		if seen[0] != seen[1] {
			t.Errorf("%s:\n%s\n%s", path, seen[0], seen[1])
		}
	}
}

// mask removes UUIDs.
func mask(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if !strings.Contains(line, "-") || !strings.Contains(line, "<string>") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func FuzzParseDiscover(f *testing.F) {
	f.Add(outlook("alice@here.example", schemaOutlook))
	f.Fuzz(func(t *testing.T, body string) {
		q, ok := ParseDiscover(strings.NewReader(body))
		if !ok {
			return
		}
		if len(body) > maxRequest || len(q.Address) > len(body) {
			t.Fatalf("%d bytes taken", len(body))
		}
		// What is asked for can be put into the answer, which is XML and names it.
		if a, ok := parse(q.Address); ok {
			text, err := Autodiscover(offer(), a)
			if err != nil {
				t.Fatal(err)
			}
			if _, chars := read(t, text); !strings.Contains(chars, a.String()) {
				t.Fatalf("%q is not in its answer:\n%s", a, text)
			}
		}
	})
}

// Any query is answered, in whole documents, and only for domains of ours with 200.
func FuzzAddress(f *testing.F) {
	f.Add("alice@here.example", "Alice")
	h, known := handler(nil), " "
	for _, url := range []string{"/mail/config-v1.1.xml?emailaddress=a@here.example", "/profile.mobileconfig?addresses=a@here.example"} {
		_, body := ask(h, "GET", "https://mail.here.example"+url, "")
		elements, _ := read(f, []byte(body))
		known += elements
	}
	f.Fuzz(func(t *testing.T, addr, name string) {
		query := func(pairs ...string) string {
			v := url.Values{}
			for i := 0; i < len(pairs); i += 2 {
				v[pairs[i]] = []string{pairs[i+1]}
			}
			return v.Encode()
		}
		for _, target := range []string{"/mail/config-v1.1.xml?" + query("emailaddress", addr), "/profile.mobileconfig?" + query("addresses", addr, "fullname", name)} {
			r, body := ask(h, "GET", "https://mail.elsewhere.example"+target, "")
			switch r.StatusCode {
			case 200:
				if lower := strings.ToLower(addr); !strings.Contains(lower, "@") {
					t.Fatalf("%q has settings", addr)
				}
				elements, _ := read(t, []byte(body))
				for e := range strings.FieldsSeq(elements) {
					if !strings.Contains(known, " "+e+" ") {
						t.Fatalf("an element from outside: %q", e)
					}
				}
			case 400, 404, 503:
			default:
				t.Fatalf("%q: %s", addr, r.Status)
			}
		}
	})
}
