package milter

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Version is the newest version of the protocol.
const Version = 6

// Actions are what a filter may do to a message.
type Actions uint32

// The actions.
const (
	AddHeaders Actions = 1 << iota
	ChangeBody
	AddRcpt
	DeleteRcpt
	ChangeHeaders
	Quarantine
	ChangeFrom
	AddRcptParams
	SetMacros // it may say which macros it wants
)

// Steps are events that a filter does not want, or does not answer, and other choices of how to talk.
type Steps uint32

// The steps.
const (
	NoConnect Steps = 1 << iota
	NoHello
	NoMail
	NoRcpt
	NoBody
	NoHeaders
	NoEndOfHeader
	NoReplyHeader
	NoUnknown
	NoData
	CanSkip
	RcptRejected // wants to hear of refused recipients; we do not offer it
	NoReplyConnect
	NoReplyHello
	NoReplyMail
	NoReplyRcpt
	NoReplyData
	NoReplyUnknown
	NoReplyEndOfHeader
	NoReplyBody
	LeadingSpace // header values come and go with the blank after the colon
)

// offered is what each version knows.
func offered(version uint32) (Actions, Steps) {
	actions, steps := Actions(1<<6-1), Steps(1<<7-1)
	if version >= 3 {
		steps |= NoUnknown
	}
	if version >= 4 {
		steps |= NoData
	}
	if version >= 6 {
		actions, steps = 1<<9-1, (1<<21-1)&^RcptRejected
	}
	return actions, steps
}

// Stage is a point at which macros are sent. The numbers are those of the negotiation.
type Stage uint32

// The stages.
const (
	AtConnect Stage = iota
	AtHello
	AtMail
	AtRcpt
	AtData
	AtEnd
	AtEndOfHeader
	stages
	AtUnknown = stages
)

// Macros are the names of the macros of each stage, as "j" or "{client_addr}".
type Macros [stages + 1][]string

// maxMacros bounds the names that a filter may ask for at one stage.
const maxMacros = 200

// negotiated is a filter's answer to the offer.
type negotiated struct {
	version uint32
	actions Actions
	steps   Steps
	macros  map[Stage][]string
}

// parseOptions reads a filter's answer to what version offered.
func parseOptions(data []byte, version uint32) (n negotiated, err error) {
	if len(data) < 12 {
		return n, fmt.Errorf("%w: negotiation of %d bytes", ErrProtocol, len(data))
	}
	n.version = binary.BigEndian.Uint32(data)
	n.actions, n.steps = Actions(binary.BigEndian.Uint32(data[4:])), Steps(binary.BigEndian.Uint32(data[8:]))
	if n.version < 2 || n.version > version {
		return n, fmt.Errorf("%w: the filter wants version %d, offered was %d", ErrProtocol, n.version, version)
	}
	actions, steps := offered(version)
	if more := n.actions &^ actions; more != 0 {
		return n, fmt.Errorf("%w: the filter wants actions %#x that were not offered; see milter_protocol", ErrProtocol, uint32(more))
	}
	if more := n.steps &^ steps; more != 0 {
		return n, fmt.Errorf("%w: the filter wants steps %#x that were not offered; see milter_protocol", ErrProtocol, uint32(more))
	}
	for data = data[12:]; len(data) > 4; {
		stage := Stage(binary.BigEndian.Uint32(data))
		names, rest, ok := cut(data[4:])
		if !ok || stage >= stages {
			return n, fmt.Errorf("%w: list of macros for stage %d", ErrProtocol, stage)
		}
		data = rest
		list := strings.Fields(strings.ReplaceAll(names, ",", " "))
		if len(list) > maxMacros {
			return n, fmt.Errorf("%w: %d macros asked for", ErrTooMuch, len(list))
		}
		if n.macros == nil {
			n.macros = map[Stage][]string{}
		}
		n.macros[stage] = list
	}
	return n, nil
}
