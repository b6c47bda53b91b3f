-- What was learnt about strangers: which clients passed the tests before the greeting, what greylisting has seen. Written
-- behind: a crash may lose the last half minute.
CREATE TABLE remembered (
  kind  TEXT   NOT NULL,                 -- whose: screen, known, greylist
  name  TEXT   NOT NULL,
  value TEXT   NOT NULL,
  until BIGINT NOT NULL,                 -- seconds since 1970; afterwards it does not hold
  PRIMARY KEY (kind, name)
) WITHOUT ROWID;
