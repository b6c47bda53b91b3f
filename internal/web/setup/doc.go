// Package setup tells mail clients how to reach this host, in the ways that they ask: Mozilla's autoconfig
// (draft-ietf-mailmaint-autoconfig), Outlook's autodiscover (MS-OXDSCLI, and its JSON form), Apple's configuration
// profiles, SRV records (RFC 6186, RFC 8314), and for people a page and a QR code.
//
// All of it is made by pure functions from an Offer. Handler serves it. It answers for the domains of this host, by the
// domain of the address alone: whether an account exists is never looked at, so it cannot be found out. It gives away no
// secret and changes nothing. A domain that is not ours and a request that makes no sense are answered in the form that
// the client understands; a failure of the directory is 503.
//
//	offer.go         what is offered, in order of preference
//	handler.go       the pages; which of them plain HTTP may have
//	autoconfig.go    Thunderbird, K-9, Evolution, KMail
//	autodiscover.go  Outlook: XML and JSON
//	mobileconfig.go  Apple: the profile; sign.go signs it
//	dns.go           the records of a domain
//	qr.go            QR codes for terminals and as PNG
//	page.go          the page for people
package setup
