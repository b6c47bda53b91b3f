package setup

import (
	"encoding/xml"

	"github.com/postrider/postrider/internal/mail/address"
)

// Mozilla's config-v1.1 (draft-ietf-mailmaint-autoconfig §4): the elements in the order that its clients expect.
type (
	clientConfig struct {
		XMLName  xml.Name      `xml:"clientConfig"`
		Version  string        `xml:"version,attr"`
		Provider emailProvider `xml:"emailProvider"`
	}
	emailProvider struct {
		ID        string       `xml:"id,attr"`
		Domains   []string     `xml:"domain"`
		Name      string       `xml:"displayName"`
		ShortName string       `xml:"displayShortName"`
		Incoming  []mailServer `xml:"incomingServer"`
		Outgoing  []mailServer `xml:"outgoingServer"`
		Page      *infoPage    `xml:"documentation,omitempty"`
	}
	mailServer struct {
		Type     string `xml:"type,attr"`
		Host     string `xml:"hostname"`
		Port     int    `xml:"port"`
		Socket   string `xml:"socketType"`
		User     string `xml:"username"`
		Password string `xml:"authentication"`
	}
	infoPage struct {
		URL  string `xml:"url,attr"`
		Text string `xml:"descr"`
	}
)

// Autoconfig is Mozilla's description for a domain of ours (A-labels). It holds no address: the client puts the one that
// it has in the place of %EMAILADDRESS%.
func Autoconfig(o Offer, domain string) ([]byte, error) {
	p := emailProvider{ID: domain, Domains: []string{domain}, Name: o.title(domain), ShortName: o.title(domain)}
	if shown := address.DisplayDomain(domain); shown != domain {
		p.Domains = append(p.Domains, shown)
	}
	if o.URL != "" {
		p.Page = &infoPage{URL: o.URL + pagePath, Text: "Settings"}
	}
	for _, s := range o.Services {
		// "password-encrypted" would be CRAM-MD5, which needs passwords that can be read; under TLS the other is right.
		m := mailServer{Type: string(s.Protocol), Host: s.Host, Port: s.Port, Socket: "STARTTLS", User: "%EMAILADDRESS%", Password: "password-cleartext"}
		if s.Implicit {
			m.Socket = "SSL"
		}
		if s.Protocol == SMTP {
			p.Outgoing = append(p.Outgoing, m)
		} else {
			p.Incoming = append(p.Incoming, m)
		}
	}
	return document(clientConfig{Version: "1.1", Provider: p})
}

// document writes an XML document. What XML cannot carry is replaced by U+FFFD, and all text is escaped.
func document(v any) ([]byte, error) {
	text, err := xml.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, err
	}
	return append([]byte(xml.Header), append(text, '\n')...), nil
}
