-- What a pack holds (blob.Kind): 0 the accept journal, 1 copies that a compaction made, which no start replays.
ALTER TABLE pack ADD COLUMN kind BIGINT NOT NULL DEFAULT 0;
-- Packs in a state, by number: what the sweep and a start look for.
CREATE INDEX pack_state ON pack (state, pack);
