package flow

// Expanded is the next hop (that is, the reason) of a recipient of transport Drop that stands for an address with several final
// recipients: that it is done with tells its sender that the message went on to them (RFC 3461 §5.2.7.3).
const Expanded = "expanded to its members"
