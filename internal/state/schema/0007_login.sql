-- When accounts were last logged in to, by service. Written behind: a crash may lose the last minute.
CREATE TABLE last_login (
  account_id BIGINT NOT NULL,
  service    TEXT   NOT NULL,            -- listener's name: imaps, pop3s, submission, …
  at         BIGINT NOT NULL,            -- microseconds since 1970
  client     TEXT   NOT NULL,            -- address it came from
  PRIMARY KEY (account_id, service)
) WITHOUT ROWID;
