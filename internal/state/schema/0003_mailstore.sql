-- The mailstore. account_id stands first in every key (the ledger aside): one account can be moved, restored or sharded
-- alone. No foreign key leaves these tables.

-- One row per account: its counters and its namespace.
CREATE TABLE account_state (
  account_id   BIGINT NOT NULL PRIMARY KEY,
  modseq       BIGINT NOT NULL,          -- highest modification sequence given out, RFC 7162
  uidvalidity  BIGINT NOT NULL,          -- highest UIDVALIDITY given out; seconds since 1970, then counted up
  next_email   BIGINT NOT NULL,          -- next email_id
  next_mailbox BIGINT NOT NULL,          -- next mailbox_id
  messages     BIGINT NOT NULL,          -- entries in all mailboxes
  bytes        BIGINT NOT NULL,          -- their sizes together
  quota_bytes  BIGINT NOT NULL,          -- 0: no limit
  separator    TEXT   NOT NULL,          -- of mailbox names as IMAP shows them
  prefix       TEXT   NOT NULL           -- of the personal namespace
);

CREATE TABLE mailbox (
  account_id    BIGINT NOT NULL,
  mailbox_id    BIGINT NOT NULL,
  name          TEXT   NOT NULL,         -- components in NFC, joined by U+001F
  role          TEXT   NOT NULL,         -- special use without its backslash, lower case (RFC 6154); '' for none
  uidvalidity   BIGINT NOT NULL,
  uidnext       BIGINT NOT NULL,
  modseq        BIGINT NOT NULL,         -- highest modseq of an entry or tombstone here
  expunge_floor BIGINT NOT NULL,         -- tombstones at or below this modseq may be gone
  messages      BIGINT NOT NULL,
  unseen        BIGINT NOT NULL,
  deleted       BIGINT NOT NULL,         -- entries with \Deleted
  bytes         BIGINT NOT NULL,
  created       BIGINT NOT NULL,         -- microseconds since 1970
  PRIMARY KEY (account_id, mailbox_id)
) WITHOUT ROWID;

CREATE UNIQUE INDEX mailbox_name ON mailbox (account_id, name);

-- Names that the user subscribed to; a name may outlive its mailbox (RFC 9051 section 6.3.7).
CREATE TABLE subscription (
  account_id BIGINT NOT NULL,
  name       TEXT   NOT NULL,
  PRIMARY KEY (account_id, name)
) WITHOUT ROWID;

-- An immutable message. Its bytes: literals, then the recipe in the trailer of the record at (pack, place).
CREATE TABLE email (
  account_id BIGINT NOT NULL,
  email_id   BIGINT NOT NULL,
  pack       BIGINT NOT NULL,            -- pack number
  place      BIGINT NOT NULL,            -- offset of the record in the pack
  length     BIGINT NOT NULL,            -- of the record's body
  literals   BLOB   NOT NULL,            -- delivery literals: Return-Path, Delivered-To
  size       BIGINT NOT NULL,            -- of the whole message
  received   BIGINT NOT NULL,            -- INTERNALDATE at arrival, microseconds since 1970
  thread_id  BIGINT NOT NULL,
  structure  BLOB   NOT NULL,            -- of the message without literals: structure, envelope, preview (package mime)
  PRIMARY KEY (account_id, email_id)
) WITHOUT ROWID;

CREATE INDEX email_pack ON email (pack);

-- An email's place in a mailbox. (mailbox_id, email_id) is not unique.
CREATE TABLE entry (
  account_id   BIGINT NOT NULL,
  mailbox_id   BIGINT NOT NULL,
  uid          BIGINT NOT NULL,
  email_id     BIGINT NOT NULL,
  flags        BIGINT NOT NULL,          -- bit set of system flags, see mailstore.Flags
  keywords     TEXT   NOT NULL,          -- sorted, joined by one space; '' for none
  modseq       BIGINT NOT NULL,
  size         BIGINT NOT NULL,
  internaldate BIGINT NOT NULL,          -- seconds since 1970
  saved        BIGINT NOT NULL,          -- when it came into this mailbox, seconds since 1970 (RFC 8514)
  uidl         TEXT,                     -- POP3 unique id where import set one; NULL: derived from UIDVALIDITY and UID
  PRIMARY KEY (account_id, mailbox_id, uid)
) WITHOUT ROWID;

CREATE INDEX entry_email ON entry (account_id, email_id);

-- Tombstones of entries: for QRESYNC (RFC 7162) and for undelete, with lifetimes of their own.
CREATE TABLE expunged (
  account_id  BIGINT NOT NULL,
  mailbox_id  BIGINT NOT NULL,
  uid         BIGINT NOT NULL,
  email_id    BIGINT NOT NULL,
  modseq      BIGINT NOT NULL,
  at          BIGINT NOT NULL,           -- microseconds since 1970
  by_session  TEXT   NOT NULL,           -- who: "imap alice@example.org", "retention", …
  PRIMARY KEY (account_id, mailbox_id, uid)
) WITHOUT ROWID;

-- Which thread a Message-ID belongs to: by hash of the id, never merged.
CREATE TABLE thread_ref (
  account_id BIGINT NOT NULL,
  hash       BIGINT NOT NULL,
  thread_id  BIGINT NOT NULL,
  PRIMARY KEY (account_id, hash)
) WITHOUT ROWID;

-- The delivery ledger: written in the transaction of the entry, so that a delivery happens exactly once.
CREATE TABLE delivered (
  queue_id     BLOB   NOT NULL,
  recipient_no BIGINT NOT NULL,
  PRIMARY KEY (queue_id, recipient_no)
) WITHOUT ROWID;
