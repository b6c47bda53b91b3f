package node

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/smtp"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/dns/dnstest"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/state/directory"
)

// onLists waits until so many entries are on the lists.
func onLists(t *testing.T, n *Node, want int) (list []admin.Suppression) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		list = nil
		if err := n.API().Suppressions(t.Context(), admin.SuppressionFilter{}, func(s admin.Suppression) error { list = append(list, s); return nil }); err != nil {
			t.Fatal(err)
		}
		if len(list) == want {
			return list
		}
	}
	t.Fatalf("never %d entries: %+v", want, list)
	return nil
}

// An address that fails for good is not tried again for a newsletter, is for a letter; a complaint does the same.
func TestSuppression(t *testing.T) {
	there, _ := start(t, testConfig(t, t.TempDir(), `domain = "there.example"`, `hostname = "mx.there.example"`))
	dns := dnstest.New(t, "there.example. 60 IN MX 10 mx.there.example.\nmx.there.example. 60 IN A 127.0.0.1\n").Listen(t)
	here, _ := start(t, testConfig(t, t.TempDir(), fmt.Sprintf("dns.resolvers = [%q]", dns), fmt.Sprintf("mta.port = %d", there.Addresses()["smtp"].Port()),
		`suppression.complaint_addresses = ["fbl@here.example"]`))
	addUser(t, here, "alice", "pw")
	addUser(t, here, "fbl", "pw")
	c := login(t, here, "alice@here.example", "pw")

	submitAlice(t, here, "nobody@there.example", "Subject: first\r\n\r\nx\r\n")
	arrived(t, c, "INBOX", 1)
	if e := onLists(t, here, 1)[0]; e.Owner != "@here.example" || e.Address != "nobody@there.example" || e.Reason != "bounce" || e.Class != "unknown" || e.Until == nil {
		t.Errorf("%+v", e)
	}
	submitAlice(t, here, "nobody@there.example", "Subject: news\r\nList-Id: <n.here.example>\r\n\r\nx\r\n")
	arrived(t, c, "INBOX", 2)
	if got := string(bodyOf(t, c, 2)); !strings.Contains(got, "Status: 5.1.0") || !strings.Contains(got, "not tried: the address is on the suppression list since") || strings.Contains(got, "Remote-MTA") {
		t.Errorf("%s", got)
	}
	submitAlice(t, here, "nobody@there.example", "Subject: letter\r\n\r\nx\r\n")
	arrived(t, c, "INBOX", 3)
	if got := string(bodyOf(t, c, 3)); !strings.Contains(got, "Remote-MTA: dns; mx.there.example") {
		t.Errorf("%s", got)
	}

	report := "From: fbl@there.example\r\nTo: fbl@here.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\n\r\nx\r\n" +
		"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nVersion: 1\r\nOriginal-Mail-From: <list+angry=there.example@%s>\r\n\r\n--b\r\n" +
		"Content-Type: text/rfc822-headers\r\n\r\nSubject: news\r\n\r\n--b--\r\n"
	for _, domain := range []string{"far.example", "here.example"} { // the first is no domain of ours
		if err := send(t, here, "fbl@here.example", fmt.Sprintf(report, domain)); err != nil {
			t.Fatal(err)
		}
	}
	if e := onLists(t, here, 2)[0]; e.Address != "angry@there.example" || e.Owner != "@here.example" || e.Reason != "complaint" || e.Class != "abuse" {
		t.Errorf("%+v", e)
	}
	if v, err := here.API().CheckSuppression(t.Context(), admin.SuppressionKey{Owner: "alice@here.example", Address: "Angry@there.example"}); err != nil || !v.Suppressed {
		t.Errorf("%+v %v", v, err)
	}
}

