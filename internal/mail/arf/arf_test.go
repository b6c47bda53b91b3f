package arf

import (
	"strings"
	"testing"
)

const example = "From: <abusedesk@example.com>\r\nDate: Thu, 8 Mar 2005 17:40:36 EDT\r\nSubject: FW: Earn money\r\nTo: <abuse@example.net>\r\nMIME-Version: 1.0\r\n" +
	"Content-Type: multipart/report; report-type=feedback-report;\r\n     boundary=\"part1_13d\"\r\n\r\n--part1_13d\r\nContent-Type: text/plain; charset=\"US-ASCII\"\r\n\r\n" +
	"This is an email abuse report.\r\n\r\n--part1_13d\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: SomeGenerator/1.0\r\nVersion: 1\r\n" +
	"Original-Mail-From: <somespammer@example.net>\r\nOriginal-Rcpt-To: <user@example.com>\r\nSource-IP: 192.0.2.1\r\n\r\n--part1_13d\r\n" +
	"Content-Type: message/rfc822\r\nContent-Disposition: inline\r\n\r\nReturn-Path: <other@example.net>\r\nFrom: <news@example.net>\r\nTo: <Undisclosed Recipients>\r\n" +
	"Subject: Earn money\r\nMessage-ID: <8787KJKJ3K4J3K4J3K4J3.mail@example.net>\r\n\r\nSpam\r\n--part1_13d--\r\n"

func TestParse(t *testing.T) {
	r, err := Parse([]byte(example))
	if err != nil {
		t.Fatal(err)
	}
	if r.Type != "abuse" || !r.Complaint() || r.From.String() != "somespammer@example.net" || len(r.Recipients) != 1 || r.Recipients[0].String() != "user@example.com" ||
		r.SourceIP != "192.0.2.1" || r.MessageID != "8787KJKJ3K4J3K4J3K4J3.mail@example.net" || r.Author.String() != "news@example.net" {
		t.Errorf("%+v", r)
	}
}

func TestWhatIsLeftOut(t *testing.T) {
	silent := strings.NewReplacer("Original-Mail-From: <somespammer@example.net>\r\nOriginal-Rcpt-To: <user@example.com>\r\n", "", "<Undisclosed Recipients>", "user@example.com").Replace(example)
	r, err := Parse([]byte(silent))
	if err != nil || r.From.String() != "other@example.net" || len(r.Recipients) != 1 || r.Recipients[0].String() != "user@example.com" {
		t.Errorf("%+v %v", r, err)
	}
	r, err = Parse([]byte(strings.Replace(silent, "To: user@example.com", "To: user@example.com, two@example.com", 1)))
	if err != nil || len(r.Recipients) != 0 { // who of them complained is not known
		t.Errorf("%+v %v", r, err)
	}
	r, err = Parse([]byte(strings.Replace(example, "Feedback-Type: abuse", "Feedback-Type: not-spam", 1)))
	if err != nil || r.Complaint() {
		t.Errorf("%+v %v", r, err)
	}
}

func TestNone(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "letter": "Subject: x\r\n\r\nhi\r\n", "delivery": strings.Replace(example, "feedback-report;", "delivery-status;", 1),
		"no facts": strings.Replace(example, "message/feedback-report", "text/plain", 1), "no type": strings.Replace(example, "Feedback-Type: abuse\r\n", "", 1),
		"two": strings.Replace(example, "Content-Type: message/rfc822", "Content-Type: message/feedback-report", 1),
	} {
		if r, err := Parse([]byte(text)); err != ErrNone {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// FuzzParse: whatever comes, what is found is bounded, and each address is one.
func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(b)
		if err != nil {
			if err != ErrNone || r != nil {
				t.Fatalf("%+v, %v", r, err)
			}
			return
		}
		if r.Type == "" || len(r.Type) > 4*maxValue || len(r.UserAgent) > maxValue || len(r.MessageID) > maxValue || len(r.Recipients) > maxRecipients {
			t.Fatalf("%+v", r)
		}
		for _, a := range append(r.Recipients, r.From) {
			if !a.IsZero() && (a.Domain == "" || strings.ContainsAny(a.Domain, " \r\n@")) {
				t.Fatalf("%+v", a)
			}
		}
	})
}
