// Package status holds the one error type that crosses Postrider's layers and the enhanced status codes of RFC 3463.
//
// A status.Error keeps apart what a peer may read (Public) and what only the log may (Op, Err). SMTP writes Code,
// Enhanced and Public; IMAP, POP3 and JMAP map from Class and Enhanced in one table each. An error that is not a
// status.Error means "temporary, 451 4.3.0": anything but a positive answer means try again.
//
// The package does no I/O and knows no protocol engine.
package status

import (
	"errors"
	"fmt"
)

// Class is the first digit of an enhanced status code (RFC 3463 §2): what the other side should do now.
type Class int

// The classes of RFC 3463 §2.
const (
	Success   Class = 2
	Temporary Class = 4 // try the same again later
	Permanent Class = 5 // do not try again unchanged
)

func (c Class) String() string {
	switch c {
	case Success:
		return "success"
	case Temporary:
		return "temporary"
	case Permanent:
		return "permanent"
	}
	return fmt.Sprintf("class(%d)", int(c))
}

// Enhanced is an enhanced mail system status code, RFC 3463: class.subject.detail. The zero value means "none".
type Enhanced struct {
	Class   Class
	Subject uint16 // 0..999
	Detail  uint16 // 0..999
}

func (e Enhanced) String() string {
	if e.Class == 0 {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", int(e.Class), e.Subject, e.Detail)
}

// IsZero tells whether no enhanced code is set.
func (e Enhanced) IsZero() bool { return e.Class == 0 }

// Error is a refusal or failure with everything a reply needs. Build it with Temp or Perm, which keep class, reply code
// and enhanced code consistent.
type Error struct {
	Class    Class
	Code     int      // SMTP reply code, RFC 5321 §4.2: 400..599
	Enhanced Enhanced // RFC 3463
	Public   string   // one or more lines (separated by \n) that a peer may read; printable UTF-8, no CR
	Op       string   // what we were doing, for the log
	Err      error    // the cause, for the log only
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%d %s %s", e.Code, e.Enhanced, e.Public)
	if e.Op != "" {
		s = e.Op + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// With returns a copy that carries the operation and the cause for the log.
func (e *Error) With(op string, err error) *Error {
	c := *e
	c.Op, c.Err = op, err
	return &c
}

// Is makes a copy that With made equal to its original for errors.Is.
func (e *Error) Is(target error) bool {
	o, ok := target.(*Error)
	return ok && e.Class == o.Class && e.Code == o.Code && e.Enhanced == o.Enhanced && e.Public == o.Public
}

// Temp makes a temporary failure. code is 400..499; subject and detail are those of 4.subject.detail.
func Temp(code int, subject, detail uint16, public string) *Error {
	return build(Temporary, code, subject, detail, public)
}

// Perm makes a permanent failure. code is 500..599; subject and detail are those of 5.subject.detail.
func Perm(code int, subject, detail uint16, public string) *Error {
	return build(Permanent, code, subject, detail, public)
}

func build(c Class, code int, subject, detail uint16, public string) *Error {
	if code/100 != int(c) {
		// A wrong digit is our own slip; the class decides, so that a temporary failure can never bounce.
		code = int(c)*100 + 51
		if c == Permanent {
			code = 554
		}
	}
	return &Error{Class: c, Code: code, Enhanced: Enhanced{c, subject, detail}, Public: public}
}

// Of returns err as a *Error. What is not one becomes 451 4.3.0, with err kept for the log; nil stays nil.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Class: Temporary, Code: 451, Enhanced: Enhanced{Temporary, 3, 0},
		Public: "Local error in processing; try again later", Err: err}
}

// Soften makes a permanent failure a temporary one, with the same text; any other error stays as it is.
func Soften(err error) error {
	if !IsPermanent(err) {
		return err
	}
	e := *Of(err)
	e.Class, e.Enhanced.Class, e.Code = Temporary, Temporary, 450
	return &e
}

// IsTemporary tells whether err (not nil) leaves hope for a later try. Unknown errors do.
func IsTemporary(err error) bool { return err != nil && Of(err).Class == Temporary }

// IsPermanent tells whether err is a permanent failure.
func IsPermanent(err error) bool { return err != nil && Of(err).Class == Permanent }

// ParseEnhanced reads "4.2.1" at the start of s and returns the code and what follows one space.
func ParseEnhanced(s string) (Enhanced, string, bool) {
	if len(s) < 5 || (s[0] != '2' && s[0] != '4' && s[0] != '5') || s[1] != '.' {
		return Enhanced{}, s, false
	}
	subject, rest, ok := digits(s[2:])
	if !ok || rest == "" || rest[0] != '.' {
		return Enhanced{}, s, false
	}
	detail, rest, ok := digits(rest[1:])
	if !ok || (rest != "" && rest[0] != ' ') {
		return Enhanced{}, s, false
	}
	if rest != "" {
		rest = rest[1:]
	}
	return Enhanced{Class(s[0] - '0'), subject, detail}, rest, true
}

// digits reads one to three digits, RFC 3463 §2.
func digits(s string) (uint16, string, bool) {
	n, i := uint16(0), 0
	for i < len(s) && i < 3 && s[i] >= '0' && s[i] <= '9' {
		n = n*10 + uint16(s[i]-'0')
		i++
	}
	return n, s[i:], i > 0
}
