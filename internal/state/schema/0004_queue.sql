-- The queue: jobs that were not settled at once. A job that is settled within seconds of its acceptance never has rows;
-- the accept journal in the packs carries it.

CREATE TABLE job (
  queue_id BLOB   NOT NULL PRIMARY KEY,
  state    BIGINT NOT NULL,              -- queue.State: 1 queued, 2 hold, 3 corrupt
  pack     BIGINT NOT NULL,              -- of the message's body, for the pack's liveness
  size     BIGINT NOT NULL,              -- of the message, bytes
  received BIGINT NOT NULL,              -- microseconds since 1970
  expires  BIGINT NOT NULL,              -- microseconds since 1970; undelivered recipients bounce then
  body     BLOB   NOT NULL,              -- the job as flow.AppendJob writes it
  owner    BIGINT NOT NULL DEFAULT 0,    -- node that works on it; 0: this one. Written only where several nodes share
  epoch    BIGINT NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE INDEX job_pack ON job (pack);

-- The recipients of a job that are not done with.
CREATE TABLE job_recipient (
  queue_id     BLOB   NOT NULL,
  recipient_no BIGINT NOT NULL,
  transport    BIGINT NOT NULL,          -- flow.Transport
  route        TEXT   NOT NULL,          -- route key: site after MX roll-up, or next hop
  attempts     BIGINT NOT NULL,
  next_attempt BIGINT NOT NULL,          -- microseconds since 1970
  last_at      BIGINT NOT NULL,          -- when the last attempt ended; 0: none yet
  last_status  TEXT   NOT NULL,          -- enhanced status of the last attempt
  last_relay   TEXT   NOT NULL,
  last_reply   TEXT   NOT NULL,
  PRIMARY KEY (queue_id, recipient_no)
) WITHOUT ROWID;

CREATE INDEX job_recipient_next ON job_recipient (next_attempt);

-- Recipients that left by a transport other than the mailstore before their job had rows: a replay of the journal
-- passes over them. Kept until the settled position has passed the job.
CREATE TABLE job_done (
  queue_id     BLOB   NOT NULL,
  recipient_no BIGINT NOT NULL,
  PRIMARY KEY (queue_id, recipient_no)
) WITHOUT ROWID;
