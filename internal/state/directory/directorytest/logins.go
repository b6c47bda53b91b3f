package directorytest

import (
	"fmt"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/state/directory"
)

// testLastLogins: the latest of each account and service is kept, as long as the account is.
func testLastLogins(t *testing.T, f *fixture) {
	alice, bob := f.account("ann@example.org"), f.account("ben@example.org")
	at := time.Date(2026, 11, 22, 4, 0, 0, 123456000, time.UTC)
	note := func(list ...directory.LastLogin) {
		t.Helper()
		if err := f.d.RecordLogins(t.Context(), list); err != nil {
			t.Fatal(err)
		}
	}
	want := func(account int64, want string) {
		t.Helper()
		list, err := f.d.LastLogins(t.Context(), account)
		got := ""
		for _, l := range list {
			name := map[int64]string{alice.ID: "alice", bob.ID: "bob"}[l.Account]
			got += fmt.Sprintf("%s %s %v %s; ", name, l.Service, l.At.Sub(at), l.Client)
		}
		if err != nil || got != want {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
	}
	want(0, "")
	note(directory.LastLogin{Account: alice.ID, Service: "imaps", At: at, Client: "192.0.2.1"},
		directory.LastLogin{Account: bob.ID, Service: "pop3s", At: at, Client: "192.0.2.2"},
		directory.LastLogin{Account: bob.ID + 1000, Service: "pop3s", At: at, Client: "192.0.2.2"}) // gone
	want(0, "alice imaps 0s 192.0.2.1; bob pop3s 0s 192.0.2.2; ")
	note(directory.LastLogin{Account: alice.ID, Service: "submission", At: at.Add(time.Second), Client: "2001:db8::1"},
		directory.LastLogin{Account: alice.ID, Service: "imaps", At: at.Add(time.Minute), Client: "192.0.2.3"})
	note(directory.LastLogin{Account: alice.ID, Service: "imaps", At: at.Add(-time.Minute), Client: "192.0.2.9"}) // came late
	want(alice.ID, "alice imaps 1m0s 192.0.2.3; alice submission 1s 2001:db8::1; ")
	if _, err := f.d.RemoveAccount(t.Context(), alice.Address); err != nil {
		t.Fatal(err)
	}
	want(0, "bob pop3s 0s 192.0.2.2; ")
	for login, known := range map[string]bool{"ben@example.org": true, "ben": true, "BEN@Example.Org": true, "ann": false, "@": false, "": false} {
		acc, found, err := f.d.LoginAccount(t.Context(), login)
		if err != nil || found != known || found && acc.ID != bob.ID {
			t.Errorf("%q: %+v, %v, %v", login, acc, found, err)
		}
	}
}
