-- The end of a message's life: what was expunged is let go after its time, and packs in which little is left are compacted.

-- Which emails lead where, in the order of the packs: what lives in a pack is a walk through this index alone. It takes the
-- place of email_pack.
DROP INDEX email_pack;
CREATE INDEX email_record ON email (pack, place, length);

-- What sealed packs hold, counted when somebody first asks how much of them lives; -1 until then.
ALTER TABLE pack ADD COLUMN records BIGINT NOT NULL DEFAULT -1;
ALTER TABLE pack ADD COLUMN bodies BIGINT NOT NULL DEFAULT -1; -- lengths of the records' bodies together, bytes

-- Tombstones that still keep their email for undelete. One that no longer does has email_id 0.
CREATE INDEX expunged_email ON expunged (account_id, email_id, at) WHERE email_id > 0;

-- Accounts that were removed, and whose mail is still there.
CREATE TABLE account_removed (
  account_id BIGINT NOT NULL PRIMARY KEY,
  at         BIGINT NOT NULL             -- microseconds since 1970
);
