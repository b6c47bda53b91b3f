// Package flow holds the values that travel with a message through Postrider: Transaction → Facts → Verdict → Plan (per
// recipient) → Job → Outcome (per recipient). Each grows out of the one before; none does I/O.
//
//	transaction.go  who hands over what: client, envelope, id
//	verdict.go      what was found about the message, and what is to be done with it
//	job.go          the accepted message with its plan: what the queue holds
//	outcome.go      what became of one recipient in one attempt
//	codec.go        the job as bytes: the trailer of its record in the pack, and its row in the queue
//
// Bytes that Decode cannot read are refused whole with ErrCorrupt; nothing is guessed.
package flow
