package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// listAll prints the tokens of the messages in each directory. One that cannot
// be opened is printed as "! error": to the harness a loss like any other.
func listAll(dirs []string) error {
	for _, dir := range dirs {
		tokens, err := list(dir)
		if err != nil {
			fmt.Printf("! %q\n", err)
			continue
		}
		fmt.Println(strings.Join(tokens, " "))
	}
	return nil
}

// list recovers the directory and returns the tokens of all messages whose row
// and record are both there and agree.
func list(dir string) (tokens []string, err error) {
	conn, err := openConn(dir)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	records, err := replayPacks(conn, dir+"/blob")
	if err != nil {
		return nil, err
	}
	err = sqlitex.Execute(conn, "SELECT token, pack, at FROM message", &sqlitex.ExecOptions{
		ResultFunc: func(row *sqlite.Stmt) error {
			token := row.ColumnText(0)
			if records[place{row.ColumnInt(1), row.ColumnInt64(2)}] == token {
				tokens = append(tokens, token)
			}
			return nil
		}})
	return tokens, err
}

// replayPacks delivers what was put and not yet delivered, and returns the
// token of every whole record.
func replayPacks(conn *sqlite.Conn, dir string) (map[place]string, error) {
	names, err := filepath.Glob(dir + "/*.pack")
	if err != nil {
		return nil, err
	}
	records := map[place]string{}
	end, err := sqlitex.ImmediateTransaction(conn)
	if err != nil {
		return nil, err
	}
	defer end(&err)
	for _, name := range names {
		var n int
		if _, err = fmt.Sscanf(filepath.Base(name), "%d.pack", &n); err != nil {
			return nil, err
		}
		data, rerr := os.ReadFile(name)
		if err = rerr; err != nil {
			return nil, err
		}
		for at := 0; ; {
			r, size := decode(data[at:])
			if size == 0 {
				break // the end, or a tail that nobody was told of
			}
			p := place{n, int64(at)}
			records[p] = r.token
			if r.kind == kindPut {
				if _, err = insert(conn, r.token, p); err != nil {
					return nil, err
				}
			}
			at += size
		}
	}
	return records, nil
}
