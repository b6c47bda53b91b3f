package crypt

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"encoding"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
)

// verifyCRAM: the states of MD5 after the outer and the inner pad of HMAC (RFC 2104 §2), each as four little-endian words.
func verifyCRAM(data, _, password string) (bool, error) {
	key := []byte(password)
	if len(key) > md5.BlockSize {
		sum := md5.Sum(key)
		key = sum[:]
	}
	outer, err := padState(key, 0x5c)
	if err != nil {
		return false, err
	}
	inner, err := padState(key, 0x36)
	if err != nil {
		return false, err
	}
	return equal(string(outer)+string(inner), data), nil
}

// padState is the state of MD5 after one block: the key, each byte changed by the pad.
func padState(key []byte, pad byte) ([]byte, error) {
	var block [md5.BlockSize]byte
	copy(block[:], key)
	for i := range block {
		block[i] ^= pad
	}
	h := md5.New()
	_, _ = h.Write(block[:])
	m, ok := h.(encoding.BinaryMarshaler)
	if !ok {
		return nil, fmt.Errorf("crypt: MD5 does not tell its state")
	}
	state, err := m.MarshalBinary() // "md5\x01", then the four words, big-endian
	if err != nil || len(state) < 20 {
		return nil, fmt.Errorf("crypt: state of MD5: %w", err)
	}
	var out []byte
	for i := 4; i < 20; i += 4 {
		out = binary.LittleEndian.AppendUint32(out, binary.BigEndian.Uint32(state[i:]))
	}
	return out, nil
}

// verifyDigestMD5: MD5 of user:realm:password (RFC 2831 §2.1.2.1); the realm is what stands behind the user's @.
func verifyDigestMD5(data, user, password string) (bool, error) {
	name, realm, _ := strings.Cut(user, "@")
	sum := md5.Sum([]byte(name + ":" + realm + ":" + password))
	return equal(string(sum[:]), data), nil
}

// verifySCRAM: iterations,salt,StoredKey,ServerKey (RFC 5802 §3), the last three in base64.
func verifySCRAM(h func() hash.Hash) func(data, user, password string) (bool, error) {
	return func(data, _, password string) (bool, error) {
		parts := strings.Split(data, ",")
		if len(parts) != 4 {
			return false, ErrForm
		}
		iterations, err := strconv.Atoi(parts[0])
		if err != nil || iterations < 1 {
			return false, ErrForm
		}
		if iterations > maxSHARounds {
			return false, fmt.Errorf("%w: %d iterations", ErrCost, iterations)
		}
		salt, err1 := base64.StdEncoding.DecodeString(parts[1])
		stored, err2 := base64.StdEncoding.DecodeString(parts[2])
		if err1 != nil || err2 != nil || len(stored) != h().Size() {
			return false, ErrForm
		}
		got, _, err := scramKeys(h, password, salt, iterations)
		return err == nil && equal(got, stored), err
	}
}

func scramKeys(h func() hash.Hash, password string, salt []byte, iterations int) (stored, server []byte, err error) {
	salted, err := pbkdf2.Key(h, password, salt, iterations, h().Size())
	if err != nil {
		return nil, nil, err
	}
	mac := func(text string) []byte {
		m := hmac.New(h, salted)
		_, _ = io.WriteString(m, text)
		return m.Sum(nil)
	}
	sum := h()
	_, _ = sum.Write(mac("Client Key"))
	return sum.Sum(nil), mac("Server Key"), nil
}

func hashSCRAM(_, password string, random io.Reader) (string, error) {
	const iterations = 4096 // RFC 7677 §4: every client pays for them at each login
	var salt [16]byte
	if _, err := io.ReadFull(random, salt[:]); err != nil {
		return "", err
	}
	stored, server, err := scramKeys(sha256.New, password, salt[:], iterations)
	if err != nil {
		return "", err
	}
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%d,%s,%s,%s", iterations, b64(salt[:]), b64(stored), b64(server)), nil
}

// verifyOTP: algorithm sequence seed digest (RFC 2289). The digest is the password with its seed, hashed and folded to 64
// bits once and then as often again as the sequence says.
func verifyOTP(data, _, password string) (bool, error) {
	const longest = 9999
	f := strings.Fields(data)
	if len(f) != 4 {
		return false, ErrForm
	}
	n, err := strconv.Atoi(f[1])
	if err != nil || n < 0 || n > longest {
		return false, ErrForm
	}
	want, err := hex.DecodeString(f[3])
	if err != nil || len(want) != 8 {
		return false, ErrForm
	}
	fold, ok := map[string]func([]byte) []byte{"md4": foldMD(newMD4), "md5": foldMD(md5.New), "sha1": foldSHA1}[strings.ToLower(f[0])]
	if !ok {
		return false, fmt.Errorf("%w: OTP with %q", ErrScheme, f[0])
	}
	key := fold([]byte(strings.ToLower(f[2]) + password)) // RFC 2289 §5.0
	for range n {
		key = fold(key)
	}
	return equal(key, want), nil
}

// foldMD folds a digest of 16 bytes by exclusive or of its halves (RFC 2289 appendix A).
func foldMD(h func() hash.Hash) func([]byte) []byte {
	return func(b []byte) []byte {
		d := h()
		_, _ = d.Write(b)
		sum := d.Sum(nil)
		for i := range 8 {
			sum[i] ^= sum[i+8]
		}
		return sum[:8]
	}
}

// foldSHA1 folds five words into two and writes these little-endian (RFC 2289 appendix A).
func foldSHA1(b []byte) []byte {
	sum := sha1.Sum(b)
	word := func(i int) uint32 { return binary.BigEndian.Uint32(sum[4*i:]) }
	out := binary.LittleEndian.AppendUint32(nil, word(0)^word(2)^word(4))
	return binary.LittleEndian.AppendUint32(out, word(1)^word(3))
}
