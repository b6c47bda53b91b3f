package access

// want is the argument that a restriction has.
type want string

const (
	nothing     want = ""
	aTable      want = "a table, type:name"
	aList       want = "a DNS list, domain or domain=filter"
	aService    want = "a policy server, such as inet:127.0.0.1:10023"
	someSeconds want = "a number of seconds"
)

// spec is a restriction as it can be written.
type spec struct {
	want want
	run  func(*eval, *rule) outcome
	gone string // not empty: it is refused, for this reason
}

// restrictions are all of them, by name.
func restrictions() map[string]spec {
	m := map[string]spec{
		"permit":               {run: runPermit},
		"reject":               {run: runReject},
		"defer":                {run: runDefer},
		"defer_if_permit":      {run: runDeferIfPermit},
		"defer_if_reject":      {run: runDeferIfReject},
		"dunno":                {run: runNothing},
		"sleep":                {want: someSeconds, run: runSleep},
		"check_policy_service": {want: aService, run: runService},
		"check_greylist":       {run: runGreylist},

		"permit_mynetworks":          {run: runMynetworks},
		"permit_sasl_authenticated":  {run: runAuthenticated},
		"permit_tls_clientcerts":     {run: runCertificate},
		"permit_tls_all_clientcerts": {run: runAnyCertificate},
		"permit_inet_interfaces":     {run: runOwnAddress},
		"permit_auth_destination":    {run: runAuthDestination},
		"permit_mx_backup":           {run: runMXBackup},
		"reject_unauth_destination":  {run: runUnauthDestination},
		"defer_unauth_destination":   {run: runDeferUnauthDestination},

		"reject_unauth_pipelining":      {run: runPipelining},
		"reject_plaintext_session":      {run: runPlaintext},
		"reject_multi_recipient_bounce": {run: runMultiBounce},

		"reject_invalid_helo_hostname":           {run: runInvalidHelo},
		"reject_non_fqdn_helo_hostname":          {run: runNonFQDNHelo},
		"reject_unknown_helo_hostname":           {run: runUnknownHelo},
		"reject_unknown_client_hostname":         {run: runUnknownClient},
		"reject_unknown_reverse_client_hostname": {run: runUnknownReverse},

		"reject_non_fqdn_sender":          {run: runNonFQDNSender},
		"reject_non_fqdn_recipient":       {run: runNonFQDNRecipient},
		"reject_unknown_sender_domain":    {run: runUnknownSenderDomain},
		"reject_unknown_recipient_domain": {run: runUnknownRecipientDomain},
		"reject_unlisted_sender":          {run: runUnlistedSender},
		"reject_unlisted_recipient":       {run: runUnlistedRecipient},
		"reject_unverified_sender":        {run: runUnverifiedSender},
		"reject_unverified_recipient":     {run: runUnverifiedRecipient},

		"reject_sender_login_mismatch":                 {run: runLoginMismatch},
		"reject_authenticated_sender_login_mismatch":   {run: runAuthenticatedMismatch},
		"reject_known_sender_login_mismatch":           {run: runKnownMismatch},
		"reject_unauthenticated_sender_login_mismatch": {run: runUnauthenticatedMismatch},

		"reject_rbl_client":           {want: aList, run: runRBL},
		"permit_dnswl_client":         {want: aList, run: runDNSWL},
		"permit_rhswl_client":         {want: aList, run: runRHSWL},
		"reject_rhsbl_client":         {want: aList, run: rhsbl(clientName)},
		"reject_rhsbl_reverse_client": {want: aList, run: rhsbl(reverseName)},
		"reject_rhsbl_helo":           {want: aList, run: rhsbl(heloName)},
		"reject_rhsbl_sender":         {want: aList, run: rhsbl(senderDomain)},
		"reject_rhsbl_recipient":      {want: aList, run: rhsbl(recipientDomain)},

		"check_client_access":                  {want: aTable, run: runClientAccess},
		"check_reverse_client_hostname_access": {want: aTable, run: runReverseAccess},
		"check_helo_access":                    {want: aTable, run: runHeloAccess},
		"check_sender_access":                  {want: aTable, run: runSenderAccess},
		"check_recipient_access":               {want: aTable, run: runRecipientAccess},
		"check_ccert_access":                   {want: aTable, run: runCertAccess},
		"check_sasl_access":                    {want: aTable, run: runLoginAccess},
		"check_etrn_access":                    {want: aTable, run: runNothing}, // there is no ETRN here
	}
	for name, who := range map[string]subject{"client": clientName, "reverse_client_hostname": reverseName, "helo": heloName,
		"sender": senderDomain, "recipient": recipientDomain} {
		m["check_"+name+"_ns_access"] = spec{want: aTable, run: servers(who, nameServers)}
		m["check_"+name+"_mx_access"] = spec{want: aTable, run: servers(who, exchangers)}
		m["check_"+name+"_a_access"] = spec{want: aTable, run: servers(who, itself)}
	}
	for old, now := range map[string]string{"reject_unknown_client": "reject_unknown_client_hostname", "reject_invalid_hostname": "reject_invalid_helo_hostname",
		"reject_non_fqdn_hostname": "reject_non_fqdn_helo_hostname", "reject_unknown_hostname": "reject_unknown_helo_hostname"} {
		m[old] = m[now]
	}
	for name, why := range map[string]string{
		"check_relay_domains":       "is no more: use permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination",
		"reject_maps_rbl":           "is no more: use reject_rbl_client and the list's domain",
		"permit_naked_ip_address":   "is no more: use permit_mynetworks or permit_sasl_authenticated",
		"reject_unknown_address":    "is no more: use reject_unknown_sender_domain",
		"reject_sender_login":       "is not a restriction: use reject_sender_login_mismatch",
		"check_sender_login_access": "is not a restriction: use reject_sender_login_mismatch",
		"warn_if_reject":            "wants a restriction behind it",
	} {
		m[name] = spec{gone: why}
	}
	return m
}
