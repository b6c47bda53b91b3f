package sasl

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/xdg-go/scram"
)

// book is an Authenticator of two users.
type book struct{ down error }

var passwords = map[string]string{"user": "pencil", "zoë@example.test": "p,w=Ⅸ\u00ad"}

func (b book) Password(_ context.Context, name, password string) (Identity, error) {
	if b.down != nil {
		return Identity{}, b.down
	}
	if want, ok := passwords[name]; !ok || want != password {
		return Identity{}, ErrCredentials
	}
	return Identity{Account: int64(len(name)), Name: name}, nil
}

func (b book) Keys(_ context.Context, name string) (Keys, Identity, error) {
	if b.down != nil {
		return Keys{}, Identity{}, b.down
	}
	password, ok := passwords[name]
	if !ok {
		return Keys{}, Identity{}, ErrCredentials
	}
	salt, _ := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	k, err := DeriveKeys(password, salt, 4096)
	return k, Identity{Account: int64(len(name)), Name: name}, err
}

// converse runs an exchange on the client's behalf; it returns the challenges.
func converse(s *Server, mech string, responses ...string) (challenges []string, id Identity, err error) {
	x, err := s.Start(mech)
	if err != nil {
		return nil, Identity{}, err
	}
	for _, r := range responses {
		response := []byte(r)
		if r == "(none)" {
			response = nil
		}
		c, done, err := x.Next(context.Background(), response)
		if err != nil || done {
			return challenges, x.Identity(), err
		}
		challenges = append(challenges, string(c))
	}
	return challenges, x.Identity(), errors.New("not done")
}

func TestPlainAndLogin(t *testing.T) {
	busy := status.Temp(454, 7, 0, "Temporary authentication failure")
	long := strings.Repeat("x", MaxName+1)
	for _, c := range []struct {
		name      string
		mech      string
		down      error
		responses []string
		want      error
	}{
		{"plain", "PLAIN", nil, []string{"\x00user\x00pencil"}, nil},
		{"case of the mechanism", "plain", nil, []string{"\x00user\x00pencil"}, nil},
		{"plain without initial response", "PLAIN", nil, []string{"(none)", "\x00user\x00pencil"}, nil},
		{"authzid equal", "PLAIN", nil, []string{"user\x00user\x00pencil"}, nil},
		{"authzid of another", "PLAIN", nil, []string{"root\x00user\x00pencil"}, ErrAuthzid},
		{"wrong password", "PLAIN", nil, []string{"\x00user\x00Pencil"}, ErrCredentials},
		{"unknown user", "PLAIN", nil, []string{"\x00nobody\x00pencil"}, ErrCredentials},
		{"too few parts", "PLAIN", nil, []string{"user\x00pencil"}, ErrMalformed},
		{"too many parts", "PLAIN", nil, []string{"\x00user\x00pencil\x00"}, ErrMalformed},
		{"empty", "PLAIN", nil, []string{""}, ErrMalformed},
		{"empty password", "PLAIN", nil, []string{"\x00user\x00"}, ErrCredentials},
		{"bad UTF-8", "PLAIN", nil, []string{"\x00us\xffer\x00pencil"}, ErrMalformed},
		{"long name", "PLAIN", nil, []string{"\x00" + long + "\x00pencil"}, ErrCredentials},
		{"long password", "PLAIN", nil, []string{"\x00user\x00" + long + long}, ErrCredentials},
		{"directory away", "PLAIN", busy, []string{"\x00user\x00pencil"}, busy},
		{"login", "LOGIN", nil, []string{"(none)", "user", "pencil"}, nil},
		{"login, initial response", "LOGIN", nil, []string{"user", "pencil"}, nil},
		{"login, wrong", "LOGIN", nil, []string{"(none)", "user", "pen"}, ErrCredentials},
		{"login, NUL", "LOGIN", nil, []string{"(none)", "user\x00", "pencil"}, ErrMalformed},
		{"unknown mechanism", "CRAM-MD5", nil, nil, ErrMechanism},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, id, err := converse(NewServer(book{c.down}, Options{}), c.mech, c.responses...)
			if !errors.Is(err, c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if want := (Identity{Account: 4, Name: "user"}); err == nil && id != want || err != nil && !id.IsZero() {
				t.Fatalf("identity %v after %v", id, err)
			}
		})
	}
}

// reader gives the same bytes for ever.
type reader string

func (r reader) Read(p []byte) (int, error) { return copy(p, r), nil }

