-- Certificates that ACME obtained, with their accounts and challenges: the storage of package state/certstore.

CREATE TABLE certificate_item (
  name     TEXT   NOT NULL PRIMARY KEY,  -- slash-separated path
  value    BLOB   NOT NULL,
  modified BIGINT NOT NULL               -- microseconds since 1970
) WITHOUT ROWID;

-- Who works on a name now. A lock whose time is over is nobody's.
CREATE TABLE certificate_lock (
  name    TEXT   NOT NULL PRIMARY KEY,
  owner   TEXT   NOT NULL,               -- random, of one holder
  expires BIGINT NOT NULL                -- microseconds since 1970
) WITHOUT ROWID;
