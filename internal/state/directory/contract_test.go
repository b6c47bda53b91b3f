package directory_test

import (
	"slices"
	"testing"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/db/dbtest"
	"github.com/postrider/postrider/internal/state/directory"
	"github.com/postrider/postrider/internal/state/directory/directorytest"
	"github.com/postrider/postrider/internal/state/schema"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContractSQL(t *testing.T) {
	directorytest.Run(t, func(t *testing.T, opt directory.Options) *directory.Directory {
		d, err := directory.New(t.Context(), dbtest.Open(t), opt)
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}

func TestContractMemory(t *testing.T) {
	directorytest.Run(t, func(t *testing.T, opt directory.Options) *directory.Directory {
		d, err := directory.NewMemory(opt)
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}

// What a restart keeps: accounts, passwords, and the salts of users that do not exist.
func TestRestart(t *testing.T) {
	open := dbtest.Place(t)
	var salt []byte
	for round := range 2 {
		store, err := open(t.Context(), db.Options{Schema: schema.Store})
		if err != nil {
			t.Fatal(err)
		}
		d, err := directory.New(t.Context(), store, directory.Options{HostDomain: "example.org", Hash: directorytest.FastHash})
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			if _, err := d.AddDomain(t.Context(), "example.org"); err != nil {
				t.Fatal(err)
			}
			n := directory.NewAccount{Address: directorytest.Addr(t, "alice@example.org"), Password: "pw"}
			if _, err := d.AddAccount(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := d.Authenticate(t.Context(), "alice", "pw", directory.Client{}); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		keys, _, err := d.ScramCredentials(t.Context(), "nobody")
		if err != nil || round == 1 && !slices.Equal(salt, keys.Salt) {
			t.Errorf("round %d: the salt of an unknown user changed with the restart; %v", round, err)
		}
		salt = keys.Salt
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkResolve(b *testing.B) {
	d := directorytest.New(b, "example.org")
	if _, err := d.AddDomain(b.Context(), "example.org"); err != nil {
		b.Fatal(err)
	}
	a := address.Address{Local: "alice", Domain: "example.org"}
	if _, err := d.AddAccount(b.Context(), directory.NewAccount{Address: a, Password: "x"}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Resolve(b.Context(), a); err != nil {
			b.Fatal(err)
		}
	}
}
