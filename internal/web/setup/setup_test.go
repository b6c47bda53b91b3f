package setup

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"rsc.io/qr"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// offer is a host with everything.
func offer() Offer {
	const host = "mail.here.example"
	o := Offer{Host: host, URL: "https://" + host, Services: []Service{{SMTP, host, 587, false}, {POP3, host, 110, false}, {IMAP, host, 143, false},
		{SMTP, host, 465, true}, {POP3, host, 995, true}, {IMAP, host, 993, true}}}
	Sort(o.Services)
	return o
}

func mustParse(t testing.TB, s string) address.Address {
	t.Helper()
	a, ok := parse(s)
	if !ok {
		t.Fatalf("%q is no address", s)
	}
	return a
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs: look at the difference, then run with -update\n%s", name, got)
	}
}

// The whole documents, to be read by people.
func TestDocuments(t *testing.T) {
	alice := mustParse(t, "alice@bücher.example")
	small := Offer{Host: "localhost", URL: "https://localhost:10443", Name: "Post", Services: []Service{{IMAP, "localhost", 10993, true}, {SMTP, "localhost", 10587, false}}}
	zone := func(o Offer) []byte {
		var b strings.Builder
		for _, r := range Records(o, alice.Domain) {
			fmt.Fprintln(&b, r)
		}
		return []byte(b.String())
	}
	for name, make := range map[string]func() ([]byte, error){
		"autoconfig.xml":         func() ([]byte, error) { return Autoconfig(offer(), alice.Domain) },
		"autoconfig_small.xml":   func() ([]byte, error) { return Autoconfig(small, alice.Domain) },
		"autodiscover.xml":       func() ([]byte, error) { return Autodiscover(offer(), alice) },
		"autodiscover_error.xml": func() ([]byte, error) { return AutodiscoverError(time.Unix(1.7e9, 0), discoverInvalid) },
		"profile.mobileconfig":   func() ([]byte, error) { return MobileConfig(offer(), Profile{[]address.Address{alice}, "Alice"}) },
		"records.zone":           func() ([]byte, error) { return zone(offer()), nil },
		"records_small.zone":     func() ([]byte, error) { return zone(small), nil },
	} {
		got, err := make()
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, got)
	}
}

// What strangers and operators choose can break out of no document.
func TestTextIsEscaped(t *testing.T) {
	const hostile = "</displayName><evil a=\"1\">&amp;]]>\x00\x1b'\ufffe"
	o := offer()
	o.Name = hostile
	a := mustParse(t, `"</key><evil>&quot;"@here.example`)
	texts := map[string][]byte{}
	var err [3]error
	texts["autoconfig"], err[0] = Autoconfig(o, a.Domain)
	texts["autodiscover"], err[1] = Autodiscover(o, a)
	texts["profile"], err[2] = MobileConfig(o, Profile{[]address.Address{a}, hostile})
	for _, e := range err {
		if e != nil {
			t.Fatal(e)
		}
	}
	for name, text := range texts {
		elements, chars := read(t, text)
		if strings.Contains(elements, "evil") || !strings.Contains(chars, "evil") || strings.ContainsAny(chars, "\x00\x1b\ufffe") {
			t.Errorf("%s: %s\n%s", name, elements, text)
		}
	}
}

// read parses a document to its end and returns its elements' names and its text.
func read(t testing.TB, doc []byte) (elements, chars string) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(doc))
	for {
		token, err := d.Token()
		if err == io.EOF {
			return elements, chars
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		switch x := token.(type) {
		case xml.StartElement:
			elements += x.Name.Local + " "
		case xml.CharData:
			chars += string(x) + " "
		}
	}
}

func TestProfileNeedsBothWays(t *testing.T) {
	a := mustParse(t, "alice@here.example")
	for _, services := range [][]Service{nil, {{IMAP, "h", 1, true}}, {{SMTP, "h", 1, true}}} {
		if _, err := MobileConfig(Offer{Host: "h", Services: services}, Profile{Addresses: []address.Address{a}}); err == nil {
			t.Errorf("a profile from %v", services)
		}
	}
	text, err := MobileConfig(Offer{Host: "h", Services: []Service{{POP3, "h", 110, false}, {SMTP, "h", 587, false}}}, Profile{Addresses: []address.Address{a}})
	if err != nil || !bytes.Contains(text, []byte("EmailTypePOP")) {
		t.Errorf("%v\n%s", err, text)
	}
}

// A profile replaces an older one of the same person, and of nobody else.
func TestProfileIdentifiers(t *testing.T) {
	ids := map[string]string{}
	for _, user := range []string{"alice@here.example", "bob@here.example", "alice@here.example"} {
		for _, part := range []string{"profile", "account"} {
			id := identifier(user, part)
			if before, ok := ids[id]; ok && before != user+part {
				t.Errorf("%s: %s and %s", id, before, user+part)
			}
			ids[id] = user + part
		}
	}
	if len(ids) != 4 {
		t.Error(ids)
	}
}

// What is drawn for terminals is the code itself, with its border, in both colours.
func TestQRText(t *testing.T) {
	const text = "https://mail.here.example/profile.mobileconfig?addresses=alice@here.example"
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		t.Fatal(err)
	}
	for _, dark := range []bool{false, true} {
		drawing, err := QRText(text, dark)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(drawing, "\n"), "\n")
		if len(lines) != (code.Size+2*quiet+1)/2 {
			t.Fatal(len(lines))
		}
		for i, line := range lines {
			row := []rune(line)
			if len(row) != code.Size+2*quiet {
				t.Fatal(len(row))
			}
			for x, r := range row {
				upper, lower := r == '█' || r == '▀', r == '█' || r == '▄'
				y := 2*i - quiet
				if upper != (code.Black(x-quiet, y) != dark) || lower != (code.Black(x-quiet, y+1) != dark) {
					t.Fatalf("dark %v: wrong at %d, %d", dark, x-quiet, y)
				}
			}
		}
	}
	image, err := QRPNG(text)
	if err != nil {
		t.Fatal(err)
	}
	config, err := png.DecodeConfig(bytes.NewReader(image))
	if want := (code.Size + 2*quiet) * qrScale; err != nil || config.Width != want {
		t.Errorf("%v, %d pixels wide, want %d", err, config.Width, want)
	}
}

func TestParse(t *testing.T) {
	for s, want := range map[string]string{
		"alice@here.example": "alice@here.example", " Alice@Here.Example ": "Alice@here.example", "m@müller.example": "m@xn--mller-kva.example",
		"m@xn--mller-kva.example": "m@xn--mller-kva.example", "": "", "alice": "", "@here.example": "", "a@[127.0.0.1]": "", "a@b@c": "",
		"a b@here.example": "", "alice@here.example\r\nX: y": "", strings.Repeat("a", 600) + "@here.example": "",
	} {
		got := ""
		if a, ok := parse(s); ok {
			got = a.String()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}
