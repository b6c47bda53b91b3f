package popd

// uidl knows the unique ids of a maildrop (RFC 1939 §7). Where an import set one, that is it; else it is UID and UIDVALIDITY,
// each in eight hexadecimal digits: what Dovecot makes by default, so that a maildrop that came from there with its UIDs
// keeps its unique ids, and clients do not fetch everything again.
type uidl struct {
	validity uint32
	set      map[uint32]string // by UID, those that an import set
}

// of returns the unique id of a message.
func (u *uidl) of(uid uint32) string {
	if s, ok := u.set[uid]; ok {
		return s
	}
	return u.derived(uid)
}

// derived is called for each message of a maildrop at once; fmt would take eight times as long.
func (u *uidl) derived(uid uint32) string {
	const digits = "0123456789abcdef"
	var b [16]byte
	for i, n := 15, uint64(uid)<<32|uint64(u.validity); i >= 0; i, n = i-1, n>>4 {
		b[i] = digits[n&15]
	}
	return string(b[:])
}

const maxUIDL = 70 // RFC 1939 §7

// uniqueIDs are those set so far, while a maildrop is being opened: no two messages may have the same.
type uniqueIDs map[string]struct{}

// imported gives a message the unique id that an import set, if it is one: of printable characters, none of the maildrop's
// before, and none that another message has or may get by its UID.
func (taken *uniqueIDs) imported(u *uidl, uid uint32, s string) {
	if !valid(s) || u.mayDerive(s) && s != u.derived(uid) {
		return
	}
	if _, double := (*taken)[s]; double {
		return
	}
	if *taken == nil {
		*taken, u.set = uniqueIDs{}, map[uint32]string{}
	}
	(*taken)[s] = struct{}{}
	u.set[uid] = s
}

// mayDerive tells whether some UID has s for its derived id.
func (u *uidl) mayDerive(s string) bool {
	return len(s) == 16 && s[8:] == u.derived(0)[8:]
}

func valid(s string) bool {
	if s == "" || len(s) > maxUIDL {
		return false
	}
	for i := range len(s) {
		if s[i] < '!' || s[i] > '~' {
			return false
		}
	}
	return true
}
