-- The queue's window: what is not due lies in rows only, so that rows must be quick to list, count and order by what is due.

-- What the job was accepted with, apart, so that a walk over the jobs does not read it.
CREATE TABLE job_body (
  queue_id BLOB NOT NULL PRIMARY KEY,
  body     BLOB NOT NULL                 -- the job as flow.AppendJob writes it
) WITHOUT ROWID;
INSERT INTO job_body (queue_id, body) SELECT queue_id, body FROM job;
ALTER TABLE job DROP COLUMN body;

ALTER TABLE job ADD COLUMN sender TEXT;                           -- empty: the null reverse-path; NULL: the body says it
ALTER TABLE job ADD COLUMN payer TEXT NOT NULL DEFAULT '';        -- sched.Unit.Payer
ALTER TABLE job ADD COLUMN not_before BIGINT NOT NULL DEFAULT 0;  -- microseconds since 1970: FUTURERELEASE; 0: none

ALTER TABLE job_recipient ADD COLUMN address TEXT;                -- NULL: the body says it
ALTER TABLE job_recipient ADD COLUMN site TEXT NOT NULL DEFAULT ''; -- whose mail exchangers the route's are; the route where nobody knows
ALTER TABLE job_recipient ADD COLUMN urgency BIGINT NOT NULL DEFAULT 0; -- sched.Class of the job
ALTER TABLE job_recipient ADD COLUMN class BIGINT NOT NULL DEFAULT 0; -- flow.Class of the last attempt
ALTER TABLE job_recipient ADD COLUMN warned BIGINT NOT NULL DEFAULT 0; -- bits: 1 its sender was told of the delay, 2 of DELIVERBY's time
UPDATE job_recipient SET site = route;

DROP INDEX job_recipient_next;
CREATE INDEX job_recipient_due ON job_recipient (urgency, next_attempt, queue_id, recipient_no);
CREATE INDEX job_recipient_site ON job_recipient (site, next_attempt, queue_id, recipient_no);
