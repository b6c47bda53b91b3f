// Package access judges sessions by lists of restrictions, in the words and with the meaning of Postfix: postconf(5)
// smtpd_*_restrictions, access(5), SMTPD_ACCESS_README.
//
// A list is judged from left to right, until a restriction permits or refuses. A permit ends its own list only; the lists
// behind it are judged all the same. Client, HELO and sender are judged when a recipient is named (smtpd_delay_reject), for
// each recipient anew; the relay list comes before the recipient list.
//
// Who may send to elsewhere: only a restriction that says so lets a client relay. The end of a list is no permission, so a
// list from which reject_unauth_destination was left out lets no stranger through; Relay finds lists that do.
//
// What it must ask (tables, DNS, DNS lists, policy servers, whether an address exists) it asks through interfaces that it
// declares. Anything that cannot be asked is a temporary failure, or "defer if permit", as Postfix has it, and never "not
// found". It does not act: HOLD, DISCARD, REDIRECT, FILTER, BCC and PREPEND go to Transaction.Changes.
//
//	policy.go      Policy: the lists of a service; what it asks
//	session.go     a gate's session: which lists at which stage
//	eval.go        one evaluation: verdicts, defer_if_*, warn_if_reject
//	parse.go       lists of restrictions
//	names.go       the restrictions by name
//	action.go      actions of access tables, access(5)
//	act.go         what an action does
//	tables.go      check_*_access
//	servers.go     check_*_{ns,mx,a}_access
//	host.go        restrictions about names of hosts
//	address.go     restrictions about addresses
//	relay.go       destinations, and permits
//	dnslists.go    reject_rbl_client and the like
//	login.go       reject_sender_login_mismatch and the like
//	service.go     check_policy_service
//	greylist.go    check_greylist
//	open.go        whether the lists make an open relay
package access
