// Command server is Postrider's node with nothing around it, for the crash proofs: loopback ports that the system
// chooses, accounts whose passwords cost nothing to check, and no command line to learn.
//
//	server -dir DIR [-accounts a,b] [-forward USER@DOMAIN] [-speed N -ahead D] [-pack N -fill N -checkpoint N] [key=TOML-value …]
//
// It makes the accounts that are missing (password: Password), has forward@ lead elsewhere if it is told so, serves until TERM, and prints one line when ready:
// {"smtp":"127.0.0.1:41234",…}. After TERM it drains, closes the state, checks the mailstore's invariants, and exits 0
// only if all of that went well. When a disk fails it exits 1, as `postrider serve` does.
//
// Builds with the tags nosync_pack and nosync_wal each lack one sync; the proofs must fail with them.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/node"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/directory"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/state/schema"
)

// domain is where all accounts are.
const domain = "here.example"

// Password is every account's.
const Password = "secret"

// drain bounds the end.
const drain = 20 * time.Second

func main() {
	dir := flag.String("dir", "", "data directory, absolute")
	accounts := flag.String("accounts", "", "local parts of accounts to make, separated by commas")
	forward := flag.String("forward", "", "address elsewhere that forward@ leads to")
	speed := flag.Int("speed", 1, "how much faster than the real one the server's clock runs")
	ahead := flag.Duration("ahead", 0, "how far ahead of the real one it starts")
	var sizes node.Sizes
	flag.Int64Var(&sizes.Pack, "pack", 0, "size at which a pack is sealed, bytes; 0: the default")
	flag.Int64Var(&sizes.Fill, "fill", 0, "bytes written ahead in a pack; 0: the default, -1: none")
	flag.Int64Var(&sizes.Checkpoint, "checkpoint", 0, "size of the log that starts a checkpoint, bytes; 0: the default")
	flag.Parse()
	options := node.Options{Now: clock(*speed, *ahead), Version: "crash", Sizes: sizes}
	if err := run(*dir, strings.Split(*accounts, ","), *forward, options, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

func run(dir string, accounts []string, forward string, o node.Options, sets []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	c, err := configure(dir, sets)
	if err != nil {
		return err
	}
	o.Config = c
	if err := seed(ctx, c, accounts, forward); err != nil {
		return fmt.Errorf("make accounts: %w", err)
	}
	o.Log, err = obs.New(obs.Options{Out: os.Stderr, Format: "text", Level: "warn"})
	if err != nil {
		return err
	}
	n, err := node.Open(ctx, o)
	if err != nil {
		return err
	}
	err = serve(ctx, n)
	end, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if err := errors.Join(err, n.Stop(end)); err != nil {
		return err
	}
	return verify(end, dir)
}

func serve(ctx context.Context, n *node.Node) error {
	if err := n.Start(ctx); err != nil {
		return err
	}
	addresses := map[string]string{}
	for service, a := range n.Addresses() {
		addresses[service] = a.String()
	}
	if err := json.NewEncoder(os.Stdout).Encode(addresses); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-n.Fatal():
		return err
	}
}

// clock makes minutes pass in seconds, so that what the server does once a minute happens between two kills.
func clock(speed int, ahead time.Duration) func() time.Time {
	start := time.Now()
	return func() time.Time { return start.Add(ahead + time.Since(start)*time.Duration(speed)) }
}

func configure(dir string, sets []string) (*config.Config, error) {
	all := []string{`hostname = "mail.here.example"`, fmt.Sprintf("domain = %q", domain), fmt.Sprintf("data_dir = %q", dir),
		`limits.disk_reserve = "0B"`, `metrics.listen = ["127.0.0.1:0"]`}
	for _, service := range []string{"smtp", "submission", "submissions", "lmtp", "imap", "imaps", "pop3", "pop3s"} {
		all = append(all, fmt.Sprintf("listeners.%s.enabled = %t", service, service == "smtp" || service == "imaps" || service == "lmtp" || service == "submissions"),
			fmt.Sprintf(`listeners.%s.addresses = ["127.0.0.1:0"]`, service))
	}
	return config.Load("", append(all, sets...))
}

// open opens the database as the node does, before the node has it or after.
func open(ctx context.Context, dir string) (*db.DB, error) {
	return db.Open(ctx, filepath.Join(dir, "store.db"), db.Options{Schema: schema.Store})
}

// seed makes accounts with passwords that cost next to nothing to check. Node makes their mailboxes.
func seed(ctx context.Context, c *config.Config, locals []string, forward string) (err error) {
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return err
	}
	d, err := open(ctx, c.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	book, err := directory.New(ctx, d, directory.Options{HostDomain: domain, Hash: directory.HashParams{MemoryKiB: 8, Time: 1, Threads: 1}})
	if err != nil {
		return err
	}
	if _, err := book.AddDomain(ctx, domain); err != nil && !errors.Is(err, directory.ErrExists) {
		return err
	}
	for _, local := range locals {
		a := directory.NewAccount{Address: address.Address{Local: local, Domain: domain}, Password: Password}
		if _, err := book.AddAccount(ctx, a); err != nil && !errors.Is(err, directory.ErrExists) {
			return err
		}
	}
	if forward == "" {
		return nil
	}
	to, err := address.Parse(forward, false)
	if err != nil {
		return err
	}
	_, err = book.AddAlias(ctx, address.Address{Local: "forward", Domain: domain}, []address.Address{to})
	if errors.Is(err, directory.ErrExists) {
		err = nil
	}
	return err
}

// verify checks what the node left.
func verify(ctx context.Context, dir string) (err error) {
	d, err := open(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := mailstore.New(mailstore.Options{DB: d}).Verify(ctx); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	return nil
}
