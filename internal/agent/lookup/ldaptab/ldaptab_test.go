package ldaptab

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
	"github.com/postrider/postrider/internal/agent/lookup/mapconf"
	"github.com/postrider/postrider/internal/decide/table"
)

func env() mapconf.Env {
	return mapconf.Env{Now: time.Now, Intn: func(int) int { return 0 }, Open: func(string) (table.List, error) { return nil, nil }}
}

// TestServersThatHang: silence, rubbish and floods are failures, in time.
func TestServersThatHang(t *testing.T) {
	for name, say := range map[string]func(net.Conn){
		"silence":  func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"goodbye":  func(net.Conn) {},
		"rubbish":  func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") },
		"a length": func(c net.Conn) { _, _ = c.Write([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x02, 0x01, 0x01}) },
		"a flood": func(c net.Conn) {
			for {
				if _, err := c.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					say(c)
				}()
			}
		}()
		for _, bind := range []string{"no", "yes\nbind_dn = cn=x\nbind_pw = y"} {
			one, _, err := New(fmt.Sprintf("server_host = ldap://%s\nsearch_base = dc=x\nbind = %s\n", l.Addr(), bind), env())
			if err != nil {
				t.Fatal(err)
			}
			one.timeout = 150 * time.Millisecond
			if _, found, err := one.Lookup(t.Context(), "k"); err == nil || found {
				t.Errorf("%s: %t, %v", name, found, err)
			}
			_ = one.Close()
		}
	}
}

func TestWrongFiles(t *testing.T) {
	for text, want := range map[string]string{
		"server_host = h\n":                                      "search_base is missing",
		"search_base = x\nscope = all\n":                         "line 2: scope = all: expected is one of sub, one, base",
		"search_base = x\nserver_host = http://x\n":              "expected is a host, ldap://",
		"search_base = x\nserver_host = ldapi://x\n":             "path of a socket",
		"search_base = x\nbind = sasl\n":                         "SASL is not supported",
		"search_base = x\nchase_referrals = yes\n":               "referrals are not followed",
		"search_base = x\nquery_filter = (mail=%q)\n":            "%q is none of",
		"search_base = x\ntls_ca_cert_file = /none\n":            "no such file",
		"search_base = x\nserach_base = y\nversion = 7\n":        "is search_base meant?",
		"search_base = x\nresult_attribute = a\ndereference=9":   "from 0 to 3",
		"search_base = x\nbind_pw = geheim\nrecursion_limit=0\n": "from 1 to 10000",
	} {
		if _, _, err := New(text, env()); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestURLs(t *testing.T) {
	for text, want := range map[string]string{
		"ldap:///dc=x": "dc=x 0 (objectClass=*) []",
		"ldap://host:389/dc=a%20b??sub?(mail=%2a)": "dc=a b 2 (mail=*) []",
		"LDAPS://h/dc=x?mail,cn?one?uid=a":         "dc=x 1 (uid=a) [mail cn]",
		"uid=x,dc=y":                               "none",
		"http://x/y":                               "none",
		"ldap:///dc=x??tree":                       "wrong",
		"ldap:///dc=%zz":                           "wrong",
		"ldap://h":                                 " 0 (objectClass=*) []",
	} {
		u, ok, err := parseURL(text)
		got := fmt.Sprint(u.base, " ", u.scope, " ", u.filter, " ", u.attributes)
		if !ok {
			got = "none"
		} else if err != nil {
			got = "wrong"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// FuzzQuotes: whatever the key, the filter and the base keep their shape, and hold the key.
func FuzzQuotes(f *testing.F) {
	f.Fuzz(func(t *testing.T, key string) {
		if key == "" || !utf8.ValidString(key) {
			return // such a key is not asked for, mapconf.Shape.Key
		}
		filter, err := ldap.CompileFilter("(&(mail=" + ldap.EscapeFilter(key) + ")(a=b))")
		if err != nil || len(filter.Children) != 2 || len(filter.Children[0].Children) != 2 || filter.Children[0].Children[1].Data.String() != key {
			t.Fatalf("the filter of %q: %v", key, err)
		}
		dn, err := ldap.ParseDN("uid=" + quoteDN(key) + ",dc=example")
		if err != nil || len(dn.RDNs) != 2 || len(dn.RDNs[0].Attributes) != 1 || dn.RDNs[0].Attributes[0].Value != key {
			t.Fatalf("the base of %q: %v, %v", key, dn, err)
		}
		if u, ok, err := parseURL(key); ok && err == nil && !strings.HasPrefix(u.filter, "(") {
			t.Fatalf("%q has the filter %q", key, u.filter)
		}
	})
}
