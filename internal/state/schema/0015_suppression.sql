-- Addresses that somebody's bulk mail is not sent to: they failed for good, or complained.
CREATE TABLE suppression (
  owner   TEXT   NOT NULL,               -- whose list: "@domain" of senders, an account's address, or '' for everybody's
  address TEXT   NOT NULL,               -- local part in lower case; or "@domain" for all of a domain
  reason  TEXT   NOT NULL,               -- bounce, complaint, operator
  class   TEXT   NOT NULL,               -- of a bounce: unknown, inactive, domain; of a complaint its type
  detail  TEXT   NOT NULL,               -- the remote's words, or the operator's
  since   BIGINT NOT NULL,               -- seconds since 1970
  until   BIGINT NOT NULL,               -- seconds since 1970; 0: for good
  PRIMARY KEY (owner, address)
) WITHOUT ROWID;
CREATE INDEX suppression_until ON suppression (until);
