package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// tlsFlags say how a connection is secured.
type tlsFlags struct {
	StartTLS bool   `name:"starttls" help:"Change to TLS with STARTTLS (STLS)." xor:"tls"`
	TLS      bool   `name:"tls" help:"Speak TLS from the first byte." xor:"tls"`
	CA       string `name:"ca" help:"PEM file of the authority that the server's certificate is from." type:"existingfile"`
	Insecure bool   `help:"Accept any certificate."`
}

func (f *tlsFlags) config(addr string) (*tls.Config, error) {
	host := "localhost" // a unix socket has no name of its own
	if !strings.HasPrefix(addr, "/") {
		var port string
		var err error
		if host, port, err = net.SplitHostPort(addr); err != nil || port == "" {
			return nil, fmt.Errorf("--addr %s: neither host:port nor the path of a unix socket", addr)
		}
	}
	cfg := &tls.Config{ServerName: host, InsecureSkipVerify: f.Insecure}
	if f.CA == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, err
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in it", f.CA)
	}
	return cfg, nil
}

// passwordFlags give the one password; never on the command line, where all users of the machine can read it.
type passwordFlags struct {
	PasswordFile string `help:"File whose first line is the password; or set MAILBENCH_PASSWORD." type:"existingfile"`
}

func (f *passwordFlags) password() (string, error) {
	if f.PasswordFile == "" {
		if p := os.Getenv("MAILBENCH_PASSWORD"); p != "" {
			return p, nil
		}
		return "", errors.New("a login needs --password-file or MAILBENCH_PASSWORD")
	}
	b, err := os.ReadFile(f.PasswordFile)
	if err != nil {
		return "", err
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	return string(bytes.TrimSuffix(line, []byte("\r"))), nil
}

// outputFlags are common to all loads.
type outputFlags struct {
	ServerPID []int `name:"server-pid" help:"Process of the server, on this machine: its CPU time and memory are measured, with all below it. Repeatable."`
	JSON      bool  `name:"json" help:"Print the result as JSON."`
}

// print writes a result as JSON or, by text, for people.
func (f *outputFlags) print(out io.Writer, result any, text func(io.Writer) error) error {
	if !f.JSON {
		return text(out)
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(result)
}

// amountFlags say how long a load lasts.
type amountFlags struct {
	Seconds seconds `help:"How long: seconds, or a Go duration." default:"10"`
}

// duration is the time, unless a number replaces it.
func (f *amountFlags) duration(number int64) time.Duration {
	if number > 0 {
		return 0
	}
	return time.Duration(f.Seconds)
}

// seconds is a time on the command line: a plain number of seconds, or a Go duration.
type seconds time.Duration

func (s *seconds) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if n, err := strconv.ParseFloat(string(b), 64); err == nil && n > 0 && n < 1e6 {
		*s = seconds(n * float64(time.Second))
		return nil
	}
	d, err := time.ParseDuration(string(b))
	if err != nil || d <= 0 {
		return fmt.Errorf("%q is neither a number of seconds nor a duration such as 90s or 2m", b)
	}
	*s = seconds(d)
	return nil
}
