package sasl

import (
	"bytes"
	"context"
	"testing"
)

// FuzzExchange feeds lines (separated by newline) to an exchange: nobody is logged in unless the secret was in them.
func FuzzExchange(f *testing.F) {
	f.Fuzz(func(t *testing.T, mech string, lines []byte) {
		x, err := NewServer(book{}, Options{Random: reader("0123456789")}).Start(mech)
		if err != nil {
			return
		}
		secret := false
		for n, line := range bytes.Split(lines, []byte("\n")) {
			response, err := DecodeResponse(string(line))
			if err != nil {
				return
			}
			for _, p := range passwords {
				secret = secret || bytes.Contains(response, []byte(p))
			}
			challenge, done, err := x.Next(context.Background(), response)
			if err != nil {
				if done || challenge != nil || !x.Identity().IsZero() {
					t.Fatalf("a failure that is also something else: %v %q %v", done, challenge, x.Identity())
				}
				if _, _, err := x.Next(context.Background(), response); err == nil {
					t.Fatal("the exchange went on after its failure")
				}
				return
			}
			if done {
				if !secret {
					t.Fatalf("logged in by %q", lines)
				}
				return
			}
			if !x.Identity().IsZero() {
				t.Fatal("identity before the end")
			}
			if n > 3 {
				t.Fatal("an exchange without end")
			}
		}
	})
}

// FuzzClient: no server without the key is believed.
func FuzzClient(f *testing.F) {
	f.Fuzz(func(t *testing.T, first, second []byte) {
		c := &scramClient{cred: Credentials{Name: "user", Password: "pencil", Random: reader("x")}}
		if _, err := c.Initial(); err != nil {
			t.Fatal(err)
		}
		final, err := c.Next(first)
		if err != nil {
			return
		}
		if !bytes.Contains(final, []byte(c.nonce)) {
			t.Fatal("the nonce got lost")
		}
		if _, err := c.Next(second); err == nil {
			t.Fatalf("believed %q", second)
		}
	})
}