// The exchange of RFC 7677 §3, with our part of the nonce given.
func TestScramVector(t *testing.T) {
	keys, _ := DeriveKeys("pencil", []byte("0123456789abcdef"), 4096)
	if len(keys.StoredKey) != 32 || len(keys.ServerKey) != 32 {
		t.Fatal(keys)
	}
	x := &Exchange{server: NewServer(book{}, Options{}), mech: ScramSHA256}
	x.next = x.scramFinal
	salt, _ := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	keys, _ = DeriveKeys("pencil", salt, 4096)
	nonce := "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	x.scram = scramState{keys: keys, gs2: "n,,", nonce: nonce,
		signed: "n=user,r=rOprNGfwEbeRWgbNEkqO,r=" + nonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"}
	c, done, err := x.Next(context.Background(), []byte("c=biws,r="+nonce+",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="))
	if err != nil || done || string(c) != "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" {
		t.Fatalf("%q %v %v", c, done, err)
	}
}

func TestScramRefusals(t *testing.T) {
	for _, c := range []struct {
		first string
		want  error
	}{
		{"n,,n=user,r=abc", nil},
		{"y,,n=user,r=abc", nil},
		{"n,a=user,n=user,r=abc", nil},
		{"n,a=root,n=user,r=abc", ErrAuthzid},
		{"p=tls-unique,,n=user,r=abc", ErrMalformed},
		{"n,,m=x,n=user,r=abc", ErrMalformed},
		{"n,,n=us=2er,r=abc", ErrMalformed},
		{"n,,n=user,r=", ErrMalformed},
		{"n,,n=user,r=a b", ErrMalformed},
		{"n,,n=,r=abc", ErrMalformed},
		{"n,,n=user", ErrMalformed},
		{"", ErrMalformed},
		{"n,,n=user,r=" + strings.Repeat("x", maxNonce+1), ErrMalformed},
		{"n,,n=nobody,r=abc", nil}, // answered like a user
	} {
		got, _, err := converse(NewServer(book{}, Options{}), ScramSHA256, "(none)", c.first)
		if c.want == nil {
			if len(got) != 2 || !strings.HasPrefix(got[1], "r=abc") || !strings.HasSuffix(got[1], ",i=4096") {
				t.Errorf("%q: %q %v", c.first, got, err)
			}
		} else if !errors.Is(err, c.want) {
			t.Errorf("%q: %v, want %v", c.first, err, c.want)
		}
	}
}

func TestScramUnknownUserLooksTheSame(t *testing.T) {
	s := NewServer(book{}, Options{Random: reader("x")})
	salts := map[string]bool{}
	for range 2 {
		c, err := NewClient([]string{"scram-sha-256"}, Credentials{Name: "nobody", Password: "pencil"})
		if err != nil {
			t.Fatal(err)
		}
		x, _ := s.Start(ScramSHA256)
		first, _ := c.Initial()
		challenge, _, err := x.Next(context.Background(), first)
		if err != nil {
			t.Fatal(err)
		}
		salts[strings.Split(string(challenge), ",")[1]] = true
		final, err := c.Next(challenge)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err = x.Next(context.Background(), final); !errors.Is(err, ErrCredentials) {
			t.Fatalf("%v", err)
		}
	}
	if len(salts) != 1 {
		t.Fatalf("the salt of an unknown user changes: %v", salts)
	}
}

func TestClientAgainstServer(t *testing.T) {
	for _, mech := range []string{Plain, Login, ScramSHA256} {
		for name, password := range passwords {
			for _, guess := range []string{password, "wrong"} {
				c, err := NewClient([]string{"GSSAPI", mech}, Credentials{Name: name, Password: guess})
				if err != nil || c.Mechanism() != mech {
					t.Fatal(err)
				}
				id, err := run(t, NewServer(book{}, Options{}), c)
				if good := guess == password; good != (err == nil) || good && id.Name != name || !good && !errors.Is(err, ErrCredentials) {
					t.Errorf("%s %s %q: %v %v", mech, name, guess, id, err)
				}
			}
		}
	}
	if _, err := NewClient([]string{"CRAM-MD5"}, Credentials{}); !errors.Is(err, ErrNoMechanism) {
		t.Error(err)
	}
}

// run couples a client and a server through the base64 framing.
func run(t *testing.T, s *Server, c Client) (Identity, error) {
	x, err := s.Start(c.Mechanism())
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.Initial()
	if err != nil {
		t.Fatal(err)
	}
	if response != nil {
		response, err = DecodeInitial(EncodeInitial(response))
	}
	for err == nil {
		challenge, done, err := x.Next(context.Background(), response)
		if err != nil {
			return x.Identity(), err
		}
		if done {
			return x.Identity(), c.Finish()
		}
		if response, err = c.Next(challenge); err != nil {
			return Identity{}, err
		}
		if response, err = DecodeResponse(Encode(response)); err != nil {
			t.Fatal(err)
		}
	}
	return Identity{}, err
}

