package sites

import (
	"strings"
	"testing"
)

func TestOf(t *testing.T) {
	exchangers := map[string][]string{"house": {"mx.example.org"}}
	for _, p := range Presets() {
		exchangers[p.Name] = p.Exchangers
	}
	n := New(exchangers)
	for _, c := range []struct{ exchangers, site string }{
		{"gmail-smtp-in.l.google.com alt1.gmail-smtp-in.l.google.com", "google"},
		{"aspmx.l.google.com alt1.aspmx.l.google.com aspmx2.googlemail.com", "google"},
		{"SMTP.Google.COM.", "google"},
		{"notgoogle.com", "notgoogle.com"},
		{"outlook-com.olc.protection.outlook.com", "microsoft"},
		{"contoso-com.mail.protection.outlook.com", "microsoft"},
		{"contoso-com.o-v1.mx.microsoft", "microsoft"},
		{"mta5.am0.yahoodns.net mta6.am0.yahoodns.net", "yahoo"},
		{"mx01.mail.icloud.com mx02.mail.icloud.com", "apple"},
		{"mx00.emig.gmx.net mx01.emig.gmx.net", "gmx"},
		{"mx00.kundenserver.de mx01.kundenserver.de", "gmx"},
		{"mx1.mail.example.co.uk mx2.example.co.uk", "example.co.uk"},
		{"mxa-001.gslb.pphosted.com mxb-001.gslb.pphosted.com", "pphosted.com"},
		{"mx1.one.example mx2.two.example", "mx1.one.example"}, // nothing in common: the preferred one
		{"mx.example.org backup.other.example", "house"},       // the preferred one has a name
		{"a.example.org b.example.org", "example.org"},
		{"192.0.2.1", "192.0.2.1"},
		{"localhost", "localhost"},
		{"co.uk", "co.uk"},
		{"", ""},
	} {
		if got := n.Of(strings.Fields(c.exchangers)); got != c.site {
			t.Errorf("%s: %q, want %q", c.exchangers, got, c.site)
		}
	}
}

// Every number of a preset has its reason, and no host is two providers'.
func TestPresets(t *testing.T) {
	seen := map[string]string{}
	for _, p := range Presets() {
		if p.Name == "" || len(p.Exchangers) == 0 || p.Why == "" || p.Concurrency < p.Initial || p.Initial == 0 || p.Connections > 0 && p.Per == 0 {
			t.Errorf("%+v", p)
		}
		for _, e := range p.Exchangers {
			if seen[e] != "" {
				t.Errorf("%s: %s and %s", e, seen[e], p.Name)
			}
			seen[e] = p.Name
		}
	}
}
