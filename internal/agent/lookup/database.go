package lookup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/postrider/postrider/internal/agent/lookup/ldaptab"
	"github.com/postrider/postrider/internal/agent/lookup/mapconf"
	"github.com/postrider/postrider/internal/agent/lookup/nettab"
	"github.com/postrider/postrider/internal/agent/lookup/sqltab"
	"github.com/postrider/postrider/internal/decide/table"
)

// env is what tables of databases and services need from us. What their files name is opened for them alone, so that a file
// that names itself neither waits for itself nor goes on for ever.
func (o *Opener) env() mapconf.Env {
	inner := &Opener{Dir: o.Dir, Now: o.Now, Intn: o.Intn, Log: o.Log, depth: o.depth + 1}
	return mapconf.Env{Open: inner.List, Now: o.Now, Intn: o.Intn, Log: o.Log}
}

// database returns what reads the file that describes a table in a database. Nobody is connected to: a database that is down
// keeps no server from starting, and its questions are temporary failures.
func (o *Opener) database(kind, path string) parseFunc {
	env := o.env()
	return func(text string) (t table.Table, bad []table.Problem, err error) {
		switch kind {
		case "pgsql":
			t, bad, err = sqltab.PostgreSQL(text, env)
		case "mysql":
			t, bad, err = sqltab.MySQL(text, env)
		case "sqlite":
			t, bad, err = sqltab.SQLite(text, filepath.Dir(path), env)
		case "ldap":
			t, bad, err = ldaptab.New(text, env)
		case "memcache":
			t, bad, err = nettab.Memcache(text, env)
		case "redis":
			t, bad, err = nettab.Redis(text, env)
		default:
			err = fmt.Errorf("type %q is no database", kind)
		}
		return t, append(bad, revealed(path, text)...), err
	}
}

// FilesOf are the files that a table of a type reads: its own, and what that names (a database, certificates).
func FilesOf(kind, path string) []string {
	files := []string{path}
	switch kind {
	case "pgsql", "mysql", "sqlite", "ldap", "memcache", "redis":
	default:
		return files
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return files // for who opens it to say
	}
	f := mapconf.Parse(string(text))
	for _, name := range []string{"dbpath", "tls_ca_cert_file", "tls_cert", "tls_key", "tls_CAfile", "tls_cert_file", "tls_key_file"} {
		if named := f.Text(name, ""); named != "" && !filepath.IsAbs(named) {
			files = append(files, filepath.Join(filepath.Dir(path), named))
		} else if named != "" {
			files = append(files, named)
		}
	}
	for _, word := range f.Words("domain", "") {
		if strings.HasPrefix(word, "/") {
			files = append(files, word)
		}
	}
	return files
}

// revealed tells that a file which anybody on this host can read holds a password.
func revealed(path, text string) []table.Problem {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o004 == 0 {
		return nil
	}
	f := mapconf.Parse(text)
	for _, name := range []string{"password", "bind_pw"} {
		if line := f.Line(name); line > 0 {
			return []table.Problem{{Line: line, Text: "everybody on this host can read this password: chmod o-r, and chgrp to the server's group"}}
		}
	}
	return nil
}

// environ is the environment of the process, as postmap -q environ: asks for it.
type environ struct{}

// Lookup implements table.Table. Names of variables have a case.
func (environ) Lookup(_ context.Context, key string) (string, bool, error) {
	value, found := os.LookupEnv(key)
	return value, found && value != "", nil
}

// Pattern implements table.Table.
func (environ) Pattern() bool { return false }
