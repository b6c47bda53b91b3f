-- Networks whose clients are not let in.
CREATE TABLE ban (
  network TEXT   NOT NULL PRIMARY KEY,   -- in CIDR notation, an address with its full length
  reason  TEXT   NOT NULL,
  origin  TEXT   NOT NULL,               -- operator, automatic
  since   BIGINT NOT NULL,               -- microseconds since 1970
  until   BIGINT NOT NULL                -- the same; 0: for good
) WITHOUT ROWID;

-- How much accounts and tenants have sent in the windows of their limits. Written behind: a crash may lose the last minutes.
CREATE TABLE rate_count (
  measure TEXT   NOT NULL,               -- which limit
  who     TEXT   NOT NULL,               -- whose
  started BIGINT NOT NULL,               -- microseconds since 1970: begin of the window that counts now
  count_now BIGINT NOT NULL,             -- in it
  count_before BIGINT NOT NULL,          -- in the window before
  PRIMARY KEY (measure, who)
) WITHOUT ROWID;
