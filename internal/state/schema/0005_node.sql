-- The installation and its nodes.
CREATE TABLE installation (
  one     BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
  uuid    TEXT   NOT NULL,               -- RFC 9562 version 4; the same for all nodes, for ever
  created BIGINT NOT NULL                -- microseconds since 1970
);

CREATE TABLE node (
  node    BIGINT NOT NULL PRIMARY KEY,
  boot    BIGINT NOT NULL,               -- counted up at every start, durable before the first queue id is made
  started BIGINT NOT NULL                -- microseconds since 1970
);
