package acme

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/postrider/postrider/test/needs"
)

// zone is a BIND that serves acme.test and takes updates signed by the key "postrider".
type zone struct {
	Address string
	Secret  string // file
	log     output
}

const secret = "c2l4dGVlbiBieXRlcyBhdCBsZWFzdCwgaGVyZSBtb3Jl"

const namedConf = `options {
	directory %[1]q;
	pid-file none;
	session-keyfile none;
	listen-on port %[2]d { 127.0.0.1; };
	listen-on-v6 { none; };
	recursion no;
	dnssec-validation no;
	notify no;
};
controls { };
key "postrider" { algorithm hmac-sha256; secret %[3]q; };
zone "acme.test" { type primary; file "acme.test"; update-policy { grant postrider name _acme-challenge.mx.acme.test TXT; grant postrider name _acme-challenge.acme.test TXT; }; };
`

const zoneText = `$TTL 60
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
@ A 127.0.0.1
ns A 127.0.0.1
mx A 127.0.0.1
`

// startZone runs the name server until the test ends.
func startZone(t testing.TB) *zone {
	t.Helper()
	bin := needs.Program(t, "named")
	dir := t.TempDir()
	port := freePort(t)
	z := &zone{Address: fmt.Sprintf("127.0.0.1:%d", port), Secret: filepath.Join(dir, "secret")}
	for name, text := range map[string]string{"named.conf": fmt.Sprintf(namedConf, dir, port, secret), "acme.test": zoneText, "secret": secret + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command(bin, "-g", "-n", "1", "-c", filepath.Join(dir, "named.conf")) // in the foreground, as who we are
	c.Stdout, c.Stderr = &z.log, &z.log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait() // of the kill
		if t.Failed() {
			t.Logf("named's log:\n%s", z.log.String())
		}
	})
	await(t, "named to answer", func() error {
		conn, err := net.Dial("tcp", z.Address)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	return z
}
