package db_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/schema"
)

// opener opens the same database again and again.
type opener func(context.Context, db.Options) (*db.DB, error)

func testSchemaRefusals(t *testing.T, openAgain opener) {
	file := func(names ...string) fs.FS {
		m := fstest.MapFS{}
		for _, n := range names {
			m[n] = &fstest.MapFile{Data: []byte("CREATE TABLE t" + n[:4] + " (a BIGINT);")}
		}
		return m
	}
	open := func(s fs.FS) error {
		d, err := openAgain(t.Context(), db.Options{Schema: s})
		if err != nil {
			return err
		}
		return d.Close()
	}
	for _, c := range []struct {
		name string
		fs   fs.FS
		want string // part of the error; "" none
	}{
		{"new, with a gap", file("0001_a.sql", "0003_c.sql"), ""},
		{"again", file("0001_a.sql", "0003_c.sql"), ""},
		{"one more", file("0001_a.sql", "0003_c.sql", "0004_d.sql"), ""},
		{"from the future", file("0001_a.sql", "0003_c.sql"), "newer version of Postrider: its schema has 0004_d.sql"},
		{"renamed", file("0001_a.sql", "0003_x.sql", "0004_d.sql"), "0003_c.sql where this program has \"0003_x.sql\""},
		{"into the past", file("0001_a.sql", "0002_b.sql", "0003_c.sql", "0004_d.sql"), "lacks 0002_b.sql"},
		{"badly named", file("first.sql"), "NNNN_name.sql"},
		{"twice a number", file("0001_a.sql", "0001_b.sql"), "same number"},
		{"broken", fstest.MapFS{"0001_a.sql": file("0001_a.sql").(fstest.MapFS)["0001_a.sql"],
			"0003_c.sql": file("0003_c.sql").(fstest.MapFS)["0003_c.sql"], "0004_d.sql": file("0004_d.sql").(fstest.MapFS)["0004_d.sql"],
			"0005_e.sql": {Data: []byte("CREATE TABLE e (a BIGINT); CREATE NONSENSE;")}}, "0005_e.sql"},
		{"a broken one leaves nothing", file("0001_a.sql", "0003_c.sql", "0004_d.sql", "0005_e.sql"), ""},
	} {
		err := open(c.fs)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if err := open(file("0001_a.sql")); !errors.Is(err, db.ErrFutureSchema) {
		t.Errorf("got %v", err)
	}
}

func testStoreSchemaAndBoot(t *testing.T, openAgain opener) {
	var first db.Boot
	for round := uint64(1); round <= 3; round++ {
		d, err := openAgain(t.Context(), db.Options{Schema: schema.Store})
		if err != nil {
			t.Fatal(err)
		}
		b, err := d.NextBoot(t.Context(), 7)
		if err != nil || b.Count != round || b.Node != 7 {
			t.Errorf("%+v %v", b, err)
		}
		if round == 1 {
			first = b
		}
		if len(b.Installation) != 36 || b.Installation != first.Installation {
			t.Errorf("installation %q, then %q", first.Installation, b.Installation)
		}
		other, err := d.NextBoot(t.Context(), 8)
		if err != nil || other.Count != round {
			t.Errorf("other node: %+v %v", other, err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
