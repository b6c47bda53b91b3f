package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/directory"
)

// Thousands of logins are one write a minute; what failed is written the next time, unless something newer came.
func TestLastLoginsMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, err := obs.New(obs.Options{Out: t.Output(), Format: "text", Level: "warn"})
		if err != nil {
			t.Fatal(err)
		}
		var (
			mu     sync.Mutex
			writes []string
			fail   error
		)
		l := newLastLogins(func(_ context.Context, list []directory.LastLogin) error {
			mu.Lock()
			defer mu.Unlock()
			if fail != nil {
				return fail
			}
			var words []string
			for _, one := range list {
				words = append(words, fmt.Sprint(one.Account, one.Service, one.Client))
			}
			slices.Sort(words)
			writes = append(writes, strings.Join(words, " "))
			return nil
		}, log)
		note := func(account int64, service, client string) {
			l.note(directory.LastLogin{Account: account, Service: service, Client: client, At: time.Now()})
		}
		want := func(list ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(writes, list) {
				t.Fatalf("written: %q, want %q", writes, list)
			}
		}
		l.start()
		for i := range 1000 {
			note(1, "imaps", fmt.Sprint("client", i%7))
		}
		note(2, "pop3", "client0")
		want()
		time.Sleep(lastLoginPace + time.Second)
		first := "1imapsclient5 2pop3client0"
		want(first)
		time.Sleep(10 * lastLoginPace) // nothing new, nothing written
		want(first)
		set := func(err error) { mu.Lock(); defer mu.Unlock(); fail = err }
		set(errors.New("disk full"))
		note(1, "imaps", "old")
		note(2, "pop3", "kept")
		time.Sleep(lastLoginPace)
		want(first)
		set(nil)
		note(1, "imaps", "new")
		if err := l.stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		want(first, "1imapsnew 2pop3kept")
	})
}
