package received

import (
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/header"
)

// MaxHops is the usual limit of Received fields: more is a loop, RFC 5321 §6.3.
const MaxHops = 100

// Hops counts the Received fields of a header.
func Hops(h *header.Header) int { return h.Count("Received") }

// DeliveredTo tells whether the header has a Delivered-To field with this address: then the message has been here, and
// forwarding it again would be a loop.
func DeliveredTo(h *header.Header, a address.Address) bool {
	for f := range h.All("Delivered-To") {
		list, _ := header.ParseList(h.Value(f), 2)
		if len(list) != 1 {
			continue
		}
		if to, err := list[0].Address(); err == nil && to.Equal(a) {
			return true
		}
	}
	return false
}

// AppendReturnPath appends the Return-Path of final delivery, RFC 5321 §4.4, never folded.
func AppendReturnPath(dst []byte, from address.Address) []byte {
	return append(append(append(dst, "Return-Path: "...), from.Path()...), '\r', '\n')
}

// AppendDeliveredTo appends the Delivered-To of final delivery, RFC 9228.
func AppendDeliveredTo(dst []byte, to address.Address) []byte {
	return append(append(append(dst, "Delivered-To: "...), to.String()...), '\r', '\n')
}