// A newsletter of strangers that is led on to somebody who is not there makes no entry, and is not held back by one of theirs; what
// the operator says of everybody holds for it too.
func TestSuppressionIsNotForStrangers(t *testing.T) {
	there, _ := start(t, testConfig(t, t.TempDir(), `domain = "there.example"`, `hostname = "mx.there.example"`))
	if _, err := there.addAccount(t.Context(), directory.NewAccount{Address: address.Address{Local: "bob", Domain: "there.example"}, Password: "pw"}); err != nil {
		t.Fatal(err)
	}
	dns := dnstest.New(t, "there.example. 60 IN MX 10 mx.there.example.\nmx.there.example. 60 IN A 127.0.0.1\n").Listen(t)
	here, _ := start(t, testConfig(t, t.TempDir(), fmt.Sprintf("dns.resolvers = [%q]", dns), fmt.Sprintf("mta.port = %d", there.Addresses()["smtp"].Port())))
	addUser(t, here, "alice", "pw")
	for _, name := range []string{"nobody", "bob", "closed"} {
		if _, err := here.directory.AddAlias(t.Context(), address.Address{Local: "to-" + name, Domain: "here.example"}, []address.Address{{Local: name, Domain: "there.example"}}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := here.API().AddSuppressions(t.Context(), []admin.Suppression{{Owner: "@far.example", Address: "bob@there.example"}, {Address: "closed@there.example"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"nobody", "bob"} {
		if err := send(t, here, "to-"+name+"@here.example", "Subject: news of strangers\r\nList-Id: <n.far.example>\r\n\r\nx\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	if err := here.API().Suppressions(t.Context(), admin.SuppressionFilter{Reason: "typo"}, nil); err == nil || !strings.Contains(err.Error(), "none of bounce") {
		t.Error(err)
	}
	arrived(t, login(t, there, "bob@there.example", "pw"), "INBOX", 1)
	if err := send(t, here, "to-closed@here.example", "Subject: news of strangers\r\nList-Id: <n.far.example>\r\n\r\nx\r\n"); err != nil {
		t.Fatal(err)
	}
	submitAlice(t, here, "gone@there.example", "Subject: ours\r\n\r\nx\r\n") // later than the strangers', who are on the list before it or never
	arrived(t, login(t, here, "alice@here.example", "pw"), "INBOX", 1)
	for _, e := range onLists(t, here, 3) {
		if e.Reason == "bounce" && (e.Owner != "@here.example" || e.Address != "gone@there.example") {
			t.Errorf("%+v", e)
		}
	}
}

// VERP by a client that may, and a double bounce that reaches the postmaster, through a running server.
func TestVERPAndDoubleBounce(t *testing.T) {
	there, _ := start(t, testConfig(t, t.TempDir(), `domain = "there.example"`, `hostname = "mx.there.example"`))
	dns := dnstest.New(t, "there.example. 60 IN MX 10 mx.there.example.\nmx.there.example. 60 IN A 127.0.0.1\n").Listen(t)
	here, _ := start(t, testConfig(t, t.TempDir(), fmt.Sprintf("dns.resolvers = [%q]", dns), fmt.Sprintf("mta.port = %d", there.Addresses()["smtp"].Port()),
		`notices.smtpd_authorized_verp_clients = ["127.0.0.0/8"]`, `notices.2bounce_notice_recipient = "alice@here.example"`))
	addUser(t, here, "alice", "pw")
	if _, err := here.directory.AddAlias(t.Context(), address.Address{Local: "gone", Domain: "here.example"}, []address.Address{{Local: "nobody", Domain: "there.example"}}); err != nil {
		t.Fatal(err)
	}
	client, err := smtp.Dial(here.Addresses()["submission"].String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	err = errors.Join(client.StartTLS(&tls.Config{InsecureSkipVerify: true}), client.Auth(smtp.PlainAuth("", "alice@here.example", "pw", "127.0.0.1")))
	if err != nil {
		t.Fatal(err)
	}
	for _, keyword := range []string{"XVERP", "FUTURERELEASE", "DELIVERBY", "MT-PRIORITY", "REQUIRETLS"} {
		if ok, _ := client.Extension(keyword); !ok {
			t.Errorf("%s is not offered", keyword)
		}
	}
	id, err := client.Text.Cmd("MAIL FROM:<alice@here.example> XVERP MT-PRIORITY=3 BY=3600;N")
	if err != nil {
		t.Fatal(err)
	}
	client.Text.StartResponse(id)
	_, _, err = client.Text.ReadResponse(250)
	client.Text.EndResponse(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Rcpt("nobody@there.example"); err != nil {
		t.Fatal(err)
	}
	w, err := client.Data()
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(w, "Subject: verp\r\n\r\nx\r\n")
	if err := errors.Join(err, w.Close(), client.Quit()); err != nil {
		t.Fatal(err)
	}
	c := login(t, here, "alice@here.example", "pw")
	arrived(t, c, "INBOX", 1)
	if got := string(bodyOf(t, c, 1)); !strings.Contains(got, "To: <alice+nobody=there.example@here.example>") {
		t.Errorf("%s", got)
	}

	// A report from elsewhere, to an address that leads to one that does not exist.
	in, err := smtp.Dial(here.Addresses()["smtp"].String())
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := errors.Join(in.Hello("client.example"), in.Mail(""), in.Rcpt("gone@here.example")); err != nil {
		t.Fatal(err)
	}
	if w, err = in.Data(); err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(w, "Subject: report\r\n\r\nlost?\r\n")
	if err := errors.Join(err, w.Close(), in.Quit()); err != nil {
		t.Fatal(err)
	}
	arrived(t, c, "INBOX", 2)
	if got := string(bodyOf(t, c, 2)); !strings.Contains(got, "Return-Path: <double-bounce@here.example>") || !strings.Contains(got, "Sender: <>") || !strings.Contains(got, "lost?") {
		t.Errorf("%s", got)
	}
}
