package sasl

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// maxIterations bounds the work that a server may demand of us.
const maxIterations = 1_000_000

// ErrNoMechanism: the server offers none that we speak.
var ErrNoMechanism = errors.New("sasl: no mechanism in common")

// Credentials are a client's.
type Credentials struct {
	Name, Password string
	Random         io.Reader // nil means crypto/rand
}

// Client is the client's side of one exchange. The protocol sends Initial if it can send an initial response (else it
// waits for the first, empty challenge), answers each challenge by Next, and on the server's success asks Finish before
// it believes it.
type Client interface {
	Mechanism() string
	Initial() (response []byte, err error) // nil: this mechanism has none (LOGIN)
	Next(challenge []byte) (response []byte, err error)
	Finish() error
}

// NewClient picks the best mechanism of those offered: SCRAM-SHA-256, PLAIN, LOGIN. Passwords in the clear are the
// caller's decision: it must have TLS.
func NewClient(offered []string, c Credentials) (Client, error) {
	has := func(name string) bool {
		return slices.ContainsFunc(offered, func(o string) bool { return strings.EqualFold(o, name) })
	}
	switch {
	case has(ScramSHA256):
		return &scramClient{cred: c}, nil
	case has(Plain):
		return &plainClient{c}, nil
	case has(Login):
		return &loginClient{cred: c}, nil
	}
	return nil, ErrNoMechanism
}

type plainClient struct{ cred Credentials }

func (c *plainClient) Mechanism() string { return Plain }
func (c *plainClient) Initial() ([]byte, error) {
	if strings.IndexByte(c.cred.Name+c.cred.Password, 0) >= 0 {
		return nil, errors.New("sasl: NUL in credentials")
	}
	return []byte("\x00" + c.cred.Name + "\x00" + c.cred.Password), nil
}
func (c *plainClient) Next([]byte) ([]byte, error) {
	return nil, errors.New("sasl: PLAIN has one step")
}
func (c *plainClient) Finish() error { return nil }

type loginClient struct {
	cred Credentials
	step int
}

func (c *loginClient) Mechanism() string        { return Login }
func (c *loginClient) Initial() ([]byte, error) { return nil, nil }

// Next goes by the order of the prompts, not their words, which differ.
func (c *loginClient) Next([]byte) ([]byte, error) {
	c.step++
	switch c.step {
	case 1:
		return []byte(c.cred.Name), nil
	case 2:
		return []byte(c.cred.Password), nil
	}
	return nil, errors.New("sasl: LOGIN has two steps")
}
func (c *loginClient) Finish() error { return nil }

type scramClient struct {
	cred   Credentials
	nonce  string
	bare   string
	verify []byte // the signature that the server must show
	step   int
}

func (c *scramClient) Mechanism() string { return ScramSHA256 }

var escapeName = strings.NewReplacer("=", "=3D", ",", "=2C")

func (c *scramClient) Initial() ([]byte, error) {
	random := c.cred.Random
	if random == nil {
		random = rand.Reader
	}
	own := make([]byte, 18)
	if _, err := io.ReadFull(random, own); err != nil {
		return nil, err
	}
	c.nonce = base64.StdEncoding.EncodeToString(own)
	c.bare = "n=" + escapeName.Replace(Prepare(c.cred.Name)) + ",r=" + c.nonce
	return []byte("n,," + c.bare), nil
}

func (c *scramClient) Next(challenge []byte) ([]byte, error) {
	c.step++
	switch c.step {
	case 1:
		return c.final(string(challenge))
	case 2:
		got, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(string(challenge), "v="))
		if err != nil || !hmac.Equal(got, c.verify) {
			return nil, errors.New("sasl: the server does not know the password either")
		}
		return []byte{}, nil
	}
	return nil, errors.New("sasl: SCRAM has ended")
}

// final answers server-first-message: r=nonce,s=salt,i=iterations[,extensions].
func (c *scramClient) final(first string) ([]byte, error) {
	fields := strings.Split(first, ",")
	if len(first) > 8192 || len(fields) < 3 || !strings.HasPrefix(fields[0], "r="+c.nonce) || len(fields[0]) == 2+len(c.nonce) ||
		!strings.HasPrefix(fields[1], "s=") || !strings.HasPrefix(fields[2], "i=") {
		return nil, errors.New("sasl: malformed server-first-message")
	}
	salt, err := base64.StdEncoding.DecodeString(fields[1][2:])
	if err != nil || len(salt) == 0 {
		return nil, errors.New("sasl: malformed salt")
	}
	iterations, err := strconv.Atoi(fields[2][2:])
	if err != nil || iterations < 4096 || iterations > maxIterations { // RFC 7677 §4
		return nil, fmt.Errorf("sasl: iteration count %q refused", fields[2][2:])
	}
	salted, err := pbkdf2.Key(sha256.New, Prepare(c.cred.Password), salt, iterations, sha256.Size)
	if err != nil {
		return nil, err
	}
	withoutProof := "c=" + base64.StdEncoding.EncodeToString([]byte("n,,")) + "," + fields[0]
	signed := c.bare + "," + first + "," + withoutProof
	key := mac(salted, "Client Key")
	stored := sha256.Sum256(key)
	proof := make([]byte, sha256.Size)
	subtle.XORBytes(proof, key, mac(stored[:], signed))
	c.verify = mac(mac(salted, "Server Key"), signed)
	return []byte(withoutProof + ",p=" + base64.StdEncoding.EncodeToString(proof)), nil
}

// Finish: success without the server's signature is no success, RFC 5802 §3.
func (c *scramClient) Finish() error {
	if c.step < 2 {
		return errors.New("sasl: success without the server's signature")
	}
	return nil
}
