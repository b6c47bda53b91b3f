package setup

import (
	"bytes"
	"encoding/xml"
	"errors"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/postrider/postrider/internal/mail/address"
)

// Profile says for whom a profile is.
type Profile struct {
	Addresses []address.Address // the first one is the user name; in the others' names mail may be sent too
	FullName  string            // empty: none
}

// ErrNoMail says that there is no profile without a way to read and one to send.
var ErrNoMail = errors.New("the host offers no way to read mail, or none to send it")

// MobileConfig is Apple's configuration profile with one mail account (Apple's Configuration Profile Reference, payload
// com.apple.mail.managed). The same person gets the same identifiers, so that a newer profile replaces the older one. It
// holds no password: the device asks for it.
func MobileConfig(o Offer, p Profile) ([]byte, error) {
	in, out, ok := o.best()
	if !ok {
		return nil, ErrNoMail
	}
	user := p.Addresses[0].String()
	all := make([]string, len(p.Addresses))
	for i, a := range p.Addresses {
		all[i] = a.String()
	}
	name := o.title(p.Addresses[0].Domain)
	kind := "EmailTypeIMAP"
	if in.Protocol == POP3 {
		kind = "EmailTypePOP"
	}
	mail := dict{
		{"EmailAccountDescription", name},
		{"EmailAccountType", kind},
		{"EmailAddress", strings.Join(all, ",")},
		{"IncomingMailServerAuthentication", "EmailAuthPassword"},
		{"IncomingMailServerHostName", in.Host},
		{"IncomingMailServerPortNumber", in.Port},
		{"IncomingMailServerUseSSL", true},
		{"IncomingMailServerUsername", user},
		{"OutgoingMailServerAuthentication", "EmailAuthPassword"},
		{"OutgoingMailServerHostName", out.Host},
		{"OutgoingMailServerPortNumber", out.Port},
		{"OutgoingMailServerUseSSL", true},
		{"OutgoingMailServerUsername", user},
		{"OutgoingPasswordSameAsIncomingPassword", true},
	}
	if p.FullName != "" {
		mail = append(mail, pair{"EmailAccountName", p.FullName})
	}
	id := reverse(o.Host) + ".mail." + identifier(user, "id")
	mail = append(mail, payload("com.apple.mail.managed", id+".account", identifier(user, "account"), name)...)
	profile := append(dict{
		{"PayloadContent", []dict{mail}},
		{"PayloadDescription", "Mail account " + user},
		{"PayloadOrganization", name},
	}, payload("Configuration", id, identifier(user, "profile"), name+" ("+user+")")...)
	return plist(profile), nil
}

func payload(kind, id, uuid, name string) dict {
	return dict{{"PayloadDisplayName", name}, {"PayloadIdentifier", id}, {"PayloadType", kind}, {"PayloadUUID", strings.ToUpper(uuid)}, {"PayloadVersion", 1}}
}

// identifier is the same for the same address and part, and differs for all others: RFC 9562 §5.5.
func identifier(user, part string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("mailto:"+user+"#postrider-"+part)).String()
}

// reverse writes a host name from the top down, as identifiers want it.
func reverse(host string) string {
	labels := strings.Split(host, ".")
	for i, j := 0, len(labels)-1; i < j; i, j = i+1, j-1 {
		labels[i], labels[j] = labels[j], labels[i]
	}
	return strings.Join(labels, ".")
}

// dict is a property list's dictionary, in the order in which it is written.
type (
	dict []pair
	pair struct {
		key   string
		value any // string, int, bool, dict or []dict
	}
)

// plist writes Apple's XML property list, which is outside of what encoding/xml can do with structs.
func plist(d dict) []byte {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	b.WriteString("<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">\n")
	d.write(&b)
	b.WriteString("</plist>\n")
	return b.Bytes()
}

func (d dict) write(b *bytes.Buffer) {
	b.WriteString("<dict>\n")
	for _, p := range d {
		element(b, "key", p.key)
		switch v := p.value.(type) {
		case string:
			element(b, "string", v)
		case int:
			element(b, "integer", strconv.Itoa(v))
		case bool:
			b.WriteString("<" + strconv.FormatBool(v) + "/>\n")
		case []dict:
			b.WriteString("<array>\n")
			for _, inner := range v {
				inner.write(b)
			}
			b.WriteString("</array>\n")
		}
	}
	b.WriteString("</dict>\n")
}

func element(b *bytes.Buffer, name, text string) {
	b.WriteString("<" + name + ">")
	_ = xml.EscapeText(b, []byte(text)) // a buffer takes everything
	b.WriteString("</" + name + ">\n")
}
