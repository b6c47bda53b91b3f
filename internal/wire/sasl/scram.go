package sasl

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/xdg-go/stringprep"
)

// DefaultIterations is RFC 7677 §4's minimum. More only slows an attacker who holds the stored keys, and every client
// pays for it at each login.
const DefaultIterations = 4096

// Keys is what a server stores of a password for SCRAM-SHA-256, RFC 5802 §3. They do not let anybody log in.
type Keys struct {
	Salt       []byte
	Iterations int
	StoredKey  []byte // H(ClientKey), 32 bytes
	ServerKey  []byte // 32 bytes
}

// Prepare is SASLprep (RFC 4013) of a name or password for SCRAM. What SASLprep cannot take is left as it is, as most
// implementations do; so that a password with a new emoji works as long as both sides send the same bytes.
func Prepare(s string) string {
	if p, err := stringprep.SASLprep.Prepare(s); err == nil {
		return p
	}
	return s
}

// DeriveKeys makes the stored keys of a password: the directory calls it when a password is set.
func DeriveKeys(password string, salt []byte, iterations int) (Keys, error) {
	salted, err := pbkdf2.Key(sha256.New, Prepare(password), salt, iterations, sha256.Size)
	if err != nil {
		return Keys{}, err
	}
	stored := sha256.Sum256(mac(salted, "Client Key"))
	return Keys{Salt: salt, Iterations: iterations, StoredKey: stored[:], ServerKey: mac(salted, "Server Key")}, nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	io.WriteString(h, text)
	return h.Sum(nil)
}

type scramState struct {
	keys   Keys
	id     Identity
	refuse error  // unknown user: fail at the end with this
	gs2    string // "n,," or the like, as the client sent it
	nonce  string // the client's and ours
	signed string // client-first-bare "," server-first
}

// scramFirst takes client-first-message, RFC 5802 §7: gs2-header [m=…,] n=name,r=nonce [,extensions].
func (x *Exchange) scramFirst(ctx context.Context, response []byte) ([]byte, bool, error) {
	gs2, bare, name, nonce, err := parseClientFirst(string(response))
	if err != nil {
		return nil, false, err
	}
	x.name = name
	keys, id, err := x.server.auth.Keys(ctx, name)
	if err != nil && status.Of(err).Code == ErrCredentials.Code {
		x.scram.refuse = err
		// The same name must get the same salt each time, else its absence shows.
		keys = Keys{Salt: mac(x.server.decoy[:], name)[:16], Iterations: x.server.opt.Iterations,
			StoredKey: make([]byte, sha256.Size), ServerKey: make([]byte, sha256.Size)}
	} else if err != nil {
		return nil, false, err
	}
	if id.IsZero() && x.scram.refuse == nil {
		x.scram.refuse = ErrCredentials
	}
	own := make([]byte, 18)
	if _, err := io.ReadFull(x.server.opt.Random, own); err != nil {
		return nil, false, err
	}
	s := &x.scram
	s.keys, s.id, s.gs2 = keys, id, gs2
	s.nonce = nonce + base64.StdEncoding.EncodeToString(own)
	first := "r=" + s.nonce + ",s=" + base64.StdEncoding.EncodeToString(keys.Salt) + ",i=" + strconv.Itoa(keys.Iterations)
	s.signed = bare + "," + first
	x.next = x.scramFinal
	return []byte(first), false, nil
}

// parseClientFirst also judges the gs2 header: no channel binding, authzid as the package comment says.
func parseClientFirst(msg string) (gs2, bare, name, nonce string, err error) {
	fail := func(err error) (string, string, string, string, error) { return "", "", "", "", err }
	if len(msg) > MaxName*3+2*maxNonce || !utf8.ValidString(msg) || strings.IndexByte(msg, 0) >= 0 {
		return fail(ErrMalformed)
	}
	parts := strings.SplitN(msg, ",", 3)
	// "p=" asks for channel binding, which is not on offer; "y" means that the client could (RFC 5802 §6).
	if len(parts) != 3 || (parts[0] != "n" && parts[0] != "y") {
		return fail(ErrMalformed)
	}
	gs2, bare = parts[0]+","+parts[1]+",", parts[2]
	fields := strings.Split(bare, ",")
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "n=") || !strings.HasPrefix(fields[1], "r=") {
		return fail(ErrMalformed) // also m=, a mandatory extension: none is known, RFC 5802 §5.1
	}
	name, ok := saslname(fields[0][2:])
	nonce = fields[1][2:]
	if !ok || name == "" || len(name) > MaxName || nonce == "" || len(nonce) > maxNonce || !printable(nonce) {
		return fail(ErrMalformed)
	}
	if parts[1] != "" {
		authzid, ok := strings.CutPrefix(parts[1], "a=")
		if authzid, ok2 := saslname(authzid); !ok || !ok2 {
			return fail(ErrMalformed)
		} else if authzid != name {
			return fail(ErrAuthzid)
		}
	}
	return gs2, bare, name, nonce, nil
}

// scramFinal takes client-final-message: c=…,r=nonce[,extensions],p=proof.
func (x *Exchange) scramFinal(_ context.Context, response []byte) ([]byte, bool, error) {
	s, msg := &x.scram, string(response)
	i := strings.LastIndex(msg, ",p=")
	if i < 0 || len(msg) > 4*maxNonce {
		return nil, false, ErrMalformed
	}
	fields := strings.Split(msg[:i], ",")
	proof, err := base64.StdEncoding.Strict().DecodeString(msg[i+3:])
	if err != nil || len(proof) != sha256.Size || len(fields) < 2 || !strings.HasPrefix(fields[0], "c=") || fields[1] != "r="+s.nonce {
		return nil, false, ErrMalformed
	}
	if binding, err := base64.StdEncoding.DecodeString(fields[0][2:]); err != nil || string(binding) != s.gs2 {
		return nil, false, ErrMalformed
	}
	signed := s.signed + "," + msg[:i]
	key := make([]byte, sha256.Size)
	subtle.XORBytes(key, proof, mac(s.keys.StoredKey, signed))
	stored := sha256.Sum256(key)
	if match := subtle.ConstantTimeCompare(stored[:], s.keys.StoredKey) == 1; s.refuse != nil {
		return nil, false, s.refuse
	} else if !match {
		return nil, false, ErrCredentials
	}
	x.next = x.scramEnd
	return []byte("v=" + base64.StdEncoding.EncodeToString(mac(s.keys.ServerKey, signed))), false, nil
}

// scramEnd takes the empty response to the server's signature.
func (x *Exchange) scramEnd(_ context.Context, response []byte) ([]byte, bool, error) {
	if len(response) != 0 {
		return nil, false, ErrMalformed
	}
	x.id = x.scram.id
	return nil, true, nil
}

// saslname undoes =2C and =3D, RFC 5802 §5.1.
func saslname(s string) (string, bool) {
	if strings.IndexByte(s, '=') < 0 {
		return s, true
	}
	var b strings.Builder
	for s != "" {
		switch {
		case strings.HasPrefix(s, "=2C"):
			b.WriteByte(',')
			s = s[3:]
		case strings.HasPrefix(s, "=3D"):
			b.WriteByte('=')
			s = s[3:]
		case s[0] == '=':
			return "", false
		default:
			b.WriteByte(s[0])
			s = s[1:]
		}
	}
	return b.String(), true
}

// printable: %x21-2B / %x2D-7E, RFC 5802 §7. The comma has been split at.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
