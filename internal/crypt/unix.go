package crypt

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"

	unix "github.com/go-crypt/x/crypt"
	"github.com/go-crypt/x/yescrypt"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Bounds of the work that a stored password may ask for: each some seconds of one processor.
const (
	maxSHARounds    = 2_000_000
	maxBcryptCost   = 14
	maxArgonMemory  = 1 << 20 // KiB
	maxArgonTime    = 64
	maxArgonWork    = 4 << 20 // KiB times passes
	maxYescryptLog2 = 16      // N; 128 r N bytes of memory
)

// verifyCrypt checks every form of crypt(3), told apart by its prefix (crypt(5)).
func verifyCrypt(stored, _, password string) (bool, error) {
	id := ""
	if strings.HasPrefix(stored, "$") {
		id, _, _ = strings.Cut(stored[1:], "$")
	}
	switch id {
	case "":
		return verifyDES(stored, password)
	case "1":
		return verifyMD5Crypt(stored, password)
	case "5":
		return verifySHACrypt(stored, password, sha256.New)
	case "6":
		return verifySHACrypt(stored, password, sha512.New)
	case "2a", "2b", "2y":
		return verifyBcrypt(stored, password)
	case "y":
		return verifyYescrypt(stored, password)
	case "argon2i", "argon2id":
		return verifyArgon2(stored, password)
	}
	return false, fmt.Errorf("%w: $%s$ is no form of crypt(3) that is known here", ErrScheme, id)
}

// verifyMD5Crypt: $1$salt$digest.
func verifyMD5Crypt(stored, password string) (bool, error) {
	parts := strings.Split(stored, "$")
	if len(parts) != 4 || len(parts[2]) > 8 {
		return false, ErrForm
	}
	return equal(string(unix.KeyMD5Crypt([]byte(password), []byte(parts[2]))), parts[3]), nil
}

// verifySHACrypt: $5$ or $6$, perhaps rounds=N$, salt$digest.
func verifySHACrypt(stored, password string, h func() hash.Hash) (bool, error) {
	const defaultRounds, fewest, longestSalt, longestPassword = 5000, 1000, 16, 511
	parts := strings.Split(stored, "$")
	if len(parts) < 4 {
		return false, ErrForm
	}
	parts = parts[2:]
	rounds := defaultRounds
	if text, ok := strings.CutPrefix(parts[0], "rounds="); ok {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return false, ErrForm
		}
		if n > maxSHARounds {
			return false, fmt.Errorf("%w: %d rounds", ErrCost, n)
		}
		rounds, parts = max(n, fewest), parts[1:]
	}
	if len(parts) != 2 || len(parts[0]) > longestSalt {
		return false, ErrForm
	}
	if len(password) > longestPassword {
		return false, nil // crypt(3) takes none that long, and each round costs more the longer it is
	}
	return equal(string(unix.KeySHACrypt(h, []byte(password), []byte(parts[0]), rounds)), parts[1]), nil
}

func hashSHA512Crypt(_, password string, random io.Reader) (string, error) {
	const rounds = 656_000 // what passes for slow enough in 2026 at a third of a second
	salt, err := saltText(random, 16)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("$6$rounds=%d$%s$%s", rounds, salt, unix.KeySHACrypt(sha512.New, []byte(password), []byte(salt), rounds)), nil
}

func verifyBcrypt(stored, password string) (bool, error) {
	if len(stored) != 60 { // the library looks no further than that
		return false, ErrForm
	}
	cost, err := bcrypt.Cost([]byte(stored))
	if err != nil {
		return false, fmt.Errorf("%w: %v", ErrForm, err)
	}
	if cost > maxBcryptCost {
		return false, fmt.Errorf("%w: cost %d", ErrCost, cost)
	}
	// bcrypt looks at 72 bytes; other implementations cut there silently, and so did the one that made this.
	p := []byte(password)
	err = bcrypt.CompareHashAndPassword([]byte(stored), p[:min(len(p), 72)])
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: %v", ErrForm, err)
	}
	return true, nil
}

// hashBcrypt's salt comes from the system: the library takes no source.
func hashBcrypt(_, password string, _ io.Reader) (string, error) {
	const cost = 12
	sum, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if errors.Is(err, bcrypt.ErrPasswordTooLong) {
		return "", errors.New("BLF-CRYPT looks at 72 bytes of a password; this one is longer")
	}
	return string(sum), err
}

// verifyYescrypt: $y$params$salt$digest.
func verifyYescrypt(stored, password string) (bool, error) {
	parts := strings.Split(stored, "$")
	if len(parts) != 5 || len(parts[2]) < 3 || len(parts[3]) > 86 || len(parts[4]) != 43 {
		return false, ErrForm
	}
	const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	if n := strings.IndexByte(alphabet, parts[2][1]) + 1; n > maxYescryptLog2 {
		return false, fmt.Errorf("%w: N = 2^%d", ErrCost, n)
	}
	sum, err := yescrypt.Hash([]byte(password), []byte(stored[:strings.LastIndexByte(stored, '$')]))
	if err != nil {
		return false, fmt.Errorf("%w: %v", ErrForm, err)
	}
	return equal(string(sum), stored), nil
}

// verifyArgon2: $argon2id$v=19$m=KiB,t=passes,p=lanes$salt$digest.
func verifyArgon2(stored, password string) (bool, error) {
	parts := strings.Split(stored, "$")
	if len(parts) != 6 || parts[2] != "v=19" {
		return false, ErrForm
	}
	var memory, time uint32
	var lanes uint8
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &time, &lanes); n != 3 || err != nil || time < 1 || lanes < 1 {
		return false, ErrForm
	}
	if memory > maxArgonMemory || time > maxArgonTime || memory*time > maxArgonWork {
		return false, fmt.Errorf("%w: %d KiB, %d passes", ErrCost, memory, time)
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	want, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(want) < 4 || len(want) > 128 {
		return false, ErrForm
	}
	key := argon2.IDKey
	if parts[1] == "argon2i" {
		key = argon2.Key
	}
	return equal(key([]byte(password), salt, time, memory, lanes, uint32(len(want))), want), nil
}

// hashArgon2ID uses the costs that the directory uses.
func hashArgon2ID(_, password string, random io.Reader) (string, error) {
	const memory, time, lanes = 19 << 10, 2, 1
	var salt [16]byte
	if _, err := io.ReadFull(random, salt[:]); err != nil {
		return "", err
	}
	sum := argon2.IDKey([]byte(password), salt[:], time, memory, lanes, 32)
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memory, time, lanes, b64(salt[:]), b64(sum)), nil
}

// saltText is n random characters of crypt(3)'s alphabet.
func saltText(random io.Reader, n int) (string, error) {
	const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	b := make([]byte, n)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", err
	}
	for i := range b {
		b[i] = alphabet[b[i]&63]
	}
	return string(b), nil
}
