package setup

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/web/proxy"
)

// Paths, as clients know them.
const (
	autoconfigPath  = "/mail/config-v1.1.xml"
	wellKnownPath   = "/.well-known/autoconfig/mail/config-v1.1.xml"
	discoverPath    = "/autodiscover/autodiscover.xml"
	discoverV2Path  = "/autodiscover/autodiscover.json"
	profilePath     = "/profile.mobileconfig"
	profileCodePath = profilePath + ".qrcode.png"
	pagePath        = "/setup"
)

// Bounds of what a request may name.
const (
	maxAddresses = 10
	maxFullName  = 100 // bytes
)

// Handler serves all pages of client set-up. Its fields are set before its first use and stay.
type Handler struct {
	// Ours tells whether a domain (A-labels) is one of this host.
	Ours func(ctx context.Context, domain string) (bool, error)
	// Offer is what the host offers now.
	Offer func() Offer
	// Certificate is what the host shows under a name, for signatures; nil: none.
	Certificate func(host string) *tls.Certificate
	Now         func() time.Time
	Log         *slog.Logger
}

// ServeHTTP answers what Handles a path.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := canonicalPath(r.URL.Path)
	if r.Method != http.MethodGet && r.Method != http.MethodHead && !(r.Method == http.MethodPost && path == discoverPath) {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "This page is only read.", http.StatusMethodNotAllowed)
		return
	}
	offer := h.Offer()
	// Thunderbird asks http where a domain's https is not ours, and nothing in its page is secret. All else is worth a
	// certificate. The target is our own name, never the one that the request bears.
	if autoconfig := path == autoconfigPath || path == wellKnownPath; !autoconfig && !proxy.From(r.Context()).HTTPS && strings.HasPrefix(offer.URL, "https://") {
		code := http.StatusFound // what Outlook expects: MS-OXDISCO §3.1.5.5
		if r.Method == http.MethodPost {
			code = http.StatusTemporaryRedirect
		}
		http.Redirect(w, r, offer.URL+(&url.URL{Path: r.URL.Path, RawQuery: r.URL.RawQuery}).String(), code)
		return
	}
	switch path {
	case autoconfigPath, wellKnownPath:
		h.autoconfig(w, r, offer)
	case discoverPath:
		h.discover(w, r, offer)
	case discoverV2Path:
		h.discoverV2(w, r, offer)
	case profilePath:
		h.profile(w, r, offer)
	case profileCodePath:
		h.profileCode(w, r, offer)
	case pagePath:
		h.page(w, r, offer)
	default:
		http.NotFound(w, r)
	}
}

// Handles tells whether a path is one of client set-up.
func Handles(path string) bool {
	switch canonicalPath(path) {
	case autoconfigPath, wellKnownPath, discoverPath, discoverV2Path, profilePath, profileCodePath, pagePath:
		return true
	}
	return false
}

// canonicalPath folds what Outlook's versions write differently: /Autodiscover/Autodiscover.xml, and the second version's
// address in the path.
func canonicalPath(path string) string {
	if lower := strings.ToLower(path); strings.HasPrefix(lower, "/autodiscover/") {
		if strings.HasPrefix(lower, discoverV2Path+"/v1.0/") {
			return discoverV2Path
		}
		return lower
	}
	return path
}

// autoconfig answers by the domain of the address, or by the host's name where a client sends no address.
func (h *Handler) autoconfig(w http.ResponseWriter, r *http.Request, o Offer) {
	domain := ""
	if s := r.URL.Query().Get("emailaddress"); s != "" {
		a, ok := parse(s)
		if !ok {
			http.Error(w, "emailaddress is not an address such as user@example.org.", http.StatusBadRequest)
			return
		}
		domain = a.Domain
	} else {
		domain = domainOfHost(proxy.From(r.Context()).Host)
	}
	if !h.ours(w, r, domain) {
		return
	}
	text, err := Autoconfig(o, domain)
	h.send(w, r, "text/xml; charset=utf-8", text, err)
}

// domainOfHost is the domain that a client means who asks this host.
func domainOfHost(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	domain, err := address.CanonicalDomain(host)
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(domain, "autoconfig.")
}

// ours tells whether a domain is of this host; if not, or not known, it has answered.
func (h *Handler) ours(w http.ResponseWriter, r *http.Request, domain string) bool {
	ok, err := domain != "" && !strings.HasPrefix(domain, "["), error(nil)
	if ok {
		ok, err = h.Ours(r.Context(), domain)
	}
	switch {
	case err != nil:
		h.failed(w, r, err)
		return false
	case !ok:
		http.Error(w, "This host has no mail for that domain.", http.StatusNotFound)
		return false
	}
	return true
}

// failed answers for a failure of ours.
func (h *Handler) failed(w http.ResponseWriter, r *http.Request, err error) {
	h.Log.Error("client set-up failed", "path", r.URL.Path, "error", err)
	w.Header().Set("Retry-After", "60")
	http.Error(w, "Not now; please try again later.", http.StatusServiceUnavailable)
}

