package setup

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
)

// Schemas of MS-OXDSCLI §2.2.
const (
	schemaError   = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
	schemaOutlook = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
)

// maxRequest bounds a request's body.
const maxRequest = 16 << 10

// DiscoverRequest is what Outlook asks: MS-OXDSCLI §3.1.5.
type DiscoverRequest struct {
	Address string
	Schema  string // of the answer that the client understands
}

// ParseDiscover reads a request, at most maxRequest bytes of it. false: it is none.
func ParseDiscover(body io.Reader) (DiscoverRequest, bool) {
	var doc struct {
		Request struct {
			Address string `xml:"EMailAddress"`
			Schema  string `xml:"AcceptableResponseSchema"`
		} `xml:"Request"`
	}
	text, err := io.ReadAll(io.LimitReader(body, maxRequest+1))
	if err != nil || len(text) > maxRequest {
		return DiscoverRequest{}, false
	}
	if err := xml.Unmarshal(text, &doc); err != nil {
		return DiscoverRequest{}, false
	}
	r := DiscoverRequest{strings.TrimSpace(doc.Request.Address), strings.TrimSpace(doc.Request.Schema)}
	return r, r.Address != ""
}

type (
	discoverUser struct {
		Name string `xml:"DisplayName"`
	}
	discoverProtocol struct {
		Type           string
		Server         string
		Port           int
		DomainRequired string
		LoginName      string
		SPA            string
		SSL            string
		Encryption     string
		AuthRequired   string
	}
	discoverAccount struct {
		Type      string             `xml:"AccountType"`
		Action    string             `xml:"Action"`
		Protocols []discoverProtocol `xml:"Protocol"`
	}
	discoverError struct {
		Time    string `xml:"Time,attr"`
		ID      string `xml:"Id,attr"`
		Code    int    `xml:"ErrorCode"`
		Message string `xml:"Message"`
		Debug   string `xml:"DebugData"`
	}
	discoverResponse struct {
		Xmlns   string           `xml:"xmlns,attr,omitempty"`
		User    *discoverUser    `xml:"User,omitempty"`
		Account *discoverAccount `xml:"Account,omitempty"`
		Error   *discoverError   `xml:"Error,omitempty"`
	}
	discoverAnswer struct {
		XMLName  xml.Name         `xml:"Autodiscover"`
		Xmlns    string           `xml:"xmlns,attr"`
		Response discoverResponse `xml:"Response"`
	}
)

// Autodiscover is the answer for an address in a domain of ours.
func Autodiscover(o Offer, a address.Address) ([]byte, error) {
	account := &discoverAccount{Type: "email", Action: "settings"}
	for _, s := range o.Services {
		p := discoverProtocol{Type: strings.ToUpper(string(s.Protocol)), Server: s.Host, Port: s.Port, DomainRequired: "off", LoginName: a.String(),
			SPA: "off", SSL: "on", Encryption: "TLS", AuthRequired: "on"}
		if s.Implicit {
			p.Encryption = "SSL" // the schema's word for TLS from the first byte
		}
		account.Protocols = append(account.Protocols, p)
	}
	return document(discoverAnswer{Xmlns: schemaError, Response: discoverResponse{Xmlns: schemaOutlook,
		User: &discoverUser{o.title(a.Domain)}, Account: account}})
}

// Codes of MS-OXDSCLI §2.2.4.1.1.2.3.1 and of what Exchange answers.
const (
	discoverNoAddress = 500
	discoverInvalid   = 600
	discoverNoSchema  = 601
)

// AutodiscoverError is Outlook's error document.
func AutodiscoverError(now time.Time, code int) ([]byte, error) {
	text := map[int]string{discoverNoAddress: "The email address cannot be found.", discoverInvalid: "Invalid Request",
		discoverNoSchema: "Provider is not available"}
	return document(discoverAnswer{Xmlns: schemaError, Response: discoverResponse{
		Error: &discoverError{Time: now.UTC().Format("15:04:05.0000000"), ID: "0", Code: code, Message: text[code]}}})
}

// discoverJSON is the second version's answer: where the first version's is.
func discoverJSON(o Offer, protocol string) (status int, body []byte, err error) {
	if !strings.EqualFold(protocol, "AutodiscoverV1") || o.URL == "" {
		body, err = json.Marshal(map[string]string{"ErrorCode": "InvalidProtocol",
			"ErrorMessage": "The given protocol value is invalid. Supported values are: 'AutodiscoverV1'"})
		return 400, body, err
	}
	body, err = json.Marshal(map[string]string{"Protocol": "AutodiscoverV1", "Url": o.URL + discoverPath})
	return 200, body, err
}
