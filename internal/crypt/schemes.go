package crypt

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"io"
	"slices"
	"strings"
)

// scheme is how one scheme works. verify gets the data behind the brace, decoded where the data are binary.
type scheme struct {
	verify func(data, user, password string) (bool, error)
	hash   func(user, password string, random io.Reader) (string, error) // nil: only read
	binary *size                                                         // nil: the data are text
	weak   bool
}

// size is that of a digest and of the most salt behind it, in bytes.
type size struct{ digest, salt int }

// isHex tells hex from base64.
func (b *size) isHex(data string) bool { return b != nil && len(data) == 2*b.digest && b.salt == 0 }

const maxSalt = 64

// schemes is the table of all schemes, by name.
func schemes() map[string]scheme {
	table := map[string]scheme{
		"CRYPT":        {verify: verifyCrypt},
		"ARGON2ID":     {verify: verifyCrypt, hash: hashArgon2ID},
		"ARGON2I":      {verify: verifyCrypt},
		"BLF-CRYPT":    {verify: verifyCrypt, hash: hashBcrypt},
		"SHA512-CRYPT": {verify: verifyCrypt, hash: hashSHA512Crypt},
		"SHA256-CRYPT": {verify: verifyCrypt},
		"MD5-CRYPT":    {verify: verifyCrypt, weak: true},
		"MD5":          {verify: verifyCrypt, weak: true},
		"DES-CRYPT":    {verify: verifyCrypt, weak: true},
		"PBKDF2":       {verify: verifyPBKDF2},

		"PLAIN":       {verify: verifyPlain, weak: true},
		"CLEAR":       {verify: verifyPlain, weak: true},
		"CLEARTEXT":   {verify: verifyPlain, weak: true},
		"PLAIN-TRUNC": {verify: verifyTruncated, weak: true},

		"CRAM-MD5":      {verify: verifyCRAM, binary: &size{32, 0}, weak: true},
		"HMAC-MD5":      {verify: verifyCRAM, binary: &size{32, 0}, weak: true},
		"DIGEST-MD5":    {verify: verifyDigestMD5, binary: &size{16, 0}, weak: true},
		"SCRAM-SHA-1":   {verify: verifySCRAM(sha1.New)},
		"SCRAM-SHA-256": {verify: verifySCRAM(sha256.New), hash: hashSCRAM},
		"OTP":           {verify: verifyOTP, weak: true},
		"SKEY":          {verify: verifyOTP, weak: true},
		"NTLM":          {verify: verifyNTLM, binary: &size{16, 0}, weak: true},
		"LANMAN":        {verify: verifyLANMAN, binary: &size{16, 0}, weak: true},
	}
	for name, d := range map[string]digest{
		"SHA": {sha1.New, 0}, "SHA1": {sha1.New, 0}, "SHA256": {sha256.New, 0}, "SHA512": {sha512.New, 0},
		"SSHA": {sha1.New, maxSalt}, "SSHA256": {sha256.New, maxSalt}, "SSHA512": {sha512.New, maxSalt},
		"SMD5": {md5.New, maxSalt}, "LDAP-MD5": {md5.New, 0}, "PLAIN-MD5": {md5.New, 0}, "PLAIN-MD4": {newMD4, 0},
	} {
		table[name] = scheme{verify: d.verify, binary: &size{d.hash().Size(), d.salt}, weak: true}
	}
	return table
}

// DefaultScheme is what Hash is asked for when nobody says otherwise.
const DefaultScheme = "ARGON2ID"

// Schemes lists all schemes by name.
func Schemes() (list []Scheme) {
	for name, s := range schemes() {
		list = append(list, Scheme{Name: name, Write: s.hash != nil, Weak: s.weak})
	}
	slices.SortFunc(list, func(a, b Scheme) int { return strings.Compare(a.Name, b.Name) })
	return list
}
