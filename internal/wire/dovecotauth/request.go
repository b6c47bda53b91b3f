package dovecotauth

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/wire/sasl"
)

const (
	maxLine   = 8192 + sasl.MaxLine // AUTH with everything a client tells, and its response
	maxFields = 64
)

var errProtocol = errors.New("not the protocol")

// request is AUTH or CONT.
type request struct {
	id       uint32
	mech     string // empty: CONT
	service  string
	remote   netip.AddrPort
	local    netip.AddrPort
	secured  bool   // the client is under TLS
	response []byte // nil: none came
}

// parseAuth reads "id mech params…" (fields between tabs); resp, if it is there, comes last.
func parseAuth(fields []string) (r request, err error) {
	if len(fields) < 2 || fields[1] == "" {
		return r, errProtocol
	}
	if r.id, err = parseID(fields[0]); err != nil {
		return r, err
	}
	r.mech = strings.ToUpper(fields[1])
	var remote, local netip.Addr
	var rport, lport uint16
	for _, f := range fields[2:] {
		key, value, _ := strings.Cut(f, "=")
		if key == "resp" {
			if value == "" { // Exim says so when there is none
				continue
			}
			if r.response, err = sasl.DecodeInitial(value); err != nil {
				return r, err
			}
			continue
		}
		value = unescape(value)
		switch key {
		case "service":
			r.service = value
		case "rip":
			remote, _ = netip.ParseAddr(value) // what is no address is none
		case "lip":
			local, _ = netip.ParseAddr(value)
		case "rport":
			rport = port(value)
		case "lport":
			lport = port(value)
		case "secured": // "secured", or "secured=tls" of later versions
			r.secured = true
		}
	}
	r.remote = netip.AddrPortFrom(remote.Unmap().WithZone(""), rport)
	r.local = netip.AddrPortFrom(local.Unmap().WithZone(""), lport)
	return r, nil
}

// parseCont reads "id response".
func parseCont(fields []string) (r request, err error) {
	if len(fields) != 2 {
		return r, errProtocol
	}
	if r.id, err = parseID(fields[0]); err != nil {
		return r, err
	}
	r.response, err = sasl.DecodeInitial(fields[1])
	return r, err
}

func parseID(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 0 {
		return 0, errProtocol
	}
	return uint32(n), nil
}

func port(s string) uint16 {
	n, _ := strconv.ParseUint(s, 10, 16)
	return uint16(n)
}

// escapes are the octets that a value may not hold as they are, and what stands behind \001 for them.
const (
	escaped = "\x00\x01\t\r\n"
	written = "01trn"
)

func unescape(s string) string {
	if strings.IndexByte(s, 1) < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == 1 && i+1 < len(s) {
			i++
			if at := strings.IndexByte(written, s[i]); at >= 0 {
				b.WriteByte(escaped[at])
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func escape(s string) string {
	if !strings.ContainsAny(s, escaped) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if at := strings.IndexByte(escaped, s[i]); at >= 0 {
			b.WriteByte(1)
			b.WriteByte(written[at])
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
