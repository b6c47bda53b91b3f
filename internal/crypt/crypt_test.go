package crypt

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
)

// made are stored passwords that other programs made of "secret" for alice@example.org: doveadm pw (all that begin with a
// brace), crypt(3) of Debian 12.
var made = []string{
	"{SHA1}5en6G6MezRroT3XKqkdPOmY/BfQ=",
	"{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
	"{SHA.hex}e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4",
	"{SSHA512}YiBHY9V2wh+zs/gMQ35S6KU8PZL0YwEnf45agGthhFP23tqHuWDRqwa25OoqvwlGGQ4o1ujNaV/dSWUuS07+mzNxr00=",
	"{SCRAM-SHA-256}4096,srPSYXW02eBx9NrmSl8Q5A==,UdyX3ljhy1z6oLsEyy0RQ/GfjUat30I2R1z77HD95j4=,2CpfdW+hvD8EHA+TBew4Snr4n43iKd9FjaKrTo47Los=",
	"{SCRAM-SHA-1}4096,K4Bt4S8fuFoyBVIqKeMl0g==,EfT/llfXvt/Wh3yGUV3oFYhrcYs=,VKflX7xam0pVpuKHOVh3TYYfAwg=",
	"{BLF-CRYPT}$2y$05$PEbrC7En4Jv1LZd.kalBreW.MKXkf7zo3X/.tf3t0bvplDXiQD3AW",
	"{PLAIN}secret", "{CLEAR}secret", "{CLEARTEXT}secret", "{plain.b64}c2VjcmV0", "{PLAIN-TRUNC}secret", "{PLAIN-TRUNC}3-sec",
	"{HMAC-MD5}cd3ba7deaad6e5ca23448ba42e379747a9e0f7f1fbc00c8a81bbaac395731b56",
	"{CRAM-MD5}cd3ba7deaad6e5ca23448ba42e379747a9e0f7f1fbc00c8a81bbaac395731b56",
	"{OTP}sha1 1024 aa61f32e33d619c2 d30be253101c305b",
	"{SHA512}vSsar3708Jvp9Szi2NWZZ02Bqp1qRCFpbcTZPdBhnWgs5WtNZKnvCXdhztmeD2cmW192CF5bDufKRpayrW/isg==",
	"{DES-CRYPT}ZK8SlHOdE0oss",
	"{CRYPT}$2y$05$QX3fO4Jz59JJ/WHv6hUKaOgb5MK7ICS4vfvEzFdyUtD7LUJG.HiXa",
	"{SSHA}JmFpR4e29Os/7KY1EjoAOS5INzWAtssh",
	"{MD5-CRYPT}$1$EwXHGYUG$6DHDkNumeatL0xrxHXdR11",
	"{MD5}$1$uLSNOBmG$W/U64BLGh5Yr.dJc.TpVw/",
	"{PLAIN-MD4}67d3dafef63ff00603aeef3769cfbf0d",
	"{PLAIN-MD5}5ebe2294ecd0e0f08eab7690d2a6ee69",
	"{LDAP-MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==",
	"{SMD5}9UKS0cbn68QSySHIrz2eQrYYAZM=",
	"{SHA512-CRYPT}$6$X/ZjHjih4Qa8vpE/$zNUDQG51eP2hT7KvnDj3dUSFkKpCUgdW2hAnPVj30gdqn7nk9KprRmjYc5d6w/3gAmq0OzOmfyXb2/Kbwg60k.",
	"{SHA256-CRYPT}$5$wHytJO509zOFRJNj$fo1A5SCZE3L72eRh5IDyPadWIpLmmGEeD0XgnmhvQrA",
	"{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$o8RZyzlZg1uR88Ma1m35AQ$FDIJgyuZB6asn5KlSs8Neuq0iHo487NgWd4U/FoAU1k",
	"{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$l3WE4He5x78NUxPw3YGmKA$tMMZ1jgNfTPudazNcGIZeNOLyyPHFRhzGMDf+Gh+ZKI",
	"{SSHA256}fn+B+OjeHyt8gSjidvNr4Udnxpbi4Po+zL+LWyIlST8GRTAE",
	"{SHA256}K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=",
	"{PBKDF2}$1$7RwNZye0qFEynVWq$5000$22da2620df799ee3057783c70fdf15032ad06cb5",
	"{DIGEST-MD5}543e1aec5d3614f03141652d6ada51b2",
	"$1$EwXHGYUG$6DHDkNumeatL0xrxHXdR11", "ZK8SlHOdE0oss",
	"$y$j9T$F5Jx5fExrKuPp53xLKQ..1$GmcwIgvdUC9qLWcKCi6gklUa1dM3ziD43YxYNURLKy0",
	"abNANd1rDfiNc",
	"$5$rounds=1234$saltysalt$R1a6JmSibrYKM2dF7qaxzNFDfL9qqxySeojNi9URKE6",
}

