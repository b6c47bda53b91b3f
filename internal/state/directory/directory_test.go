package directory

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
)

var fast = HashParams{MemoryKiB: 8, Time: 1, Threads: 1}

func withAccount(t *testing.T, opt Options) *Directory {
	t.Helper()
	opt.HostDomain = "example.org"
	if opt.Hash == (HashParams{}) {
		opt.Hash = fast
	}
	d, err := NewMemory(opt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.AddDomain(t.Context(), "example.org"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.AddAccount(t.Context(), NewAccount{Address: address.Address{Local: "alice", Domain: "example.org"}, Password: "pw"}); err != nil {
		t.Fatal(err)
	}
	return d
}

// A repeated login is answered from memory for ten minutes: seen by a stored hash that no longer fits.
func TestLoginIsRememberedTenMinutes(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	d := withAccount(t, Options{Now: func() time.Time { return now }})
	login := func() error {
		_, err := d.Authenticate(t.Context(), "alice@example.org", "pw", Client{})
		return err
	}
	if err := login(); err != nil {
		t.Fatal(err)
	}
	// Behind the directory's back.
	d.store.(*memory).t.creds[credKey{1, kindArgon}] = hashArgon("other", make([]byte, saltLen), fast)
	now = now.Add(rememberFor)
	if err := login(); err != nil {
		t.Errorf("after ten minutes: %v", err)
	}
	now = now.Add(time.Second)
	if err := login(); !errors.Is(err, ErrCredentials) {
		t.Errorf("after more: %v", err)
	}
}

// A login that was checked against the old password must not be remembered after the change.
func TestLoginThatRacesAChangeIsNotRemembered(t *testing.T) {
	d := withAccount(t, Options{})
	proof := d.auth.proof("alice@example.org", "pw")
	before := d.auth.generation.Load()
	if err := d.SetPassword(t.Context(), address.Address{Local: "alice", Domain: "example.org"}, "new"); err != nil {
		t.Fatal(err)
	}
	d.auth.put(proof, Account{ID: 1}, d.opt.Now(), before)
	if _, err := d.Authenticate(t.Context(), "alice@example.org", "pw", Client{}); !errors.Is(err, ErrCredentials) {
		t.Errorf("got %v", err)
	}
}

func TestCachesAreBounded(t *testing.T) {
	var a authCache
	if err := a.start(strings.NewReader(strings.Repeat("k", 32))); err != nil {
		t.Fatal(err)
	}
	for i := range maxLogins + 10 {
		a.put([32]byte{byte(i), byte(i >> 8), byte(i >> 16)}, Account{ID: 1}, time.Now(), 0)
	}
	if len(a.logins) != maxLogins {
		t.Errorf("%d logins", len(a.logins))
	}
	var c cache
	for i := range maxResolved + 10 {
		c.put(address.Address{Local: string(rune('a'+i%26)) + strings.Repeat("x", i/26)[:min(i/26, 900)], Domain: string(rune(i))}, Resolution{}, nil, 0)
	}
	if len(c.resolved) != maxResolved {
		t.Errorf("%d resolutions", len(c.resolved))
	}
	c.invalidate()
	c.put(address.Address{Local: "late"}, Resolution{}, nil, 0)
	if len(c.resolved) != 0 {
		t.Error("remembered what was read before a change")
	}
}

func TestUnknownUserCostsAHash(t *testing.T) {
	if ok, err := checkArgon(decoyArgon(fast), "x"); ok || err != nil {
		t.Fatalf("the decoy is no hash: %v %v", ok, err)
	}
	// With the lane closed even an unknown user has to wait for it.
	d := withAccount(t, Options{Lane: 1, LaneQueue: 1})
	d.lane.free, d.lane.most, d.lane.pause = 0, 0, 0
	if _, err := d.Authenticate(t.Context(), "nobody@example.org", "x", Client{}); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
}

func TestStoredSecrets(t *testing.T) {
	phc := hashArgon("pw", []byte("0123456789abcdef"), HashParams{MemoryKiB: 64, Time: 3, Threads: 1})
	if !strings.HasPrefix(phc, "$argon2id$v=19$m=64,t=3,p=1$MDEyMzQ1Njc4OWFiY2RlZg$") {
		t.Errorf("PHC string %s", phc)
	}
	if ok, err := checkArgon(phc, "pw"); !ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
	for _, bad := range []string{"", "x", "$argon2i$v=19$m=64,t=3,p=1$AAAA$AAAA", "$argon2id$v=19$m=99999999,t=3,p=1$AAAA$" + strings.Repeat("A", 43),
		"$argon2id$v=19$m=64,t=0,p=1$AAAA$" + strings.Repeat("A", 43), "$argon2id$v=19$m=64,t=3,p=0$AAAA$" + strings.Repeat("A", 43),
		"$argon2id$v=19$m=64,t=3,p=1$AAAA$AAAA", strings.Replace(phc, "v=19", "v=16", 1)} {
		if ok, err := checkArgon(bad, "pw"); ok || err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	scram, err := hashScram("pw", []byte("salt"), 4096)
	if err != nil {
		t.Fatal(err)
	}
	if k, err := parseScram(scram); err != nil || string(k.Salt) != "salt" || k.Iterations != 4096 {
		t.Errorf("%+v %v", k, err)
	}
	for _, bad := range []string{"", "SCRAM-SHA-256$x:AAAA$AAAA:AAAA", "SCRAM-SHA-256$4096:AAAA$AAAA:AAAA", strings.Replace(scram, "256", "1", 1),
		strings.Replace(scram, "4096", "99999999", 1)} {
		if _, err := parseScram(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func BenchmarkDefaultHash(b *testing.B) {
	for b.Loop() {
		hashArgon("pw", []byte("0123456789abcdef"), DefaultHash())
	}
}