func (h *Handler) send(w http.ResponseWriter, r *http.Request, kind string, body []byte, err error) {
	if err != nil {
		h.failed(w, r, err)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client has gone
	}
}

// discover is Outlook's XML. Its errors are documents too, with code 200: MS-OXDSCLI §3.1.5.
func (h *Handler) discover(w http.ResponseWriter, r *http.Request, o Offer) {
	text, err := h.discoverAnswer(r, o)
	h.send(w, r, "text/xml; charset=utf-8", text, err)
}

func (h *Handler) discoverAnswer(r *http.Request, o Offer) ([]byte, error) {
	q, ok := DiscoverRequest{}, false
	if r.Method == http.MethodPost {
		q, ok = ParseDiscover(r.Body)
	}
	a, isAddress := parse(q.Address)
	switch {
	case !ok:
		return AutodiscoverError(h.Now(), discoverInvalid)
	case q.Schema != "" && q.Schema != schemaOutlook:
		return AutodiscoverError(h.Now(), discoverNoSchema)
	case !isAddress:
		return AutodiscoverError(h.Now(), discoverNoAddress)
	}
	ours, err := h.Ours(r.Context(), a.Domain)
	if err != nil {
		return nil, err
	}
	if !ours {
		return AutodiscoverError(h.Now(), discoverNoAddress)
	}
	return Autodiscover(o, a)
}

func (h *Handler) discoverV2(w http.ResponseWriter, r *http.Request, o Offer) {
	query := r.URL.Query()
	s := first(query, "Email", "email")
	if i := len(discoverV2Path + "/v1.0/"); s == "" && len(r.URL.Path) > i {
		s = r.URL.Path[i:]
	}
	a, ok := parse(s)
	if !ok {
		http.Error(w, "Email is not an address such as user@example.org.", http.StatusBadRequest)
		return
	}
	if !h.ours(w, r, a.Domain) {
		return
	}
	code, body, err := discoverJSON(o, first(query, "Protocol", "protocol"))
	if err == nil && code != http.StatusOK {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = w.Write(body) // the client has gone
		return
	}
	h.send(w, r, "application/json", body, err)
}

func first(q url.Values, names ...string) string {
	for _, n := range names {
		if v := q.Get(n); v != "" {
			return v
		}
	}
	return ""
}

// profileOf reads for whom a profile shall be. If it cannot be, it has answered.
func (h *Handler) profileOf(w http.ResponseWriter, r *http.Request) (p Profile, ok bool) {
	query := r.URL.Query()
	p.FullName = query.Get("fullname")
	list := strings.Split(query.Get("addresses"), ",")
	if len(list) > maxAddresses || len(p.FullName) > maxFullName {
		http.Error(w, "Too many addresses, or too long a name.", http.StatusBadRequest)
		return p, false
	}
	for _, s := range list {
		a, ok := parse(s)
		if !ok {
			http.Error(w, "addresses wants addresses such as user@example.org, with commas in between.", http.StatusBadRequest)
			return p, false
		}
		if !h.ours(w, r, a.Domain) {
			return p, false
		}
		p.Addresses = append(p.Addresses, a)
	}
	return p, true
}

func (h *Handler) profile(w http.ResponseWriter, r *http.Request, o Offer) {
	p, ok := h.profileOf(w, r)
	if !ok {
		return
	}
	body, err := h.Profile(o, p)
	w.Header().Set("Content-Disposition", `attachment; filename="mail.mobileconfig"`)
	h.send(w, r, "application/x-apple-aspen-config", body, err)
}

// Profile makes a profile, signed if there is a certificate whose key can.
func (h *Handler) Profile(o Offer, p Profile) ([]byte, error) {
	text, err := MobileConfig(o, p)
	if err != nil {
		return nil, err
	}
	host, _ := splitURL(o.URL)
	cert := h.Certificate(host)
	if cert == nil {
		return text, nil
	}
	signed, err := Sign(text, cert)
	if err != nil {
		h.Log.Warn("the profile is not signed", "error", err)
		return text, nil
	}
	return signed, nil
}

func (h *Handler) profileCode(w http.ResponseWriter, r *http.Request, o Offer) {
	p, ok := h.profileOf(w, r)
	if !ok {
		return
	}
	url := o.ProfileURL(p.Addresses[0].String())
	if url == "" {
		http.NotFound(w, r)
		return
	}
	png, err := QRPNG(url)
	h.send(w, r, "image/png", png, err)
}

// splitURL takes a base URL apart.
func splitURL(base string) (host string, port int) {
	u, err := url.Parse(base)
	if err != nil || base == "" {
		return "", 0
	}
	if port, err = strconv.Atoi(u.Port()); err != nil {
		port = map[string]int{"http": 80, "https": 443}[u.Scheme]
	}
	return u.Hostname(), port
}
