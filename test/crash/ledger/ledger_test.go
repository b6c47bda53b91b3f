package ledger

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"testing"

	"github.com/postrider/postrider/test/crash/trace"
)

func TestLocate(t *testing.T) {
	const a, b = "TCP:[127.0.0.1:25->127.0.0.1:7001]", "TCP:[127.0.0.1:25->127.0.0.1:7002]"
	var events []trace.Event
	for i, w := range []struct{ path, data string }{
		{"/d/p", "250 message one\r\n"}, // a file: no acknowledgement
		{b, "250 message one\r\n"},      // another client
		{a, "220 hello\r\n250 mess"},    // line 3
		{b, "250 message two\r\n"},      // between: not of that stream
		{a, "age o"},
		{a, "ne\r\n250 message three\r\n"}, // line 6
	} {
		events = append(events, trace.Event{Kind: trace.Write, Begin: int64(i + 1), End: int64(i + 1), Path: w.path, Data: []byte(w.data)})
	}
	at, err := Locate(events, []Ack{
		{Reply: []byte("250 message one\r\n"), Peer: "127.0.0.1:7001"},
		{Reply: []byte("250 message two\r\n"), Peer: "127.0.0.1:7001"},
		{Reply: []byte("250 message two\r\n")},
		{Reply: []byte("250 message three\r\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{3, -1, 4, 6} {
		if at[i] != want {
			t.Errorf("reply %d at line %d, want %d", i, at[i], want)
		}
	}
	if _, err := Locate(events, []Ack{{Reply: []byte("250 ok")}}); err == nil {
		t.Error("a short reply is found by chance")
	}
	if at, err := Locate(events, nil); err != nil || len(at) != 0 {
		t.Errorf("an empty ledger: %v, %v", at, err)
	}
}

// Behind TLS the reply is known by its ciphertext, which the server's socket
// write has and no other.
func TestTapUnderTLS(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	wire := make(chan []byte, 64)
	srv := tls.Server(&recorder{server, wire}, &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}})
	go func() {
		defer server.Close()
		buf := make([]byte, 5)
		for _, reply := range []string{"* OK hello\r\n", "a1 OK [APPENDUID 1 7] done\r\n"} {
			if _, err := io.ReadFull(srv, buf); err != nil {
				return
			}
			if _, err := io.WriteString(srv, reply); err != nil {
				return
			}
		}
	}()
	tap := &Tap{Conn: client}
	c := tls.Client(tap, &tls.Config{InsecureSkipVerify: true}) // the certificate is not what is tested
	buf := make([]byte, 100)
	var reply []byte
	for range 2 {
		tap.Mark()
		if _, err := c.Write([]byte("go on")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(buf); err != nil {
			t.Fatal(err)
		}
		reply = tap.Reply(24)
	}
	var events []trace.Event
	for len(wire) > 0 {
		events = append(events, trace.Event{Kind: trace.Write, Begin: int64(len(events) + 1), Path: "TCP:[a:1->b:2]", Data: <-wire})
	}
	at, err := Locate(events, []Ack{{Reply: reply}})
	if err != nil {
		t.Fatal(err)
	}
	if at[0] != int64(len(events)) {
		t.Errorf("reply found in write %d of %d", at[0], len(events))
	}
}

type recorder struct {
	net.Conn
	wire chan []byte
}

func (r *recorder) Write(p []byte) (int, error) {
	r.wire <- append([]byte(nil), p...)
	return r.Conn.Write(p)
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestBook(t *testing.T) {
	var b Book
	b.Add(Ack{ID: "1"})
	acks := b.Acks()
	acks[0].ID = "changed"
	if b.Acks()[0].ID != "1" {
		t.Error("Acks must be a copy")
	}
}
