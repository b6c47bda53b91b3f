package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/privhelper"
)

// Sandbox is what a server may still open, whatever becomes of it: its own folders to write, and to read what its
// configuration names and what the system tells everybody. Sockets, to listen and to connect, are not concerned.
type Sandbox struct {
	data        string // among write
	read, write []string
}

// systemReads are what Go's library, SQLite and our own packages read of the system. /etc is there as a whole: files in it,
// resolv.conf first of all, are replaced by new ones of the same name, which a rule for the old file would not cover; what
// is secret in /etc is kept from us by its mode. /proc likewise: a rule for /proc/self ends with the kernel's memory of it.
func systemReads() []string {
	return []string{"/etc", "/usr/share/zoneinfo", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/usr/share/mime",
		"/proc", "/sys/fs/cgroup", "/sys/devices/system/cpu", "/sys/kernel/mm/transparent_hugepage", "/dev/urandom",
		"/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager"}
}

// systemLinks are files in /etc that some systems keep elsewhere and link to: the resolver's, the clock's, and the
// authorities, where Go's library looks for them (SUSE has those below /var/lib).
func systemLinks() []string {
	return []string{"/etc/resolv.conf", "/etc/hosts", "/etc/localtime", "/etc/ssl/certs", "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem",
		"/etc/ssl/ca-bundle.pem", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"}
}

// NewSandbox reads from a configuration, and the file that it came from ("" for none), what the server needs. The server's
// own folders must be there when the sandbox is enforced.
func NewSandbox(c *config.Config, file string) *Sandbox { return newSandbox(c, file, systemLinks()) }

func newSandbox(c *config.Config, file string, links []string) *Sandbox {
	s := &Sandbox{data: c.DataDir, read: systemReads(), write: []string{c.DataDir, c.RunDir, "/dev/null"}}
	if c.Log.File != "" {
		s.write = append(s.write, filepath.Dir(c.Log.File)) // it is made anew when it has been rotated
	}
	if c.Edges.AuthSocket != "" {
		s.write = append(s.write, filepath.Dir(c.Edges.AuthSocket))
	}
	for _, path := range append(filesOf(c), links...) {
		s.read = append(s.read, foldersOf(path)...)
	}
	if file != "" {
		s.read = append(s.read, foldersOf(file)...)
	}
	slices.Sort(s.read)
	s.read = slices.Compact(s.read)
	return s
}

// Enforce confines this process, in all its threads and for good. ErrNoLandlock where that cannot be done.
func (s *Sandbox) Enforce() error {
	if _, err := landlockVersion(); err != nil {
		return err
	}
	if err := s.checkLinks(s.data); err != nil {
		return err
	}
	return landlock(s.read, s.write)
}

// checkLinks refuses links that lead out of the data directory. They are not followed here: who took the server over could
// make one, and be let in there by the next start.
func (s *Sandbox) checkLinks(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // what cannot be read is for its user to say
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.Type()&fs.ModeSymlink == 0 {
			continue
		}
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			continue
		}
		if info, err := os.Stat(real); !s.allows(real) || err == nil && info.IsDir() && !below(real, s.write) {
			return fmt.Errorf("%s leads to %s, and a confined server reaches nothing by links: mount the folder there (mount --bind %s %s), or set limits.sandbox to \"off\"",
				path, real, real, path)
		}
	}
	return nil
}

// filesOf are the files that a configuration tells the server to read.
func filesOf(c *config.Config) []string {
	list := append(append(privhelper.CertificateFiles(c), tableFiles(c)...), c.TLS.CA, c.TLS.ClientCA, c.TLS.ACME.CA, c.TLS.ACME.DNS.KeySecretFile, c.MTA.SmartHost.PasswordFile, c.MTA.SMTPTLSCertFile, c.MTA.SMTPTLSKeyFile,
		c.Database.URLFile, c.Routing.SRSSecretsFile)
	list = append(list, domainFiles(c)...)
	return slices.DeleteFunc(list, func(path string) bool { return !filepath.IsAbs(path) })
}

// foldersOf are the folder of a file, so that the file can be replaced, and that of what it links to.
func foldersOf(path string) []string {
	list := []string{filepath.Dir(path)}
	if real, err := filepath.EvalSymlinks(path); err == nil && filepath.Dir(real) != list[0] {
		list = append(list, filepath.Dir(real))
	}
	return slices.DeleteFunc(list, func(dir string) bool { return dir == "/" }) // that would be everything
}

// check refuses a configuration whose files the process can no longer reach.
func (s *Sandbox) check(c *config.Config) error {
	if s == nil {
		return nil
	}
	var errs []error
	for _, path := range filesOf(c) {
		if _, err := os.Lstat(path); err == nil && !s.allows(path) && !(c.Helper.Enabled && slices.Contains(privhelper.CertificateFiles(c), path)) {
			errs = append(errs, fmt.Errorf("%s lies outside of what the running server may read (limits.sandbox); a restart lets it in", path))
		}
	}
	return errors.Join(errs...)
}

// allows tells whether a file can be read.
func (s *Sandbox) allows(path string) bool {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return below(path, s.read) || below(path, s.write)
}

// below tells whether a path is in one of some folders.
func below(path string, dirs []string) bool {
	for _, dir := range dirs {
		if path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/") {
			return true
		}
	}
	return false
}
