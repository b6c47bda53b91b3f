package received

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/header"
)

var when = time.Date(2025, 11, 21, 9, 55, 6, 0, time.UTC)

func TestProtocol(t *testing.T) {
	for want, p := range map[string]Protocol{
		"SMTP": {HELO: true}, "ESMTP": {}, "ESMTPS": {TLS: true}, "ESMTPA": {Auth: true}, "ESMTPSA": {TLS: true, Auth: true},
		"LMTP": {LMTP: true}, "LMTPSA": {LMTP: true, TLS: true, Auth: true}, "UTF8SMTPS": {UTF8: true, TLS: true},
		"UTF8LMTP": {LMTP: true, UTF8: true}, "local": {Local: "local", TLS: true},
	} {
		if p.String() != want {
			t.Errorf("%+v: %s, want %s", p, p, want)
		}
	}
}

func TestField(t *testing.T) {
	full := Field{Helo: "Mail.Example.ORG", Name: "mail.example.org", IP: netip.MustParseAddr("192.0.2.1"), By: "mx.example.net",
		Protocol: Protocol{TLS: true}, TLS: "TLS1.3 TLS_AES_128_GCM_SHA256", ID: "4cXyZ12345z2B",
		For: address.Address{Local: "bob", Domain: "example.net"}, Recipients: 1, Time: when}
	for _, c := range []struct {
		change func(*Field)
		want   string
	}{
		{func(*Field) {}, `Received: from mail.example.org (mail.example.org [192.0.2.1])
	by mx.example.net with ESMTPS id 4cXyZ12345z2B
	(TLS1.3 TLS_AES_128_GCM_SHA256)
	for <bob@example.net>; Fri, 21 Nov 2025 09:55:06 +0000
`},
		{func(f *Field) { f.Recipients, f.TLS = 2, "" }, `Received: from mail.example.org (mail.example.org [192.0.2.1])
	by mx.example.net with ESMTPS id 4cXyZ12345z2B;
	Fri, 21 Nov 2025 09:55:06 +0000
`},
		{func(f *Field) { f.Helo, f.Name, f.IP = "[192.168.1.5]", "", netip.MustParseAddr("2001:db8::1") }, `Received: from [192.168.1.5] (unknown [IPv6:2001:db8::1])
	by mx.example.net with ESMTPS id 4cXyZ12345z2B
	(TLS1.3 TLS_AES_128_GCM_SHA256)
	for <bob@example.net>; Fri, 21 Nov 2025 09:55:06 +0000
`},
		{func(f *Field) { f.HideIP, f.Account, f.TLS, f.Protocol.Auth = true, "ann (x)", "", true }, `Received: from mail.example.org
	by mx.example.net with ESMTPSA id 4cXyZ12345z2B
	(authenticated as ann ?x?)
	for <bob@example.net>; Fri, 21 Nov 2025 09:55:06 +0000
`},
		{func(f *Field) { *f = Field{By: "h.example", Protocol: Protocol{Local: "local"}, Time: when} }, `Received: by h.example with local;
	Fri, 21 Nov 2025 09:55:06 +0000
`},
		{func(f *Field) { f.Helo, f.TLS = "a\r\nBcc: x (evil);", "" }, `Received: from a??Bcc:?x??evil?? (mail.example.org [192.0.2.1])
	by mx.example.net with ESMTPS id 4cXyZ12345z2B
	for <bob@example.net>; Fri, 21 Nov 2025 09:55:06 +0000
`},
		{func(f *Field) {
			f.IP, f.Helo, f.For.Local, f.TLS = netip.MustParseAddr("::ffff:192.0.2.1"), "", "é", ""
		}, `Received: from unknown (mail.example.org [192.0.2.1])
	by mx.example.net with ESMTPS id 4cXyZ12345z2B;
	Fri, 21 Nov 2025 09:55:06 +0000
`},
	} {
		f := full
		c.change(&f)
		if got := strings.ReplaceAll(string(f.Append(nil)), "\r\n", "\n"); got != c.want {
			t.Errorf("\n got %s\nwant %s", got, c.want)
		}
	}
}

func TestTrace(t *testing.T) {
	to := address.Address{Local: "Bob", Domain: "example.net"}
	b := AppendReturnPath(nil, address.Address{})
	b = AppendDeliveredTo(b, to)
	b = Field{By: "a", Time: when}.Append(Field{By: "b", Time: when}.Append(b))
	if !strings.HasPrefix(string(b), "Return-Path: <>\r\nDelivered-To: Bob@example.net\r\nReceived: ") {
		t.Errorf("%q", b)
	}
	h, err := header.Parse(b, len(b))
	if err != nil || Hops(h) != 2 || !DeliveredTo(h, address.Address{Local: "bob", Domain: "example.net"}) ||
		DeliveredTo(h, address.Address{Local: "eve", Domain: "example.net"}) {
		t.Errorf("%d hops %v", Hops(h), err)
	}
}

// Whatever a client says, the field is one field with a date, in lines that everybody takes.
func FuzzField(f *testing.F) {
	f.Add("mail.example.org", "x", "TLS1.3", "ann")
	f.Fuzz(func(t *testing.T, helo, name, tls, account string) {
		field := Field{Helo: helo, Name: name, IP: netip.MustParseAddr("192.0.2.1"), By: "mx.example.net", TLS: tls, Account: account,
			ID: name, For: address.Address{Local: "bob", Domain: "example.net"}, Recipients: 1, Time: when}
		b := field.Append(nil)
		h, err := header.Parse(b, len(b))
		if err != nil || len(h.Fields) != 1 || Hops(h) != 1 || !strings.HasSuffix(string(b), "\r\n") {
			t.Fatalf("%q", b)
		}
		v := h.Value(h.Fields[0])
		for i := 0; i < len(v); i++ {
			if v[i] < ' ' && v[i] != '\t' || v[i] >= 0x7f {
				t.Fatalf("%q", v)
			}
		}
		if strings.Count(v, ";") != 1 || strings.Count(v, "(") != strings.Count(v, ")") {
			t.Fatalf("%q", v)
		}
		if d, ok := header.ParseDate(v[strings.LastIndexByte(v, ';')+1:]); !ok || !d.Equal(when) {
			t.Fatalf("date in %q", v)
		}
		for line := range strings.SplitSeq(string(b), "\r\n") {
			if len(line) > 998 {
				t.Fatalf("line of %d", len(line))
			}
		}
	})
}
