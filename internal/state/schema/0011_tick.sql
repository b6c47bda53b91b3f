-- How far the database has come since the start, counted up while it is written to. Beside the packs stands how far it was
-- seen: a database that is behind that is a backup that was put back.
ALTER TABLE node ADD COLUMN tick BIGINT NOT NULL DEFAULT 0;
