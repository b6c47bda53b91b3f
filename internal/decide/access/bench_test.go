package access

import (
	"testing"

	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
)

// BenchmarkRcpt is the judgement of one recipient by seventeen restrictions, seven of them tables.
func BenchmarkRcpt(b *testing.B) {
	w := &world{files: map[string]string{"nets": "203.0.113.0/24 REJECT\n"}, dns: map[string]string{"far.example MX": "mx.far.example", "mx.far.example A": "192.0.2.1"}}
	p := build(b, w, "client: check_client_access cidr:nets, check_client_access inline:{bad.example=REJECT}, reject_unknown_reverse_client_hostname\n"+
		"helo: reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname, check_helo_access inline:{bad.example=REJECT}\n"+
		"sender: reject_non_fqdn_sender, reject_unknown_sender_domain, check_sender_access inline:{x@bad.example=REJECT}, check_sender_mx_access inline:{mx.bad.example=REJECT}\n"+
		"relay: permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination\n"+
		"recipient: reject_non_fqdn_recipient, reject_unlisted_recipient, check_recipient_access inline:{a@b.example=REJECT}, check_recipient_access inline:{c@d.example=REJECT}")
	conn := &gate.Conn{Extended: true, Reverse: "mx.far.example"}
	conn.Client.Helo, conn.Client.Name = "mx.far.example", "mx.far.example"
	s, err := p.Connect(b.Context(), conn)
	if err != nil {
		b.Fatal(err)
	}
	tx := &gate.Transaction{Transaction: &flow.Transaction{Client: conn.Client}, Conn: conn, Envelope: &envelope.Envelope{From: parse(b, "x@far.example")}}
	r := &envelope.Recipient{To: parse(b, "alice@here.example")}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Mail(b.Context(), tx); err != nil {
			b.Fatal(err)
		}
		if err := s.Rcpt(b.Context(), tx, r); err != nil {
			b.Fatal(err)
		}
	}
}
