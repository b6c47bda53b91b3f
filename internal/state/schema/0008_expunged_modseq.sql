-- What was expunged since a client was last here (RFC 7162): tombstones in the order of their modification sequence.
CREATE INDEX expunged_modseq ON expunged (account_id, mailbox_id, modseq);
