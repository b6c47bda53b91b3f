-- The directory: whose domains, accounts and aliases these are, and how their owners prove it. A key is an address with
-- its local part folded (NFC, ASCII lower case) and its domain in A-labels: what is compared. No foreign key leaves here.

CREATE TABLE tenant (
  tenant_id BIGINT NOT NULL PRIMARY KEY,
  name      TEXT   NOT NULL
);

INSERT INTO tenant (tenant_id, name) VALUES (1, 'default');

-- One row: counters and secrets of the directory itself.
CREATE TABLE directory_state (
  one          BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
  next_account BIGINT NOT NULL,          -- account ids are never used again: mail of a removed account is nobody else's
  salt_key     BLOB   NOT NULL           -- 32 random bytes: salts of users that do not exist are derived from it
);

CREATE TABLE domain (
  name      TEXT   NOT NULL PRIMARY KEY, -- A-labels, lower case
  tenant_id BIGINT NOT NULL,
  catchall  TEXT   NOT NULL,             -- address that takes what nobody else takes; '' for none
  delimiter TEXT   NOT NULL,             -- characters that begin an address extension; '' for none
  created   BIGINT NOT NULL              -- microseconds since 1970
) WITHOUT ROWID;

CREATE TABLE account (
  account_id  BIGINT NOT NULL PRIMARY KEY,
  tenant_id   BIGINT NOT NULL,
  account_key TEXT   NOT NULL,
  domain      TEXT   NOT NULL,
  address     TEXT   NOT NULL,           -- as it is shown
  no_login    BIGINT NOT NULL,           -- 1: receives mail, nobody logs in
  created     BIGINT NOT NULL            -- microseconds since 1970
);

CREATE UNIQUE INDEX account_by_key ON account (account_key);
CREATE INDEX account_by_domain ON account (domain);

-- What a password is checked against. label '' is the account's own password; others are for passwords of single programs.
CREATE TABLE credential (
  account_id BIGINT NOT NULL,
  label      TEXT   NOT NULL,
  kind       TEXT   NOT NULL,            -- 'argon2id' (PHC string) or 'scram-sha-256' (RFC 5803 form)
  secret     TEXT   NOT NULL,
  changed    BIGINT NOT NULL,            -- microseconds since 1970
  PRIMARY KEY (account_id, label, kind)
) WITHOUT ROWID;

CREATE TABLE alias (
  alias_key TEXT   NOT NULL PRIMARY KEY,
  tenant_id BIGINT NOT NULL,
  domain    TEXT   NOT NULL,
  address   TEXT   NOT NULL,             -- as it is shown
  created   BIGINT NOT NULL              -- microseconds since 1970
) WITHOUT ROWID;

CREATE INDEX alias_by_domain ON alias (domain);

CREATE TABLE alias_target (
  alias_key  TEXT   NOT NULL,
  position   BIGINT NOT NULL,
  target     TEXT   NOT NULL,            -- an address, here or elsewhere
  target_key TEXT   NOT NULL,
  PRIMARY KEY (alias_key, position)
) WITHOUT ROWID;

CREATE INDEX alias_target_by_key ON alias_target (target_key);
