package setup

import (
	"fmt"
	"strings"
)

// Record is one line of a zone.
type Record struct {
	Name string // with the final dot, as in Data
	Type string // SRV, CNAME
	Data string
}

// String writes the record as a line of a zone file.
func (r Record) String() string { return fmt.Sprintf("%s\t3600\tIN\t%s\t%s", r.Name, r.Type, r.Data) }

// Records are those that let clients find the services of a domain (A-labels). A service that is not offered is said not
// to be, by the target ".": RFC 6186 §3.4.
func Records(o Offer, domain string) []Record {
	var list []Record
	add := func(service string, priority int, protocol Protocol, implicit bool) {
		data := "0 0 0 ."
		for _, s := range o.Services {
			if s.Protocol == protocol && s.Implicit == implicit {
				data = fmt.Sprintf("%d 1 %d %s.", priority, s.Port, strings.TrimSuffix(s.Host, "."))
				break
			}
		}
		list = append(list, Record{service + "._tcp." + domain + ".", "SRV", data})
	}
	// Between protocols the client chooses by priority (RFC 6186 §3.4); TLS from the first byte first: RFC 8314 §3.
	add("_imaps", 0, IMAP, true)
	add("_imap", 10, IMAP, false)
	add("_pop3s", 20, POP3, true)
	add("_pop3", 30, POP3, false)
	add("_submissions", 0, SMTP, true) // RFC 8314 §7.3
	add("_submission", 10, SMTP, false)
	host, port := splitURL(o.URL)
	if host == "" {
		return list
	}
	list = append(list, Record{"_autodiscover._tcp." + domain + ".", "SRV", fmt.Sprintf("0 1 %d %s.", port, host)})
	for _, name := range []string{"autoconfig", "autodiscover"} {
		if host != name+"."+domain {
			list = append(list, Record{name + "." + domain + ".", "CNAME", host + "."})
		}
	}
	return list
}
