package flow

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"pgregory.net/rapid"
)

func drawAddress(t *rapid.T) address.Address {
	return address.Address{Local: rapid.String().Draw(t, "local"), Domain: rapid.String().Draw(t, "domain")}
}

func drawJob(t *rapid.T) *Job {
	j := &Job{
		ID:       queueid.New(rapid.Int64Range(1, 1<<52).Draw(t, "micros"), rapid.Uint64().Draw(t, "origin")),
		Received: time.UnixMicro(rapid.Int64Range(0, 1<<52).Draw(t, "received")),
		From:     drawAddress(t),
		Body:     envelope.Body8BitMIME,
		UTF8:     rapid.Bool().Draw(t, "utf8"),
		Ret:      envelope.RetHeaders,
		EnvID:    rapid.String().Draw(t, "envid"),
		Client: Client{Addr: netip.MustParseAddrPort("[2001:db8::1]:4025"), Name: "c.example", Helo: rapid.String().Draw(t, "helo"),
			Protocol: "ESMTPSA", TLS: "TLSv1.3", Account: rapid.Int64Range(0, 1<<60).Draw(t, "account"), Login: "a@example"},
		Index: rapid.SliceOfN(rapid.Byte(), 1, 50).Draw(t, "index"),
	}
	self := Self
	self.Length = 500
	j.Message = recipe.Recipe{recipe.Literal([]byte("Received: x\r\n")), {Blob: self, Offset: 3, Length: 90},
		{Blob: recipe.BlobRef{Pack: 7, Offset: 64, Length: 10}, Length: 10}}
	if rapid.Bool().Draw(t, "held") {
		j.Hold = "looks odd"
	}
	if rapid.Bool().Draw(t, "options") {
		j.NotBefore, j.DeliverBy = time.UnixMicro(rapid.Int64Range(1, 1<<52).Draw(t, "not before")), time.UnixMicro(5)
		j.Priority, j.Bulk, j.DeliverByReturn = rapid.Int8().Draw(t, "priority"), rapid.Bool().Draw(t, "bulk"), rapid.Bool().Draw(t, "return")
	}
	j.RequireTLS = rapid.Bool().Draw(t, "require tls")
	for i := range rapid.IntRange(1, 5).Draw(t, "recipients") {
		j.Recipients = append(j.Recipients, Recipient{No: i, To: drawAddress(t), Original: drawAddress(t),
			Notify: envelope.NotifyFailure, ORcpt: "rfc822;x@y", Transport: Mailbox, Account: int64(i) + 1,
			Folder: rapid.SliceOfN(rapid.String(), 1, 3).Draw(t, "folder"), NextHop: "[127.0.0.1]:25"})
		if rapid.Bool().Draw(t, "own sender") {
			a := drawAddress(t)
			j.Recipients[i].Sender = &a
		}
	}
	return j
}

func TestCodecRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := drawJob(t)
		b := AppendJob(nil, j)
		back, err := DecodeJob(b)
		if err != nil || !reflect.DeepEqual(back, j) {
			t.Fatalf("%v\n%+v\n%+v", err, j, back)
		}
		// Cut or lengthened bytes are refused, whatever the place.
		if _, err := DecodeJob(b[:rapid.IntRange(0, len(b)-1).Draw(t, "cut")]); err == nil {
			t.Fatal("a cut job decodes")
		}
		if _, err := DecodeJob(append(b, 0)); err == nil {
			t.Fatal("a byte too many decodes")
		}
		ref := recipe.BlobRef{Pack: 12, Offset: 4096, Length: 500}
		back.Bind(ref)
		if got := back.Blobs(); len(got) != 2 || got[0] != ref || got[1].Pack != 7 {
			t.Fatalf("bound to %v", got)
		}
		b = AppendJob(nil, back)
		if bound, err := DecodeJob(b); err != nil || bound.Record != ref || !reflect.DeepEqual(bound, back) {
			t.Fatalf("%v\n%+v\n%+v", err, back, bound)
		}
		if _, err := DecodeJob(b[:rapid.IntRange(0, len(b)-1).Draw(t, "cut of a bound one")]); err == nil {
			t.Fatal("a cut job decodes")
		}
	})
}

func TestDecodeLaterVersion(t *testing.T) {
	j := &Job{ID: queueid.New(1, 1), Received: time.UnixMicro(1)}
	b := AppendJob(nil, j)
	if _, err := DecodeJob(append(b, 0, 99, 0, 0, 0, 1, 'x')); err != nil {
		t.Fatalf("an element that may be passed over: %v", err)
	}
	if _, err := DecodeJob(append(b, 0x80, 99, 0, 0, 0, 0)); err == nil {
		t.Fatal("an unknown critical element was passed over")
	}
}

func FuzzDecodeJob(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		j, err := DecodeJob(b)
		if err != nil {
			return
		}
		again, err := DecodeJob(AppendJob(nil, j))
		if err != nil || !reflect.DeepEqual(j, again) {
			t.Fatalf("not stable: %v", err)
		}
	})
}
