package obs

// The keys of the log. Every record uses these names for these things; a new thing gets a new key here.
const (
	KeyQueueID   = "queue_id"   // id of a message in the queue, as queueid.ID.String
	KeyCause     = "cause"      // queue id of the message that caused this one (bounce, redirect)
	KeySession   = "session"    // id of a connection, unique within a run
	KeyService   = "service"    // listener: smtp, submission, submissions, lmtp, imap, imaps, http
	KeyClient    = "client"     // address of the peer that connected, without port
	KeyName      = "name"       // verified name of that peer, if it has one
	KeyHelo      = "helo"       // what it calls itself
	KeyTLS       = "tls"        // version and cipher
	KeyAccount   = "account"    // address that logged in, or tried to
	KeyUID       = "uid"        // user id of a program of this host
	KeyMech      = "mech"       // SASL mechanism
	KeyMaster    = "master"     // master user who logged in as the account
	KeyFrom      = "from"       // reverse-path, without <>
	KeyTo        = "to"         // recipient
	KeyOrigTo    = "orig_to"    // recipient before aliases
	KeyMessageID = "message_id" // Message-ID field, without <>
	KeySize      = "size"       // bytes of the message
	KeyNrcpt     = "nrcpt"      // recipients of the message
	KeyRelay     = "relay"      // where a delivery went: host[address]:port, or the transport's name
	KeyTransport = "transport"  // smtp, lmtp, mailbox, ...
	KeyDelay     = "delay"      // seconds since the message arrived
	KeyDelays    = "delays"     // the same in four parts: before the queue, in it, connecting, transmitting
	KeyDSN       = "dsn"        // enhanced status code, RFC 3463
	KeyStatus    = "status"     // sent, deferred, bounced, expired
	KeyReply     = "reply"      // text of the reply that decided
	KeyCommand   = "command"    // protocol command concerned
	KeyFound     = "found"      // what the tests of a client found, see ScreenWord
	KeyCount     = "count"      // octets said too early; a score
	KeyText      = "text"       // what a client said; the domain of a list
	KeyCode      = "code"       // SMTP reply code
	KeyReason    = "reason"     // one word for a refusal, see Reason
	KeyDuration  = "duration"   // seconds
	KeyBytesIn   = "in"         // bytes received
	KeyBytesOut  = "out"        // bytes sent
	KeyMessages  = "messages"   // messages in a maildrop
	KeyTops      = "top"        // messages whose beginning POP3 fetched
	KeyRetrieved = "retr"       // messages that POP3 fetched
	KeyRemoved   = "del"        // messages that POP3 removed
	KeyClass     = "class"      // of what a delivery met: see flow.Class
	KeySite      = "site"       // what shares limits with a host
	KeyLocal     = "local"      // our address of a connection
	KeyTrust     = "trust"      // what the TLS of a host that we connected to proves
	KeyReused    = "reused"     // whether a connection had carried another message before
	KeyPhase     = "phase"      // the last one that an attempt reached
	KeyReplies   = "replies"    // what a host answered, in full
	KeyConnect   = "connect"    // seconds until a connection was ready
	KeyRules     = "rules"      // rules that decided something about a session or message
	KeyRoutes    = "routes"     // rules that decided where recipients go
	KeyError     = "error"      // cause of a failure; never shown to a peer
	KeyComponent = "component"  // part of Postrider that speaks: mx, mta, queue, ...
)
