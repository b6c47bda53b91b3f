package blob

// RecordsSynced is false in the build that must fail the crash proof.
const RecordsSynced = recordsSynced
