// Package crypt reads and writes stored passwords in the forms that other mail systems keep: Dovecot's {SCHEME}data and
// the bare forms of crypt(3). It is how accounts move here without anybody's password being known.
//
// A stored password is {SCHEME}data, where the scheme may end in .hex, .b64 or .base64 to say how the data is written
// (as in Dovecot's passdb), or a bare "$id$…" as in shadow(5). Names of schemes are compared without regard to case.
//
// Costs that stand in a stored password are bounded before any work is done: a damaged or hostile one is ErrCost, not a
// machine without memory. Comparisons of secrets take the same time wherever they differ. The package never logs and
// keeps nothing.
//
//	crypt.go      Verify, Hash, Schemes
//	schemes.go    the table of schemes
//	unix.go       the forms of crypt(3): MD5, SHA-2, bcrypt, yescrypt, argon2
//	des.go        the oldest form of crypt(3)
//	digest.go     plain and salted digests, PBKDF2, NTLM and LANMAN
//	challenge.go  what challenge-response mechanisms store: CRAM-MD5, DIGEST-MD5, SCRAM, OTP
package crypt

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Errors of Verify and Hash, wrapped with what was wrong.
var (
	ErrScheme = errors.New("unknown password scheme")
	ErrForm   = errors.New("stored password has not the form of its scheme")
	ErrCost   = errors.New("stored password asks for more work than is allowed")
)

// MaxStored bounds a stored password, in bytes; MaxPassword the password itself.
const (
	MaxStored   = 4096
	MaxPassword = 1024
)

// Verify tells whether password is the one that stored was made from. user is the login name, which DIGEST-MD5 alone
// needs. An error means that stored cannot be used.
func Verify(stored, user, password string) (bool, error) {
	if len(password) > MaxPassword || strings.IndexByte(password, 0) >= 0 {
		return false, nil
	}
	name, encoding, data, err := split(stored)
	if err != nil {
		return false, err
	}
	s, ok := schemes()[name]
	if !ok {
		return false, fmt.Errorf("%w {%s}", ErrScheme, name)
	}
	if encoding != "" || s.binary != nil {
		raw, err := decode(s, encoding, data)
		if err != nil {
			return false, fmt.Errorf("{%s}: %w", name, err)
		}
		data = string(raw)
	}
	fits, err := s.verify(data, user, password)
	if err != nil {
		return false, fmt.Errorf("{%s}: %w", name, err)
	}
	return fits, nil
}

// Check tells whether stored has a form that Verify can use, at the price of one verification.
func Check(stored string) error {
	_, err := Verify(stored, "user@example.org", "password")
	return err
}

// Hash makes the stored form of a password, with its scheme in front. The schemes that can be written are those of Schemes
// with Write set.
func Hash(scheme, user, password string, random io.Reader) (string, error) {
	name, encoding, err := splitName(scheme)
	if err != nil {
		return "", err
	}
	s, ok := schemes()[name]
	if !ok {
		return "", fmt.Errorf("%w {%s}", ErrScheme, name)
	}
	if s.hash == nil || encoding != "" {
		return "", fmt.Errorf("%w: {%s} is only read, not written", ErrScheme, scheme)
	}
	if password == "" || len(password) > MaxPassword || strings.IndexByte(password, 0) >= 0 {
		return "", fmt.Errorf("a password has 1 to %d bytes and no NUL", MaxPassword)
	}
	text, err := s.hash(user, password, random)
	if err != nil {
		return "", err
	}
	return "{" + name + "}" + text, nil
}

// Scheme describes a scheme.
type Scheme struct {
	Name  string // as it stands between braces
	Write bool   // Hash can make it
	Weak  bool   // who steals the stored form has the password, or soon will
}

// split takes {SCHEME.encoding}data apart; a bare form of crypt(3) is {CRYPT}.
func split(stored string) (name, encoding, data string, err error) {
	if stored == "" || len(stored) > MaxStored {
		return "", "", "", fmt.Errorf("%w: it wants 1 to %d bytes", ErrForm, MaxStored)
	}
	if stored[0] != '{' {
		return "CRYPT", "", stored, nil
	}
	scheme, data, ok := strings.Cut(stored[1:], "}")
	if !ok {
		return "", "", "", fmt.Errorf("%w: there is no } after the scheme", ErrForm)
	}
	name, encoding, err = splitName(scheme)
	return name, encoding, data, err
}

func splitName(scheme string) (name, encoding string, err error) {
	name, encoding, _ = strings.Cut(strings.ToUpper(scheme), ".")
	switch encoding {
	case "", "HEX", "B64", "BASE64":
		return name, encoding, nil
	}
	return "", "", fmt.Errorf("%w: encoding %q is none of hex, b64, base64", ErrScheme, encoding)
}

// decode gives the bytes of a scheme whose data are binary, and undoes the encoding that was asked for of others. Without
// a named encoding hex is told from base64 by its length, as in Dovecot.
func decode(s scheme, encoding, data string) ([]byte, error) {
	var raw []byte
	var err error
	switch {
	case encoding == "HEX", encoding == "" && s.binary.isHex(data):
		raw, err = hex.DecodeString(data)
	default:
		raw, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(data, "="))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrForm, err)
	}
	if s.binary != nil && (len(raw) < s.binary.digest || len(raw) > s.binary.digest+s.binary.salt) {
		return nil, fmt.Errorf("%w: %d bytes, not %d", ErrForm, len(raw), s.binary.digest)
	}
	return raw, nil
}

// equal compares in constant time.
func equal[T string | []byte](a, b T) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}
