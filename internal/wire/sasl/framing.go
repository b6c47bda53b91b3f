package sasl

import (
	"encoding/base64"

	"github.com/postrider/postrider/internal/mail/status"
)

// MaxLine bounds a base64 response line, RFC 4954 §4: 12288 octets.
const MaxLine = 12288

// The ways in which an exchange fails.
var (
	ErrCancelled   = status.Perm(501, 7, 0, "Authentication cancelled")                        // RFC 4954 §4
	ErrMalformed   = status.Perm(501, 5, 2, "Malformed authentication message")                // RFC 4954 §4
	ErrEncoding    = status.Perm(501, 5, 2, "Cannot decode base64")                            // RFC 4954 §4
	ErrTooLong     = status.Perm(500, 5, 6, "Authentication exchange line is too long")        // RFC 4954 §4
	ErrMechanism   = status.Perm(504, 5, 4, "Unrecognized authentication mechanism")           // RFC 4954 §4
	ErrCredentials = status.Perm(535, 7, 8, "Authentication credentials invalid")              // RFC 4954 §6
	ErrAuthzid     = status.Perm(535, 7, 8, "Authorization for another identity is not given") // RFC 4422 §3.4.1
)

// DecodeInitial decodes an initial response as it stands after the mechanism's name: "=" means present but empty
// (RFC 4954 §4, RFC 4959 §3). The result is never nil.
func DecodeInitial(arg string) ([]byte, error) {
	if arg == "=" {
		return []byte{}, nil
	}
	return decode(arg)
}

// DecodeResponse decodes a line of the exchange, without its CRLF: "*" alone cancels. The result is never nil.
func DecodeResponse(line string) ([]byte, error) {
	if line == "*" {
		return nil, ErrCancelled
	}
	return decode(line)
}

func decode(s string) ([]byte, error) {
	if len(s) > MaxLine {
		return nil, ErrTooLong
	}
	for i := range len(s) {
		if s[i] == '\r' || s[i] == '\n' { // Go's decoder would skip these
			return nil, ErrEncoding
		}
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, ErrEncoding.With("sasl", err)
	}
	return b, nil
}

// Encode returns the base64 of a challenge or response; the empty one is the empty string.
func Encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// EncodeInitial returns the base64 of an initial response; the empty one is "=".
func EncodeInitial(b []byte) string {
	if len(b) == 0 {
		return "="
	}
	return Encode(b)
}