const user = "alice@example.org"

func TestWhatOthersMade(t *testing.T) {
	for _, stored := range made {
		if ok, err := Verify(stored, user, "secret"); err != nil || !ok {
			t.Errorf("%s: %v, %v", stored, ok, err)
		}
		wrong := "Secrets"
		if strings.HasPrefix(stored, "{PLAIN-TRUNC}") {
			wrong = "sucret"
		}
		if ok, err := Verify(stored, user, wrong); err != nil || ok {
			t.Errorf("%s with a wrong password: %v, %v", stored, ok, err)
		}
	}
}

// TestWindows has the well-known hashes of "password".
func TestWindows(t *testing.T) {
	for _, stored := range []string{"{NTLM}8846f7eaee8fb117ad06bdd830b7586c", "{LANMAN}e52cac67419a9a224a3b108f3fa6cb6d"} {
		if ok, err := Verify(stored, user, "password"); err != nil || !ok {
			t.Errorf("%s: %v, %v", stored, ok, err)
		}
		if ok, err := Verify(stored, user, "passwort"); err != nil || ok {
			t.Errorf("%s with a wrong password: %v, %v", stored, ok, err)
		}
	}
}

func TestEverySchemeIsTested(t *testing.T) {
	have := map[string]bool{"NTLM": true, "LANMAN": true, "SKEY": true} // SKEY is OTP by its older name
	for _, stored := range made {
		name, _, _, err := split(stored)
		if err != nil {
			t.Fatal(err)
		}
		have[name] = true
	}
	for _, s := range Schemes() {
		if !have[s.Name] {
			t.Errorf("no stored password of {%s}", s.Name)
		}
	}
}

func TestHash(t *testing.T) {
	written := 0
	for _, s := range Schemes() {
		stored, err := Hash(s.Name, user, "pässword", rand.Reader)
		if !s.Write {
			if !errors.Is(err, ErrScheme) {
				t.Errorf("{%s}: %v", s.Name, err)
			}
			continue
		}
		written++
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := Verify(stored, user, "pässword"); !ok || err != nil {
			t.Errorf("%s: %v, %v", stored, ok, err)
		}
		if ok, err := Verify(stored, user, "passwort"); ok || err != nil {
			t.Errorf("%s with a wrong password: %v, %v", stored, ok, err)
		}
		if s.Weak {
			t.Errorf("{%s} is weak and is written", s.Name)
		}
	}
	if written != 4 {
		t.Errorf("%d schemes are written", written)
	}
}

