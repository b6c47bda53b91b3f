package db

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// sqlOwner is who opened the database last: a writer that was cut off finds out whether another came in between.
const sqlOwner = `CREATE TABLE IF NOT EXISTS schema_owner (
  one   BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
  token TEXT   NOT NULL
)`

// claimServer looks at the server and at what is in the schema, brings it up to date and signs it. c has the advisory
// lock, so two servers cannot do it at once.
func (d *DB) claimServer(ctx context.Context, c *pgConn) error {
	if err := d.pg.suitable(c); err != nil {
		return err
	}
	list, err := migrations(d.opt.Schema)
	if err != nil {
		return err
	}
	v, err := c.values(`SELECT COALESCE(to_regclass('schema_migration')::text, ''),
		(SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm')), current_schema()`)
	if err != nil {
		return d.wrap("schema", err)
	}
	if v[0] == "" && v[1] != "0" {
		return fmt.Errorf("%w: schema %s has %s tables that are not ours; give Postrider a database of its own", ErrForeign, v[2], v[1])
	}
	// A migration of much data may take its time.
	if err := c.run("SET statement_timeout = 0; " + sqlSchemaTable + "; " + sqlOwner); err != nil {
		return d.wrap("schema", err)
	}
	applied, err := d.appliedOn(c, list)
	if err != nil {
		return err
	}
	if err := d.applyAll(ctx, list, applied, func(m migration) error { return d.applyOn(c, m) }); err != nil {
		return err
	}
	return d.wrap("owner", c.run("INSERT INTO schema_owner (one, token) VALUES (1, '"+d.pg.token+
		"') ON CONFLICT (one) DO UPDATE SET token = excluded.token; RESET statement_timeout"))
}

// appliedOn is applied for PostgreSQL.
func (d *DB) appliedOn(c *pgConn, list []migration) (int64, error) {
	results, err := c.conn.Exec(context.Background(), sqlApplied).ReadAll()
	if err != nil {
		return 0, d.wrap("schema", err)
	}
	var have []migration
	for _, row := range results[0].Rows {
		n, err := strconv.ParseInt(string(row[0]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("db: schema version: %w", err)
		}
		have = append(have, migration{n, string(row[1])})
	}
	return d.fitting(have, list)
}

// applyOn runs one migration in one transaction.
func (d *DB) applyOn(c *pgConn, m migration) error {
	text, err := fs.ReadFile(d.opt.Schema, m.name)
	if err != nil {
		return err
	}
	if err := c.begin(roleWriter); err != nil {
		return d.wrap("begin", err)
	}
	err = c.run(pgSchema(string(text)))
	if err == nil {
		err = c.run(fmt.Sprintf("INSERT INTO schema_migration (version, name, applied) VALUES (%d, '%s', %d)",
			m.version, strings.ReplaceAll(m.name, "'", "''"), d.opt.Now().UnixMicro()))
	}
	if err != nil {
		return errors.Join(d.wrap("statement", err), c.run(sqlRollback))
	}
	return d.wrap("commit", c.run(sqlCommit))
}
