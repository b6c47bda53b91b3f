// Package fault is the vocabulary of `postrider check`: what each part of the state says when it looks at itself.
//
// blob, mailstore, queue and db have a check of their own invariants, which reports Faults; package node composes them and
// compares the parts with each other. A Fault is a value, not an error: an error of a check means that it could not look.
//
// It holds no state and does no I/O. docs/check.md explains every Kind.
package fault

import "context"

// Kind names a fault. The names are for programs and do not change.
type Kind string

// Of the database.
const (
	DatabaseMissing Kind = "database-missing" // there are packs, but no store.db
	DatabaseDamaged Kind = "database-damaged" // SQLite's integrity check, or a file that is no database
	DatabaseForeign Kind = "database-foreign" // of another program
	DatabaseLater   Kind = "database-later"   // schema of a later version
	DatabaseOld     Kind = "database-old"     // from before what the packs have: a backup
)

// Of the packs.
const (
	PackMissing      Kind = "pack-missing"      // a row of the catalog without its file
	PackTruncated    Kind = "pack-truncated"    // shorter than it was
	PackHeader       Kind = "pack-header"       // its first 64 bytes are damaged
	PackUnknown      Kind = "pack-unknown"      // a pack that the catalog does not know, or calls gone
	PackUnreadable   Kind = "pack-unreadable"   // nothing in the file can be found
	PackLater        Kind = "pack-later"        // format of a later version
	PackInstallation Kind = "pack-installation" // written by another installation than the database's
	FileUnknown      Kind = "file-unknown"      // a file in the pack folder that is no pack
	RecordDamaged    Kind = "record-damaged"    // a record that does not pass its checksums
	RecordLater      Kind = "record-later"      // a record of a later version
	RecordUnused     Kind = "record-unused"     // damage that nothing leads to any more: a note
	StructureDiffers Kind = "structure-differs" // the stored structure is not that of the message
	EmailNoRecord    Kind = "email-no-record"   // an email leads to no record
	EmailSetAside    Kind = "email-set-aside"   // an email taken out of its mailboxes by a repair can be read again
)

// Of the mailstore.
const (
	EntryNoEmail    Kind = "entry-no-email"
	EntryNoMailbox  Kind = "entry-no-mailbox"
	EntrySize       Kind = "entry-size"     // entry and email disagree
	EntryExpunged   Kind = "entry-expunged" // a UID both present and expunged
	EmailNoEntry    Kind = "email-no-entry" // in no mailbox, and nobody expunged it
	MailboxCounters Kind = "mailbox-counters"
	UIDNext         Kind = "uidnext"
	ModSeq          Kind = "modseq"
	UIDValidity     Kind = "uidvalidity"
	AccountCounters Kind = "account-counters" // messages and bytes, which the quota is measured by
	AccountNumbers  Kind = "account-numbers"  // the next email's or mailbox's number is taken
	AccountNoState  Kind = "account-no-state" // mailboxes without the account's row
	AccountNoInbox  Kind = "account-no-inbox"
	AccountUnknown  Kind = "account-unknown"  // mailboxes of an account that the directory does not have
	AccountRestored Kind = "account-restored" // a rebuild has made it anew; a note
	AliasLost       Kind = "alias-lost"       // mail came for an address that the directory does not have any more; a note
	LedgerUnused    Kind = "ledger-unused"    // delivered rows without a job
)

// Of the queue.
const (
	JobNoRecord       Kind = "job-no-record"
	JobUnreadable     Kind = "job-unreadable"
	JobPack           Kind = "job-pack"           // the row's pack is not its record's
	RecipientNoJob    Kind = "recipient-no-job"   // a recipient's row without a job
	BodyNoJob         Kind = "body-no-job"        // a body's row without a job
	JournalUnreadable Kind = "journal-unreadable" // an unsettled record that is no job
	JobHeld           Kind = "job-held"           // after a rebuild: it may have been sent; a note
)

// Fault is one thing that is wrong. Fields that do not apply are zero.
type Fault struct {
	Kind    Kind
	Text    string // what was found, in words for the operator
	Pack    int64
	Offset  int64 // in the pack, bytes
	Account int64
	Mailbox string
	UID     uint32
	QueueID string
	Mended  string // what the repair has done about it; "" nothing
	Note    bool   // nothing is lost or wrong by it; it does not make the store faulty
}

// Check is how a part looks at itself.
type Check struct {
	Repair bool                        // mend what can be derived, set aside what cannot
	Report func(Fault) error           // its error ends the check
	Pause  func(context.Context) error // called between pieces of work, outside of transactions, so that mail goes on; its error ends the check
}
