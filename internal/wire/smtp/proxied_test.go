package smtp

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"reflect"
	"testing"
)

// Whom the backend hears of, by XCLIENT and XFORWARD.
func TestOriginal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &backend{}
		s := testServer(t, "xclient", b, nil)
		const script = `S: 220 mx.example.test ESMTP
C: XCLIENT NAME=spike.example ADDR=198.51.100.7 PORT=4025 DESTADDR=192.0.2.25 DESTPORT=25 LOGIN=user
S: 220 mx.example.test ESMTP
C: EHLO spike
S...: 250 XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE
C: XFORWARD NAME=[UNAVAILABLE] ADDR=203.0.113.9
S: 250 2.0.0 Ok
C: XFORWARD HELO=far IDENT=4AB
S: 250 2.0.0 Ok
C> MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n
S...: 354 End data with <CR><LF>.<CR><LF>
C> .\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n
S...: 354 End data with <CR><LF>.<CR><LF>
C> .\r\nQUIT\r\n
S...: 221 2.0.0 Bye
S-close`
		play(t, s, TLSStart, script)
		if len(b.got) != 2 || len(b.peers) != 2 || len(b.stats) != 2 {
			t.Fatalf("%d messages, %d sessions begun, %d ended", len(b.got), len(b.peers), len(b.stats))
		}
		p := b.got[0].peer
		if p.Remote != netip.MustParseAddrPort("198.51.100.7:4025") || p.Local != netip.MustParseAddrPort("192.0.2.25:25") || p.Identity.Account != 7 ||
			p.Protocol(false) != "ESMTPA" || p.Told == nil || p.Told.Name != "spike.example" || !p.Told.NameTold {
			t.Errorf("told of %+v, %+v", p, p.Told)
		}
		want := &Original{NameTold: true, Addr: netip.AddrPortFrom(netip.MustParseAddr("203.0.113.9"), 0), Helo: "far", Ident: "4AB"}
		if !reflect.DeepEqual(p.Forwarded, want) {
			t.Errorf("forwarded for %+v", p.Forwarded)
		}
		if f := b.got[1].peer.Forwarded; f != nil {
			t.Errorf("the second message is forwarded for %+v too", f)
		}
	})
}

// The certificate of a host in front of us is not that of the client for which it speaks by XCLIENT.
func TestXClientHasNoCertificate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var states []*tls.ConnectionState
		b := &backend{connect: func(p *Peer) error {
			if len(states) == 0 {
				p.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, PeerCertificates: []*x509.Certificate{{}}, VerifiedChains: [][]*x509.Certificate{{{}}}}
			}
			states = append(states, p.TLS)
			return nil
		}}
		play(t, testServer(t, "xclient", b, nil), TLSStart, "S: 220 mx.example.test ESMTP\nC: XCLIENT ADDR=198.51.100.7\nS: 220 mx.example.test ESMTP\nC: QUIT\nS: 221 2.0.0 Bye\nS-close")
		if len(states) != 2 || len(states[1].PeerCertificates) != 0 || len(states[1].VerifiedChains) != 0 || states[1].Version != tls.VersionTLS13 {
			t.Errorf("%+v", states)
		}
	})
}
