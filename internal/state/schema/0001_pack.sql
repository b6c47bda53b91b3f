-- The packs of the blob store: the files that hold the messages' bytes. A row stands before the pack's first byte and
-- stays for ever, so that no number is used twice.
CREATE TABLE pack (
  pack      BIGINT NOT NULL PRIMARY KEY,  -- number, from 1; the file's name
  state     BIGINT NOT NULL,              -- blob.State: 1 open, 2 sealed, 3 condemned, 4 deleted, 5 gone
  node      BIGINT NOT NULL,              -- that writes it
  epoch     BIGINT NOT NULL,              -- of that node
  created   BIGINT NOT NULL,              -- microseconds since 1970
  size      BIGINT NOT NULL,              -- of the file, bytes; 0 until sealed
  settled   BIGINT NOT NULL,              -- everything before this offset needs no replay
  condemned BIGINT NOT NULL               -- microseconds since 1970; 0 until condemned
) WITHOUT ROWID;
