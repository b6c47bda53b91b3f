package blob

// RecordsSynced is false in the build that must fail the crash proof.
const RecordsSynced = recordsSynced

// Waiting counts the Commits that wait for the appending goroutine.
func (s *Store) Waiting() int { return len(s.queue) }

// Ready counts the empty packs.
func (s *Store) Ready() int { return s.readyPacks() }
