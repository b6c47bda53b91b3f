package crypt

import (
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"

	//lint:ignore SA1019 what others stored with it must be read
	"golang.org/x/crypto/md4"
)

// digest is a hash of the password and of a salt that stands behind it.
type digest struct {
	hash func() hash.Hash
	salt int // most bytes of salt; 0: none
}

func (d digest) verify(data, _, password string) (bool, error) {
	h := d.hash()
	size := h.Size()
	if len(data) < size {
		return false, ErrForm
	}
	_, _ = io.WriteString(h, password+data[size:])
	return equal(string(h.Sum(nil)), data[:size]), nil
}

func verifyPlain(data, _, password string) (bool, error) { return equal(data, password), nil }

// verifyTruncated: data is a password, or "N-" and a password, of which only the first N bytes are known if it is that long.
func verifyTruncated(data, _, password string) (bool, error) {
	length, text, ok := strings.Cut(data, "-")
	n, err := strconv.Atoi(length)
	if !ok || err != nil {
		return equal(data, password), nil
	}
	if n < 1 {
		return false, fmt.Errorf("%w: %q bytes", ErrForm, length)
	}
	if len(text) == n {
		password = password[:min(n, len(password))]
	}
	return equal(text, password), nil
}

// verifyPBKDF2: $1$salt$rounds$hex, with SHA-1.
func verifyPBKDF2(data, _, password string) (bool, error) {
	parts := strings.Split(data, "$")
	if len(parts) != 5 || parts[0] != "" || parts[1] != "1" {
		return false, ErrForm
	}
	rounds, err := strconv.Atoi(parts[3])
	if err != nil || rounds < 1 {
		return false, ErrForm
	}
	if rounds > maxSHARounds {
		return false, fmt.Errorf("%w: %d rounds", ErrCost, rounds)
	}
	want, err := hex.DecodeString(parts[4])
	if err != nil || len(want) != sha1.Size {
		return false, ErrForm
	}
	got, err := pbkdf2.Key(sha1.New, password, []byte(parts[2]), rounds, sha1.Size)
	return err == nil && equal(got, want), err
}

// newMD4 is for what was stored long ago.
func newMD4() hash.Hash { return md4.New() }

// verifyNTLM: MD4 of the password in UTF-16, little-endian.
func verifyNTLM(data, _, password string) (bool, error) {
	h := newMD4()
	for _, unit := range utf16.Encode([]rune(password)) {
		_, _ = h.Write(binary.LittleEndian.AppendUint16(nil, unit))
	}
	return equal(string(h.Sum(nil)), data), nil
}

// verifyLANMAN: two halves of seven upper-case characters, each the key that encrypts a known text.
func verifyLANMAN(data, _, password string) (bool, error) {
	var key [14]byte
	copy(key[:], strings.ToUpper(password))
	var sum []byte
	for _, half := range [][]byte{key[:7], key[7:]} {
		block, err := des.NewCipher(spread(half))
		if err != nil {
			return false, err
		}
		out := make([]byte, 8)
		block.Encrypt(out, []byte("KGS!@#$%"))
		sum = append(sum, out...)
	}
	return equal(string(sum), data), nil
}

// spread puts 56 bits into the eight bytes of a DES key, whose lowest bits are parity.
func spread(seven []byte) []byte {
	var bits [8]byte
	copy(bits[1:], seven)
	n := binary.BigEndian.Uint64(bits[:])
	out := make([]byte, 8)
	for i := range out {
		out[i] = byte(n>>(49-7*i)) << 1
	}
	return out
}
