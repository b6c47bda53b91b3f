package directory

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/xdg-go/stringprep"
	"golang.org/x/crypto/argon2"
)

// HashParams are the costs of argon2id.
type HashParams struct {
	MemoryKiB uint32
	Time      uint32
	Threads   uint8
}

// DefaultHash is the least of what OWASP's password storage sheet gives for argon2id: 19 MiB, two passes, one lane.
func DefaultHash() HashParams { return HashParams{MemoryKiB: 19 << 10, Time: 2, Threads: 1} }

const (
	saltLen = 16
	hashLen = 32
	// scramIterations is RFC 7677 §4's minimum: every client pays for it at each login.
	scramIterations = 4096
)

// Bounds of stored hashes that are checked: a damaged or imported one must not take all memory.
const (
	maxMemoryKiB  = 1 << 20
	maxTime       = 64
	maxIterations = 1 << 20
)

var errSecret = errors.New("stored secret has an unknown form")

// ScramKeys is what SCRAM-SHA-256 needs of a password, RFC 5802 §3. They do not let anybody log in.
type ScramKeys struct {
	Salt       []byte
	Iterations int
	StoredKey  []byte
	ServerKey  []byte
}

// secrets is a password in our two stored forms, or in the one that another mail system gave it, or the name of the system
// user whose it is.
type secrets struct{ argon, scram, foreign, system string }

// putSecrets puts s in the place of what the account had.
func putSecrets(t tables, account int64, s secrets) error {
	if s == (secrets{}) {
		return nil
	}
	errs := []error{t.deleteCredentials(account)}
	for kind, secret := range map[string]string{kindArgon: s.argon, kindScram: s.scram, kindForeign: s.foreign, kindSystem: s.system} {
		if secret != "" {
			errs = append(errs, t.putCredential(account, kind, secret))
		}
	}
	return errors.Join(errs...)
}

// derive makes the stored forms of a new password, in the hashing lane.
func (d *Directory) derive(ctx context.Context, password string) (s secrets, err error) {
	if err := checkPassword(password); err != nil {
		return s, err
	}
	var salts [2][saltLen]byte
	for i := range salts {
		if _, err := io.ReadFull(d.opt.Random, salts[i][:]); err != nil {
			return s, fmt.Errorf("directory: salt: %w", err)
		}
	}
	password = prepare(password)
	var failed error
	busy := d.lane.run(ctx, party{}, func() {
		s.argon = hashArgon(password, salts[0][:], d.opt.Hash)
		s.scram, failed = hashScram(password, salts[1][:], scramIterations)
	})
	return s, errors.Join(busy, failed)
}

// prepare is SASLprep (RFC 4013), as RFC 4616 §2 and RFC 5802 §2.2 have it for a password. What SASLprep cannot take stays as it
// is: a password with a new emoji works as long as both sides send the same bytes.
func prepare(password string) string {
	if p, err := stringprep.SASLprep.Prepare(password); err == nil && p != "" {
		return p
	}
	return password
}

// hashArgon writes the PHC string of argon2id.
func hashArgon(password string, salt []byte, p HashParams) string {
	sum := argon2.IDKey([]byte(password), salt, p.Time, p.MemoryKiB, p.Threads, hashLen)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.MemoryKiB, p.Time, p.Threads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(sum))
}

// checkArgon tells whether a password fits a PHC string.
func checkArgon(phc, password string) (bool, error) {
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return false, errSecret
	}
	var p HashParams
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.MemoryKiB, &p.Time, &p.Threads); err != nil || n != 3 {
		return false, errSecret
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	want, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(want) < 16 || len(want) > 64 || p.MemoryKiB > maxMemoryKiB ||
		p.Time < 1 || p.Time > maxTime || p.Threads < 1 {
		return false, errSecret
	}
	got := argon2.IDKey([]byte(password), salt, p.Time, p.MemoryKiB, p.Threads, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

// hashScram writes the form of RFC 5803: SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey.
func hashScram(password string, salt []byte, iterations int) (string, error) {
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("directory: pbkdf2: %w", err)
	}
	stored := sha256.Sum256(mac(salted, "Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, b64(salt), b64(stored[:]), b64(mac(salted, "Server Key"))), nil
}

func parseScram(s string) (k ScramKeys, err error) {
	parts := strings.Split(s, "$")
	if len(parts) != 3 || parts[0] != "SCRAM-SHA-256" {
		return k, errSecret
	}
	iterations, salt, ok1 := strings.Cut(parts[1], ":")
	stored, server, ok2 := strings.Cut(parts[2], ":")
	k.Iterations, err = strconv.Atoi(iterations)
	if !ok1 || !ok2 || err != nil || k.Iterations < 1 || k.Iterations > maxIterations {
		return ScramKeys{}, errSecret
	}
	for dst, text := range map[*[]byte]string{&k.Salt: salt, &k.StoredKey: stored, &k.ServerKey: server} {
		if *dst, err = base64.StdEncoding.DecodeString(text); err != nil || len(*dst) == 0 {
			return ScramKeys{}, errSecret
		}
	}
	if len(k.StoredKey) != sha256.Size || len(k.ServerKey) != sha256.Size {
		return ScramKeys{}, errSecret
	}
	return k, nil
}

// decoyScram makes the keys of a user that does not exist: the same at every call, and nobody's password fits.
func decoyScram(saltKey []byte, login string) ScramKeys {
	return ScramKeys{Salt: mac(saltKey, "salt\x00"+login)[:saltLen], Iterations: scramIterations,
		StoredKey: mac(saltKey, "stored\x00"+login), ServerKey: mac(saltKey, "server\x00"+login)}
}

func mac(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		io.WriteString(h, p)
	}
	return h.Sum(nil)
}