func TestRefused(t *testing.T) {
	for stored, want := range map[string]error{
		"":                          ErrForm,
		"{SHA1":                     ErrForm,
		"{SHA1}":                    ErrForm,
		"{SHA1}****":                ErrForm,
		"{SHA1}5en6":                ErrForm,
		"{ROT13}frperg":             ErrScheme,
		"{SHA1.base32}AAAA":         ErrScheme,
		"$9$salt$digest":            ErrScheme,
		"x":                         ErrForm,
		"!":                         ErrForm, // a locked account of shadow(5)
		"*":                         ErrForm,
		"{CRYPT}!$6$salt$x":         ErrForm,
		"$6$rounds=99999999$salt$x": ErrCost,
		"$6$rounds=x$salt$x":        ErrForm,
		"$2y$31$PEbrC7En4Jv1LZd.kalBreW.MKXkf7zo3X/.tf3t0bvplDXiQD3AW":                                                                ErrCost,
		"$argon2id$v=19$m=4194304,t=3,p=1$l3WE4He5x78NUxPw3YGmKA$tMMZ1jgNfTPudazNcGIZeNOLyyPHFRhzGMDf+Gh+ZKI":                         ErrCost,
		"$y$jFT$abcdefgh$0123456789012345678901234567890123456789012":                                                                 ErrCost,
		"{PBKDF2}$1$salt$99999999$22da2620df799ee3057783c70fdf15032ad06cb5":                                                           ErrCost,
		"{OTP}sha1 99999999 aa61f32e33d619c2 d30be253101c305b":                                                                        ErrForm,
		"{SCRAM-SHA-256}99999999,srPSYXW02eBx9NrmSl8Q5A==,UdyX3ljhy1z6oLsEyy0RQ/GfjUat30I2R1z77HD95j4=,2CpfdW+hvD8EHA+TBew4Snr4n43i=": ErrCost,
		"{PLAIN}" + strings.Repeat("x", MaxStored):                                                                                    ErrForm,
	} {
		if ok, err := Verify(stored, user, "secret"); ok || !errors.Is(err, want) {
			t.Errorf("%s: %v, %v; want %v", stored, ok, err, want)
		}
		if err := Check(stored); !errors.Is(err, want) {
			t.Errorf("Check(%s): %v", stored, err)
		}
	}
	if ok, err := Verify("{PLAIN}", user, ""); err != nil || !ok {
		t.Error("an empty password is for the caller to refuse", err)
	}
}

// TestTruncatedPasswords: what doveadm pw -t says of the same forms.
func TestTruncatedPasswords(t *testing.T) {
	for _, c := range []struct {
		stored, password string
		want             bool
	}{
		{"{PLAIN-TRUNC}6-secret", "secret", true},
		{"{PLAIN-TRUNC}6-secret", "secretive", true},
		{"{PLAIN-TRUNC}6-secret", "secre", false},
		{"{PLAIN-TRUNC}8-secret", "secret", true}, // shorter than where it would have been cut
		{"{PLAIN-TRUNC}8-secret", "secretive", false},
		{"{PLAIN-TRUNC}8-secret", "secre", false},
		{"{PLAIN-TRUNC}8-", "secret", false},
		{"{PLAIN-TRUNC}4-secret", "secret", true},
		{"{PLAIN-TRUNC}4-secret", "secr", false},
	} {
		if ok, err := Verify(c.stored, user, c.password); ok != c.want || err != nil {
			t.Errorf("%s with %q: %v, %v", c.stored, c.password, ok, err)
		}
	}
}

// TestBcryptPrefixes has what crypt(3) of Debian 12 made of "p\u00e4ss" in UTF-8: other programs of old disagree on bytes above 127.
func TestBcryptPrefixes(t *testing.T) {
	for _, prefix := range []string{"$2a", "$2b", "$2y"} {
		stored := prefix + "$05$abcdefghijklmnopqrstuuQNr.NUko7cjRuTOhPz.WP0eA4f4.Xuq"
		if ok, err := Verify(stored, user, "p\u00e4ss"); !ok || err != nil {
			t.Errorf("%s: %v, %v", stored, ok, err)
		}
	}
	// $2x marks hashes of the faulty ones: better refused than mistaken.
	if ok, err := Verify("$2x$05$abcdefghijklmnopqrstuu4B.w5xLC4Wlfo6gSnyKvAU0AoWf1N0e", user, "p\u00e4ss"); ok || !errors.Is(err, ErrScheme) {
		t.Error(ok, err)
	}
}

// TestLongPasswordsOfSHACrypt: crypt(3) of Debian 12 takes 511 bytes, and answers *0 to more.
func TestLongPasswordsOfSHACrypt(t *testing.T) {
	const stored = "$6$rounds=1000$saltsalt$nC35Rjw1qm7lwdxVgg3IU9qZMEaqucKnRYCtC7UyfTbgqAQUZjWQxjc2xeWwMzOTjOEqyGG.T4MAGPm1ptmEK/"
	long := strings.Repeat("x", 511)
	if ok, err := Verify(stored, user, long); !ok || err != nil {
		t.Error(ok, err)
	}
	// A byte more is not even hashed: two million rounds of it would take many seconds.
	if ok, err := Verify("$6$rounds=2000000$saltsalt$x", user, long+"x"); ok || err != nil {
		t.Error(ok, err)
	}
}