func TestClientRefusesAServerWithoutTheKey(t *testing.T) {
	c := &scramClient{cred: Credentials{Name: "user", Password: "pencil"}}
	if _, err := c.Initial(); err != nil {
		t.Fatal(err)
	}
	if c.Finish() == nil {
		t.Fatal("success was believed without a signature")
	}
	for _, first := range []string{"", "r=", "r=" + c.nonce + ",s=AAAA,i=4096", "r=" + c.nonce + "x,s=AAAA,i=1", "r=" + c.nonce + "x,s=AAAA,i=99999999", "r=" + c.nonce + "x,s=,i=4096"} {
		try := *c
		if out, err := try.Next([]byte(first)); err == nil {
			t.Errorf("%q answered by %q", first, out)
		}
	}
	if _, err := c.Next([]byte("r=" + c.nonce + "x,s=AAAA,i=4096")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Next([]byte("v=" + base64.StdEncoding.EncodeToString(make([]byte, 32)))); err == nil {
		t.Fatal("a wrong signature was believed")
	}
}

// A second implementation must agree, in both directions.
func TestAgainstXDG(t *testing.T) {
	for name, password := range passwords {
		client, err := scram.SHA256.NewClient(name, password, "")
		if err != nil {
			t.Fatal(err)
		}
		conv := client.NewConversation()
		x, _ := NewServer(book{}, Options{}).Start(ScramSHA256)
		challenge, done := []byte{}, false
		for !done {
			msg, err := conv.Step(string(challenge))
			if err != nil {
				t.Fatal(err)
			}
			if challenge, done, err = x.Next(context.Background(), []byte(msg)); err != nil {
				t.Fatal(err)
			}
		}
		if !conv.Valid() || x.Identity().Name != name {
			t.Fatalf("%s: valid %v, %v", name, conv.Valid(), x.Identity())
		}

		server, err := scram.SHA256.NewServer(func(who string) (scram.StoredCredentials, error) {
			k, _, err := book{}.Keys(context.Background(), name)
			return scram.StoredCredentials{KeyFactors: scram.KeyFactors{Salt: string(k.Salt), Iters: k.Iterations},
				StoredKey: k.StoredKey, ServerKey: k.ServerKey}, err
		})
		if err != nil {
			t.Fatal(err)
		}
		theirs := server.NewConversation()
		ours, _ := NewClient([]string{ScramSHA256}, Credentials{Name: name, Password: password})
		msg, _ := ours.Initial()
		for !theirs.Done() {
			challenge, err := theirs.Step(string(msg))
			if err != nil {
				t.Fatal(err)
			}
			if msg, err = ours.Next([]byte(challenge)); err != nil {
				t.Fatal(err)
			}
		}
		if err := ours.Finish(); err != nil || !theirs.Valid() || theirs.Username() != name {
			t.Fatal(err, theirs.Username())
		}
	}
}

func TestFraming(t *testing.T) {
	for in, want := range map[string]error{"": nil, "AA==": nil, "*": ErrCancelled, "A": ErrEncoding, "AA": ErrEncoding,
		"AB==": ErrEncoding, "AA==\n": ErrEncoding, "A A=": ErrEncoding, strings.Repeat("A", MaxLine+4): ErrTooLong, "=": ErrEncoding} {
		if _, err := DecodeResponse(in); (err == nil) != (want == nil) || err != nil && status.Of(err).Public != status.Of(want).Public {
			t.Errorf("%.20q: %v, want %v", in, err, want)
		}
	}
	if b, err := DecodeInitial("="); err != nil || b == nil || len(b) != 0 {
		t.Error(b, err)
	}
	if EncodeInitial(nil) != "=" || Encode(nil) != "" {
		t.Error("the empty response")
	}
}

// Every exchange that ends is reported once, with the name that was tried, and with where it came from.
func TestReport(t *testing.T) {
	var got []Result
	var from Origin
	s := NewServer(book{}, Options{Report: func(ctx context.Context, r Result) { got, from = append(got, r), OriginOf(ctx) }})
	ctx := WithOrigin(t.Context(), Origin{Service: "imaps", Session: 7, Failures: 2})
	for _, mech := range []string{Plain, Login, ScramSHA256} {
		for _, password := range []string{"pencil", "wrong"} {
			got, from = nil, Origin{}
			c, err := NewClient([]string{mech}, Credentials{Name: "user", Password: password})
			if err != nil {
				t.Fatal(err)
			}
			x, _ := s.Start(mech)
			response, _ := c.Initial()
			for {
				challenge, done, err := x.Next(ctx, response)
				if done || err != nil {
					break
				}
				if response, err = c.Next(challenge); err != nil {
					t.Fatal(err)
				}
			}
			want := Result{Mechanism: mech, Name: "user", Err: ErrCredentials}
			if password == "pencil" {
				want.Identity, want.Err = Identity{Account: 4, Name: "user"}, nil
			}
			if len(got) != 1 || got[0] != want || from != (Origin{Service: "imaps", Session: 7, Failures: 2}) {
				t.Errorf("%s %s: %+v from %+v", mech, password, got, from)
			}
		}
	}
}
