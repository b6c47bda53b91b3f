package status

// The failures of the disk, as a peer hears them. state packages return them; DESIGN's rule is: no space or read-only is
// temporary and the server goes on; a failed sync or an I/O error is fatal and the process stops acknowledging.
var (
	// ErrNoSpace: the message could not be written for lack of space, or because the disk is read-only.
	ErrNoSpace = Temp(452, 3, 1, "Insufficient system storage; try again later")
	// ErrFatal: a sync failed or the disk reported an I/O error; nothing more will be acknowledged by this process.
	ErrFatal = Temp(421, 3, 0, "Mail system failure; closing connection, try again later")
	// ErrShutdown: the server is going down.
	ErrShutdown = Temp(421, 3, 2, "Service is shutting down; try again later")
	// ErrQuota: the account is full.
	ErrQuota = Temp(452, 2, 2, "Mailbox full")
)
