// Command toy is one acceptance pipeline with the promises of the real server
// and nothing else, to try the order proof and the power-cut replay on.
//
// A client says "PUT token size" or "APPEND token size" and then size bytes. A
// PUT is answered "250 2.0.0 queued token" when its record in the pack is
// synced, and is delivered into the database afterwards; a start delivers what
// the pack has and the database has not. An APPEND is answered
// "OK [APPENDUID 1 uid] token" when its record is synced and the database has
// committed; its record is not replayed, so the commit must last.
//
// "toy -list DIR…" recovers each directory and prints one line of tokens for
// each, in the order given.
//
// Builds with the tags nosync_pack, nosync_dir, nosync_wal each lack one sync,
// the one with nowait_pack does not wait for it. All must fail the proofs.
//
// Files: main.go (commands, sessions), pack.go (records), store.go (database),
// recover.go (start after a crash), sync_*.go and wait_*.go (the tags).
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	dir := flag.String("dir", "", "serve this data directory until TERM")
	list := flag.Bool("list", false, "recover the directories named and print their messages")
	flag.Parse()
	err := errors.New("-dir or -list is needed")
	switch {
	case *list:
		err = listAll(flag.Args())
	case *dir != "":
		err = serve(*dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "toy:", err)
		os.Exit(1)
	}
}

// serve prints its address and answers clients.
func serve(dir string) error {
	if err := os.MkdirAll(dir+"/blob", 0o700); err != nil {
		return err
	}
	if err := syncPath(dir); err != nil {
		return err
	}
	db, err := openStore(dir)
	if err != nil {
		return err
	}
	packs, err := openPacks(dir + "/blob")
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		l.Close()
	}()
	fmt.Println("listening", l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			return db.close() // the clients are gone: the harness ends them first
		}
		go func() {
			defer c.Close()
			if err := session(c, packs, db); err != nil && err != io.EOF {
				fmt.Fprintln(os.Stderr, "toy: session:", err)
			}
		}()
	}
}

const maxBody = 1 << 20

// session answers one client's commands.
func session(c net.Conn, packs *packs, db *store) error {
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		var verb, token string
		var size int
		if _, err := fmt.Sscanf(strings.TrimSpace(line), "%s %s %d", &verb, &token, &size); err != nil || size > maxBody {
			return fmt.Errorf("command %q: %v", line, err)
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(in, body); err != nil {
			return err
		}
		kind := kindPut
		if verb == "APPEND" {
			kind = kindAppend
		}
		place, err := packs.put(record{kind, token, body})
		if err != nil {
			return err
		}
		done := db.deliver(token, place)
		reply := fmt.Sprintf("250 2.0.0 queued %s\r\n", token)
		if kind == kindAppend {
			d := <-done
			if d.err != nil {
				return d.err
			}
			reply = fmt.Sprintf("OK [APPENDUID 1 %d] %s\r\n", d.uid, token)
		}
		if _, err := io.WriteString(c, reply); err != nil {
			return err
		}
	}
}
