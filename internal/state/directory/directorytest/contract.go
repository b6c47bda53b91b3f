// Package directorytest has directories for the tests of other packages, and the contract suite of package directory.
package directorytest

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/directory"
)

// FastHash makes hashing cheap; for tests only.
var FastHash = directory.HashParams{MemoryKiB: 8, Time: 1, Threads: 1}

// New returns an empty directory in memory whose host's domain is hostDomain, with cheap hashing.
func New(t testing.TB, hostDomain string) *directory.Directory {
	t.Helper()
	d, err := directory.NewMemory(directory.Options{HostDomain: hostDomain, Hash: FastHash})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Addr reads an address that a test wrote down.
func Addr(t testing.TB, s string) address.Address {
	t.Helper()
	a, err := address.Parse(s, true)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return a
}

// Run is the contract of a directory, for every kind of storage. open gives an empty one.
func Run(t *testing.T, open func(t *testing.T, opt directory.Options) *directory.Directory) {
	for name, fn := range map[string]func(*testing.T, *fixture){
		"Domains":          testDomains,
		"Accounts":         testAccounts,
		"AccountIDs":       testAccountIDs,
		"Aliases":          testAliases,
		"Refusals":         testRefusals,
		"Resolve":          testResolve,
		"ResolveFollows":   testResolveFollowsChanges,
		"AliasLoop":        testAliasLoop,
		"AliasDepth":       testAliasDepth,
		"AliasWidth":       testAliasWidth,
		"Roles":            testRoles,
		"OwnsAddress":      testOwnsAddress,
		"Authenticate":     testAuthenticate,
		"PasswordChange":   testPasswordChange,
		"Scram":            testScram,
		"LastLogins":       testLastLogins,
		"Foreign":          testForeign,
		"SystemUser":       testSystemUser,
		"FailedChange":     testFailedChange,
		"EndedContext":     testEndedContext,
		"ConcurrentChange": testConcurrentChange,
	} {
		t.Run(name, func(t *testing.T) {
			f := &fixture{t: t}
			f.d = open(t, directory.Options{HostDomain: "example.org", Hash: FastHash, System: &f.system})
			for _, dom := range []string{"example.org", "example.net"} {
				if _, err := f.d.AddDomain(t.Context(), dom); err != nil {
					t.Fatal(err)
				}
			}
			f.account("alice@example.org")
			f.account("bob@example.org")
			fn(t, f)
		})
	}
}

type fixture struct {
	t      *testing.T
	d      *directory.Directory
	system systemUsers
}

func (f *fixture) account(s string) directory.Account {
	f.t.Helper()
	acc, err := f.d.AddAccount(f.t.Context(), directory.NewAccount{Address: Addr(f.t, s), Password: "pw " + s})
	if err != nil {
		f.t.Fatal(err)
	}
	return acc
}

func (f *fixture) addrs(list string) (out []address.Address) {
	for s := range strings.FieldsSeq(list) {
		out = append(out, Addr(f.t, s))
	}
	return out
}

func (f *fixture) alias(a, targets string) {
	f.t.Helper()
	if _, err := f.d.SetAlias(f.t.Context(), Addr(f.t, a), f.addrs(targets)); err != nil {
		f.t.Fatal(err)
	}
}

// resolve shows a resolution as one line.
func (f *fixture) resolve(s string) string {
	f.t.Helper()
	a := address.Address{Local: s}
	if strings.Contains(s, "@") {
		a = Addr(f.t, s)
	}
	r, err := f.d.Resolve(f.t.Context(), a)
	if err != nil {
		e := status.Of(err)
		return fmt.Sprintf("%d %s", e.Code, e.Enhanced)
	}
	if !r.Ours {
		return "elsewhere"
	}
	var out []string
	for _, target := range r.Targets {
		s := target.Address.String()
		if target.Account != 0 {
			acc, err := f.d.AccountByID(f.t.Context(), target.Account)
			if err != nil || acc.Address != target.Address {
				f.t.Errorf("target %+v is account %+v, %v", target, acc, err)
			}
			s = "[" + s + "]"
		}
		if target.Extension != "" {
			s += " +" + target.Extension
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func (f *fixture) wantResolve(s, want string) {
	f.t.Helper()
	for range 2 { // the second time from what is remembered
		if got := f.resolve(s); got != want {
			f.t.Errorf("%s leads to %q, want %q", s, got, want)
		}
	}
}

func (f *fixture) wantError(err error, kind error, text string) {
	f.t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(fmt.Sprint(err), text) {
		f.t.Errorf("error %q, want kind %q with %q", err, kind, text)
	}
}

func testDomains(t *testing.T, f *fixture) {
	dom, err := f.d.AddDomain(t.Context(), "Bücher.Example.")
	if err != nil || dom.Name != "xn--bcher-kva.example" || dom.Tenant != directory.DefaultTenant || dom.Delimiter != "+" {
		t.Errorf("%+v %v", dom, err)
	}
	_, err = f.d.AddDomain(t.Context(), "bücher.example")
	f.wantError(err, directory.ErrExists, "bücher.example exists")
	_, err = f.d.AddDomain(t.Context(), "[192.0.2.1]")
	f.wantError(err, directory.ErrInvalid, "not a domain")
	_, err = f.d.Domain(t.Context(), "example.com")
	f.wantError(err, directory.ErrNotFound, "no such domain example.com; domains are: example.net, example.org, bücher.example")
	list, err := f.d.ListDomains(t.Context(), 0)
	if err != nil || len(list) != 3 || list[0].Name != "example.net" || list[0].Created.IsZero() {
		t.Errorf("%+v %v", list, err)
	}
	if list, err := f.d.ListDomains(t.Context(), 2); err != nil || len(list) != 0 {
		t.Errorf("another tenant's domains: %+v %v", list, err)
	}
	f.wantError(f.d.RemoveDomain(t.Context(), "example.org"), directory.ErrInUse, "2 accounts and 0 aliases")
	if err := f.d.RemoveDomain(t.Context(), "bücher.example"); err != nil {
		t.Error(err)
	}
	f.wantError(f.d.RemoveDomain(t.Context(), "bücher.example"), directory.ErrNotFound, "bücher.example")
	bad := "a"
	_, err = f.d.SetDomain(t.Context(), "example.org", directory.DomainChange{Delimiter: &bad})
	f.wantError(err, directory.ErrInvalid, "delimiter")
}

func testAccounts(t *testing.T, f *fixture) {
	ctx := t.Context()
	acc := f.account("Carol.X@example.org")
	got, err := f.d.Account(ctx, Addr(t, "cAROL.x@example.org"))
	if err != nil || got.ID != acc.ID || got.Address.Local != "Carol.X" || got.Tenant != directory.DefaultTenant || got.Created.IsZero() {
		t.Errorf("%+v %v", got, err)
	}
	_, err = f.d.AddAccount(ctx, directory.NewAccount{Address: Addr(t, "carol.x@example.org"), Password: "x"})
	f.wantError(err, directory.ErrExists, "exists already")
	_, err = f.d.AddAccount(ctx, directory.NewAccount{Address: Addr(t, "x@example.com"), Password: "x"})
	f.wantError(err, directory.ErrNotFound, "no such domain example.com; domains are: example.net, example.org")
	_, err = f.d.AddAccount(ctx, directory.NewAccount{Address: Addr(t, "x@example.org")})
	f.wantError(err, directory.ErrInvalid, "password is empty")
	_, err = f.d.AddAccount(ctx, directory.NewAccount{Address: Addr(t, "x@example.org"), Password: strings.Repeat("x", 1025)})
	f.wantError(err, directory.ErrInvalid, "longer than")
	_, err = f.d.Account(ctx, Addr(t, "carrol@example.org"))
	f.wantError(err, directory.ErrNotFound, "accounts of example.org are: alice@example.org, bob@example.org, Carol.X@example.org")
	list, err := f.d.ListAccounts(ctx, "EXAMPLE.org")
	if err != nil || len(list) != 3 {
		t.Errorf("%+v %v", list, err)
	}
	if list, err := f.d.ListAccounts(ctx, ""); err != nil || len(list) != 3 {
		t.Errorf("%+v %v", list, err)
	}
	if list, err := f.d.ListAccounts(ctx, "example.net"); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
	removed, err := f.d.RemoveAccount(ctx, acc.Address)
	if err != nil || removed.ID != acc.ID {
		t.Errorf("%+v %v", removed, err)
	}
	_, err = f.d.AccountByID(ctx, acc.ID)
	f.wantError(err, directory.ErrNotFound, "no account")
}

func testAccountIDs(t *testing.T, f *fixture) {
	first := f.account("x@example.org")
	if _, err := f.d.RemoveAccount(t.Context(), first.Address); err != nil {
		t.Fatal(err)
	}
	if second := f.account("x@example.org"); second.ID <= first.ID || first.ID <= 0 {
		t.Errorf("ids %d, then %d: an id was used again", first.ID, second.ID)
	}
}

func testAliases(t *testing.T, f *fixture) {
	ctx := t.Context()
	al, err := f.d.AddAlias(ctx, Addr(t, "Team@example.org"), f.addrs("alice@example.org X@far.example bob@example.org X@far.example x@far.example"))
	if err != nil || len(al.Targets) != 4 {
		t.Errorf("%+v %v", al, err)
	}
	_, err = f.d.AddAlias(ctx, Addr(t, "team@example.org"), f.addrs("bob@example.org"))
	f.wantError(err, directory.ErrExists, "it leads to alice@example.org, X@far.example, bob@example.org, x@far.example")
	got, err := f.d.Alias(ctx, Addr(t, "TEAM@example.org"))
	if err != nil || !slices.Equal(got.Targets, al.Targets) || got.Address.Local != "Team" {
		t.Errorf("%+v %v", got, err)
	}
	f.alias("team@example.org", "bob@example.org")
	f.alias("all@example.org", "team@example.org alice@example.org")
	f.alias("info@example.net", "bob@example.org")
	list, err := f.d.ListAliases(ctx, "example.org")
	if err != nil || len(list) != 2 || list[0].Address.Local != "all" || len(list[0].Targets) != 2 || len(list[1].Targets) != 1 {
		t.Errorf("%+v %v", list, err)
	}
	if list, err = f.d.ListAliases(ctx, ""); err != nil || len(list) != 3 {
		t.Errorf("%+v %v", list, err)
	}
	_, err = f.d.Alias(ctx, Addr(t, "teem@example.org"))
	f.wantError(err, directory.ErrNotFound, "aliases of example.org are: all@example.org, team@example.org")
	f.wantError(f.d.RemoveAlias(ctx, Addr(t, "team@example.org")), directory.ErrInUse, "the alias all@example.org")
	if err := f.d.RemoveAlias(ctx, Addr(t, "all@example.org")); err != nil {
		t.Error(err)
	}
	if err := f.d.RemoveAlias(ctx, Addr(t, "team@example.org")); err != nil {
		t.Error(err)
	}
}

func testRefusals(t *testing.T, f *fixture) {
	ctx := t.Context()
	add := func(a, targets string) error {
		_, err := f.d.AddAlias(ctx, Addr(t, a), f.addrs(targets))
		return err
	}
	f.wantError(add("team@example.org", ""), directory.ErrInvalid, "at least one target")
	f.wantError(add("team@example.org", "nobody@example.org"), directory.ErrNotFound, "no such account or alias nobody@example.org")
	f.wantError(add("team@example.com", "alice@example.org"), directory.ErrNotFound, "domains are")
	f.wantError(add("team@example.org", "team@example.org"), directory.ErrInvalid, "leads to itself")
	f.alias("team@example.org", "alice@example.org")
	_, err := f.d.RemoveAccount(ctx, Addr(t, "alice@example.org"))
	f.wantError(err, directory.ErrInUse, "the alias team@example.org")
	to := Addr(t, "bob@example.org")
	if _, err := f.d.SetDomain(ctx, "example.net", directory.DomainChange{CatchAll: &to}); err != nil {
		t.Error(err)
	}
	_, err = f.d.RemoveAccount(ctx, to)
	f.wantError(err, directory.ErrInUse, "the catch-all of example.net")
	nobody := Addr(t, "nobody@example.org")
	_, err = f.d.SetDomain(ctx, "example.net", directory.DomainChange{CatchAll: &nobody})
	f.wantError(err, directory.ErrNotFound, "nobody@example.org")
	_, err = f.d.RemoveAccount(ctx, Addr(t, "team@example.org"))
	f.wantError(err, directory.ErrNotFound, "is an alias, not an account")
}

func testResolve(t *testing.T, f *fixture) {
	ctx := t.Context()
	f.account("weiß+exact@example.org")
	f.account("weiß@example.org")
	f.alias("team@example.org", "alice@example.org bob@example.org far@far.example Far@far.example")
	f.alias("all@example.org", "team@example.org bob@example.org more@far.example")
	f.alias("alice@example.net", "alice@example.org")
	f.alias("bob@example.org", "bob@example.org copy@far.example") // the account keeps its mail
	for _, c := range []struct{ in, want string }{
		{"alice@example.org", "[alice@example.org]"},
		{"ALICE@example.org", "[alice@example.org]"},
		{"alice+Lists@example.org", "[alice@example.org] +Lists"},
		{"alice+a+b@example.org", "[alice@example.org] +a+b"},
		{"weiß@example.org", "[weiß@example.org]"},
		{"weiß+exact@example.org", "[weiß+exact@example.org]"}, // exact before delimiter
		{"weiß+other@example.org", "[weiß@example.org] +other"},
		{"alice-x@example.org", "550 5.1.1"},
		{"+alice@example.org", "550 5.1.1"},
		{"nobody@example.org", "550 5.1.1"},
		{"alice@far.example", "elsewhere"},
		{"alice@sub.example.org", "elsewhere"},
		{"team@example.org", "[alice@example.org] [bob@example.org] copy@far.example far@far.example Far@far.example"},
		{"Team+x@example.org", "[alice@example.org] [bob@example.org] copy@far.example far@far.example Far@far.example"},
		{"all@example.org", "[alice@example.org] [bob@example.org] copy@far.example far@far.example Far@far.example more@far.example"},
		{"alice@example.net", "[alice@example.org]"},
		{"bob@example.net", "550 5.1.1"},
	} {
		f.wantResolve(c.in, c.want)
	}
	none, two, to := "", "-=", Addr(t, "alice@example.org")
	if _, err := f.d.SetDomain(ctx, "example.org", directory.DomainChange{Delimiter: &two}); err != nil {
		t.Fatal(err)
	}
	f.wantResolve("alice-x@example.org", "[alice@example.org] +x")
	f.wantResolve("alice=x@example.org", "[alice@example.org] +x")
	f.wantResolve("alice+x@example.org", "550 5.1.1")
	dom, err := f.d.SetDomain(ctx, "example.org", directory.DomainChange{Delimiter: &none, CatchAll: &to})
	if err != nil || dom.CatchAll != to || dom.Delimiter != "" {
		t.Fatal(dom, err)
	}
	f.wantResolve("alice-x@example.org", "[alice@example.org]") // by the catch-all
	f.wantResolve("bob@example.org", "[bob@example.org] copy@far.example")
	if dom, err := f.d.SetDomain(ctx, "example.org", directory.DomainChange{CatchAll: &address.Address{}}); err != nil || !dom.CatchAll.IsZero() {
		t.Fatal(dom, err)
	}
	f.wantResolve("alice-x@example.org", "550 5.1.1")
}

func testResolveFollowsChanges(t *testing.T, f *fixture) {
	ctx := t.Context()
	f.wantResolve("new@example.org", "550 5.1.1")
	f.account("new@example.org")
	f.wantResolve("new@example.org", "[new@example.org]")
	f.alias("new@example.org", "bob@example.org")
	f.wantResolve("new@example.org", "[bob@example.org]")
	if err := f.d.RemoveAlias(ctx, Addr(t, "new@example.org")); err != nil {
		t.Fatal(err)
	}
	f.wantResolve("new@example.org", "[new@example.org]")
	if _, err := f.d.RemoveAccount(ctx, Addr(t, "new@example.org")); err != nil {
		t.Fatal(err)
	}
	f.wantResolve("new@example.org", "550 5.1.1")
	f.wantResolve("x@new.example", "elsewhere")
	if _, err := f.d.AddDomain(ctx, "new.example"); err != nil {
		t.Fatal(err)
	}
	f.wantResolve("x@new.example", "550 5.1.1")
	if err := f.d.RemoveDomain(ctx, "new.example"); err != nil {
		t.Fatal(err)
	}
	f.wantResolve("x@new.example", "elsewhere")
}

func testAliasLoop(t *testing.T, f *fixture) {
	f.alias("a@example.org", "alice@example.org")
	f.alias("b@example.org", "a@example.org")
	f.alias("c@example.org", "b@example.org")
	_, err := f.d.SetAlias(t.Context(), Addr(t, "a@example.org"), f.addrs("c@example.org alice@example.org"))
	f.wantError(err, directory.ErrInvalid, "alias loop: a@example.org → c@example.org → b@example.org → a@example.org")
	f.wantResolve("c@example.org", "[alice@example.org]")
	// Through the delimiter, and through the catch-all.
	_, err = f.d.SetAlias(t.Context(), Addr(t, "a@example.org"), f.addrs("c+x@example.org"))
	f.wantError(err, directory.ErrInvalid, "alias loop")
	alice, to := Addr(t, "alice@example.org"), Addr(t, "loop@example.org")
	if _, err := f.d.SetDomain(t.Context(), "example.net", directory.DomainChange{CatchAll: &alice}); err != nil {
		t.Fatal(err)
	}
	f.alias("loop@example.org", "x@example.net bob@example.org")
	_, err = f.d.SetDomain(t.Context(), "example.net", directory.DomainChange{CatchAll: &to})
	f.wantError(err, directory.ErrInvalid, "alias loop")
}

func testAliasDepth(t *testing.T, f *fixture) {
	f.alias("a1@example.org", "alice@example.org")
	for i := 2; i <= directory.MaxDepth; i++ {
		f.alias(fmt.Sprintf("a%d@example.org", i), fmt.Sprintf("a%d@example.org", i-1))
	}
	f.wantResolve("a10@example.org", "[alice@example.org]")
	_, err := f.d.AddAlias(t.Context(), Addr(t, "a11@example.org"), f.addrs("a10@example.org"))
	f.wantError(err, directory.ErrInvalid, "more than 10 aliases")
	// Deeper by a change in the middle: found when mail comes, and then it waits.
	f.alias("a0@example.org", "alice@example.org")
	f.alias("a1@example.org", "a0@example.org")
	f.wantResolve("a10@example.org", "451 4.3.5")
	f.wantResolve("a9@example.org", "[alice@example.org]")
}

func testAliasWidth(t *testing.T, f *fixture) {
	many := func(name string, n int) (list []address.Address) {
		for i := range n {
			list = append(list, address.Address{Local: fmt.Sprint(name, i), Domain: "far.example"})
		}
		return list
	}
	add := func(a string, targets []address.Address) error {
		_, err := f.d.SetAlias(t.Context(), Addr(t, a), targets)
		return err
	}
	if err := add("most@example.org", many("x", directory.MaxTargets)); err != nil {
		t.Error(err)
	}
	f.wantError(add("more@example.org", many("x", directory.MaxTargets+1)), directory.ErrInvalid, "at most 1000")
	f.wantError(add("sum@example.org", append(many("y", 1), Addr(t, "most@example.org"))), directory.ErrInvalid, "more than 1000 targets")
	if err := add("same@example.org", append(many("x", 500), Addr(t, "most@example.org"))); err != nil {
		t.Errorf("the same targets twice: %v", err)
	}
}

func testRoles(t *testing.T, f *fixture) {
	f.wantResolve("postmaster@example.org", "550 5.1.1") // the installation has not made one yet
	if _, err := f.d.AddAccount(t.Context(), directory.NewAccount{Address: Addr(t, "postmaster@example.org"), NoLogin: true}); err != nil {
		t.Fatal(err)
	}
	const host = "[postmaster@example.org]"
	for _, a := range []string{"postmaster@example.org", "PostMaster@example.org", "abuse@example.org", "postmaster@example.net",
		"Abuse@example.net", "postmaster", "POSTMASTER"} {
		f.wantResolve(a, host)
	}
	f.wantResolve("abuses@example.org", "550 5.1.1")
	f.alias("abuse@example.net", "bob@example.org")
	f.wantResolve("abuse@example.net", "[bob@example.org]")
	f.alias("postmaster@example.org", "alice@example.org postmaster@example.org")
	f.wantResolve("postmaster@example.net", "[alice@example.org] [postmaster@example.org]")
	to := Addr(t, "alice@example.org")
	if _, err := f.d.SetDomain(t.Context(), "example.net", directory.DomainChange{CatchAll: &to}); err != nil {
		t.Fatal(err)
	}
	f.wantResolve("postmaster@example.net", "[alice@example.org] [postmaster@example.org]")
	f.wantResolve("any@example.net", "[alice@example.org]")
}

func testOwnsAddress(t *testing.T, f *fixture) {
	alice, err := f.d.Account(t.Context(), Addr(t, "alice@example.org"))
	if err != nil {
		t.Fatal(err)
	}
	f.alias("team@example.org", "alice@example.org bob@example.org")
	f.alias("all@example.net", "team@example.org")
	f.alias("far@example.org", "x@far.example")
	to := alice.Address
	if _, err := f.d.SetDomain(t.Context(), "example.net", directory.DomainChange{CatchAll: &to}); err != nil {
		t.Fatal(err)
	}
	for a, want := range map[string]bool{
		"alice@example.org": true, "Alice@example.org": true, "alice+tag@example.org": true, "team@example.org": true,
		"team+x@example.org": true, "all@example.net": true, "bob@example.org": false, "far@example.org": false,
		"nobody@example.org": false, "any@example.net": false, "postmaster@example.net": false, "alice@far.example": false,
	} {
		if got, err := f.d.OwnsAddress(t.Context(), alice.ID, Addr(t, a)); err != nil || got != want {
			t.Errorf("%s: %v %v", a, got, err)
		}
	}
	if got, err := f.d.OwnsAddress(t.Context(), 0, Addr(t, "far@example.org")); err != nil || got {
		t.Errorf("nobody owns an address elsewhere: %v %v", got, err)
	}
}

var client = directory.Client{Remote: "192.0.2.1:4711", Service: "test"}

func (f *fixture) login(name, password string) error {
	acc, err := f.d.Authenticate(f.t.Context(), name, password, client)
	if err == nil && acc.ID == 0 || err != nil && acc != (directory.Account{}) {
		f.t.Errorf("%s: account %+v with error %v", name, acc, err)
	}
	return err
}

func testAuthenticate(t *testing.T, f *fixture) {
	if _, err := f.d.AddAccount(t.Context(), directory.NewAccount{Address: Addr(t, "box@example.org"), Password: "box", NoLogin: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.d.AddAccount(t.Context(), directory.NewAccount{Address: Addr(t, "none@example.org"), NoLogin: true}); err != nil {
		t.Fatal(err)
	}
	f.alias("al@example.org", "alice@example.org")
	const pw = "pw alice@example.org"
	for range 2 {
		for _, c := range []struct {
			name, password string
			ok             bool
		}{
			{"alice@example.org", pw, true},
			{"ALICE@Example.ORG", pw, true},
			{"alice", pw, true}, // in the host's domain
			{"alice@example.org", "wrong", false},
			{"alice@example.org", "", false},
			{"alice@example.org", pw + "\x00", false},
			{"alice@example.org", "\xff", false},
			{"alice@example.org", strings.Repeat("x", 5000), false},
			{"alice@example.net", pw, false},
			{"alice+x@example.org", pw, false},
			{"al@example.org", pw, false},
			{"nobody@example.org", pw, false},
			{"", pw, false},
			{"@", pw, false},
			{"\xff@example.org", pw, false},
			{strings.Repeat("a", 5000), pw, false},
			{"box@example.org", "box", false},
			{"none@example.org", "", false},
			{"none@example.org", "-", false},
		} {
			err := f.login(c.name, c.password)
			if c.ok && err != nil || !c.ok && !errors.Is(err, directory.ErrCredentials) {
				t.Errorf("%.20q %.20q: %v", c.name, c.password, err)
			}
		}
	}
	box := Addr(t, "box@example.org")
	if err := f.d.SetNoLogin(t.Context(), box, false); err != nil {
		t.Error(err)
	}
	if err := f.login("box@example.org", "box"); err != nil {
		t.Error(err)
	}
	if err := f.d.SetNoLogin(t.Context(), box, true); err != nil {
		t.Error(err)
	}
	if err := f.login("box@example.org", "box"); !errors.Is(err, directory.ErrCredentials) {
		t.Errorf("a remembered login outlived the permission: %v", err)
	}
	f.wantError(f.d.SetNoLogin(t.Context(), Addr(t, "none@example.org"), false), directory.ErrInvalid, "no password")
}

func testPasswordChange(t *testing.T, f *fixture) {
	alice := Addr(t, "alice@example.org")
	if err := f.login("alice@example.org", "pw alice@example.org"); err != nil {
		t.Fatal(err)
	}
	// RFC 4013: a no-break space is a space; the ﬁ ligature is fi.
	if err := f.d.SetPassword(t.Context(), alice, "new\u00a0ﬁne"); err != nil {
		t.Fatal(err)
	}
	if err := f.login("alice@example.org", "pw alice@example.org"); !errors.Is(err, directory.ErrCredentials) {
		t.Errorf("the old password: %v", err)
	}
	for _, pw := range []string{"new\u00a0ﬁne", "new fine"} {
		if err := f.login("alice@example.org", pw); err != nil {
			t.Errorf("the new password as %q: %v", pw, err)
		}
	}
	f.wantError(f.d.SetPassword(t.Context(), Addr(t, "nobody@example.org"), "x"), directory.ErrNotFound, "no such account")
	f.wantError(f.d.SetPassword(t.Context(), alice, "a\nb"), directory.ErrInvalid, "line break")
	if _, err := f.d.RemoveAccount(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	if err := f.login("alice@example.org", "new fine"); !errors.Is(err, directory.ErrCredentials) {
		t.Errorf("a removed account: %v", err)
	}
}

func testScram(t *testing.T, f *fixture) {
	ctx := t.Context()
	keys, acc, err := f.d.ScramCredentials(ctx, "Alice@example.org")
	if err != nil || acc.Address.Local != "alice" {
		t.Fatal(acc, err)
	}
	// RFC 5802 §3.
	salted, err := pbkdf2.Key(sha256.New, "pw alice@example.org", keys.Salt, keys.Iterations, 32)
	if err != nil {
		t.Fatal(err)
	}
	mac := func(s string) []byte { h := hmac.New(sha256.New, salted); h.Write([]byte(s)); return h.Sum(nil) }
	stored := sha256.Sum256(mac("Client Key"))
	if !slices.Equal(stored[:], keys.StoredKey) || !slices.Equal(mac("Server Key"), keys.ServerKey) || keys.Iterations < 4096 {
		t.Error("the keys are not those of the password")
	}
	fake, acc, err := f.d.ScramCredentials(ctx, "nobody@example.org")
	if err != nil || acc.ID != 0 || len(fake.Salt) != len(keys.Salt) || fake.Iterations != keys.Iterations {
		t.Errorf("unknown user: %+v %+v %v", fake, acc, err)
	}
	again, _, err := f.d.ScramCredentials(ctx, "NOBODY@example.org")
	if err != nil || !slices.Equal(again.Salt, fake.Salt) {
		t.Error("an unknown user's salt changes, which tells that it is invented")
	}
	other, _, err := f.d.ScramCredentials(ctx, "nobody2@example.org")
	if err != nil || slices.Equal(other.Salt, fake.Salt) {
		t.Error("all unknown users have one salt, which tells that it is invented")
	}
	if err := f.d.SetNoLogin(ctx, Addr(t, "alice@example.org"), true); err != nil {
		t.Fatal(err)
	}
	if k, acc, err := f.d.ScramCredentials(ctx, "alice@example.org"); err != nil || acc.ID != 0 || slices.Equal(k.StoredKey, keys.StoredKey) {
		t.Errorf("an account without login: %+v %v", acc, err)
	}
}

func testFailedChange(t *testing.T, f *fixture) {
	// The alias is stored before the loop is found: nothing of it may stay.
	f.alias("a@example.org", "alice@example.org")
	f.alias("b@example.org", "a@example.org")
	if _, err := f.d.SetAlias(t.Context(), Addr(t, "a@example.org"), f.addrs("b@example.org")); err == nil {
		t.Fatal("a loop was taken")
	}
	al, err := f.d.Alias(t.Context(), Addr(t, "a@example.org"))
	if err != nil || len(al.Targets) != 1 || al.Targets[0].Local != "alice" {
		t.Errorf("%+v %v", al, err)
	}
}

func testEndedContext(t *testing.T, f *fixture) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.d.Resolve(ctx, Addr(t, "alice@example.org")); !status.IsTemporary(err) {
		t.Errorf("resolve: %v", err)
	}
	f.wantResolve("alice@example.org", "[alice@example.org]") // and the failure was not remembered
	if _, err := f.d.Authenticate(ctx, "alice@example.org", "other", client); !status.IsTemporary(err) {
		t.Errorf("authenticate: %v", err)
	}
	if _, _, err := f.d.ScramCredentials(ctx, "alice@example.org"); !status.IsTemporary(err) {
		t.Errorf("scram: %v", err)
	}
}

// Who resolves while an alias changes sees the old or the new, and after the change only the new.
func testConcurrentChange(t *testing.T, f *fixture) {
	f.alias("turn@example.org", "alice@example.org")
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := f.d.Resolve(t.Context(), address.Address{Local: "turn", Domain: "example.org"}); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for i := range 20 {
		target := []string{"alice@example.org", "bob@example.org"}[i%2]
		f.alias("turn@example.org", target)
		f.wantResolve("turn@example.org", "["+target+"]")
	}
	close(stop)
	<-done
}
