package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// Commands of scripts for clients that stay connected:
//
//	connect NAME SERVICE  connects to a service, with TLS if its name ends in s
//	say NAME LINE         sends a line
//	hear NAME REGEX       reads lines until one matches
//	password VAR ADDRESS  puts the password of an account of the quickstart in data into VAR

type (
	clients struct{}
	client  struct {
		net.Conn
		in *bufio.Reader
	}
)

func (*scripts) connect(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: connect NAME SERVICE")
	}
	addr := ts.Getenv(strings.ToUpper(args[1]))
	conn, err := net.DialTimeout("tcp", addr, patience)
	ts.Check(err)
	if strings.HasSuffix(args[1], "s") {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // the certificate is another script's affair
	}
	ts.Check(conn.SetDeadline(time.Now().Add(patience)))
	ts.Defer(func() { _ = conn.Close() })
	ts.Value(clients{}).(map[string]*client)[args[0]] = &client{conn, bufio.NewReader(conn)}
}

func (*scripts) client(ts *testscript.TestScript, neg bool, args []string) *client {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: say NAME LINE, hear NAME REGEX")
	}
	c := ts.Value(clients{}).(map[string]*client)[args[0]]
	if c == nil {
		ts.Fatalf("%s is not connected", args[0])
	}
	return c
}

func (s *scripts) say(ts *testscript.TestScript, neg bool, args []string) {
	_, err := fmt.Fprintf(s.client(ts, neg, args), "%s\r\n", args[1])
	ts.Check(err)
}

func (s *scripts) hear(ts *testscript.TestScript, neg bool, args []string) {
	c := s.client(ts, neg, args)
	want, err := regexp.Compile(args[1])
	ts.Check(err)
	for heard := ""; ; {
		line, err := c.in.ReadString('\n')
		heard += line
		if err != nil {
			ts.Fatalf("%v; heard %q", err, heard)
		}
		if want.MatchString(strings.TrimRight(line, "\r\n")) {
			return
		}
	}
}

func (*scripts) password(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: password VAR ADDRESS")
	}
	for line := range strings.Lines(ts.ReadFile("data/accounts")) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == args[1] {
			ts.Setenv(args[0], f[1])
			return
		}
	}
	ts.Fatalf("no password of %s", args[1])
}
