package setup

import (
	"bytes"
	"html/template"
	"net/http"
	"strings"
)

// pagePolicy lets the page have its one image and its own style, and nothing else.
const pagePolicy = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

const pageText = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Mail settings{{with .Address}} of {{.}}{{end}}</title>
<style>
body { font: 16px/1.5 sans-serif; max-width: 44em; margin: 2em auto; padding: 0 1em; color: #222; background: #fff }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3em .8em .3em 0; border-bottom: 1px solid #ddd }
input { font: inherit; padding: .3em; width: 20em; max-width: 60% }
button { font: inherit; padding: .3em 1em }
img { display: block; width: 12em; height: 12em; image-rendering: pixelated }
</style>
</head>
<body>
<h1>Mail settings</h1>
<form action="/setup"><label>Your address <input name="address" type="email" value="{{.Address}}" autocomplete="email"></label> <button>Show</button></form>
<p>User name: {{with .Address}}<b>{{.}}</b>{{else}}your whole address{{end}}. Password: your mail password.</p>
<table>
<tr><th></th><th>Server</th><th>Port</th><th>Security</th></tr>
{{range .Services}}<tr><td>{{.What}}</td><td>{{.Host}}</td><td>{{.Port}}</td><td>{{.Security}}</td></tr>
{{end}}</table>
<p>Thunderbird, K-9 and Outlook find these settings by themselves: give them address and password.</p>
{{if .Profile}}<h2>iPhone, iPad, Mac</h2>
<p><a href="{{.Profile}}">Profile for {{.Address}}</a>, or scan this with the device:</p>
<img src="{{.Code}}" alt="QR code of the profile">
{{end}}</body>
</html>
`

// what tells people what a service is for.
func (s Service) what() string {
	if s.Protocol == SMTP {
		return "Sending (SMTP)"
	}
	return "Reading (" + strings.ToUpper(string(s.Protocol)) + ")"
}

// page shows the settings to people. With an address of a domain that is not ours it says so.
func (h *Handler) page(w http.ResponseWriter, r *http.Request, o Offer) {
	type row struct {
		What, Host, Security string
		Port                 int
	}
	data := struct {
		Address       string
		Services      []row
		Profile, Code string
	}{}
	if s := r.URL.Query().Get("address"); s != "" {
		a, ok := parse(s)
		if !ok {
			http.Error(w, "That is not an address such as user@example.org.", http.StatusBadRequest)
			return
		}
		if !h.ours(w, r, a.Domain) {
			return
		}
		data.Address = a.String()
		if o.URL != "" {
			query := strings.TrimPrefix(o.ProfileURL(data.Address), o.URL+profilePath)
			data.Profile, data.Code = profilePath+query, profileCodePath+query
		}
	}
	for _, s := range o.Services {
		data.Services = append(data.Services, row{s.what(), s.Host, s.Security(), s.Port})
	}
	page, err := template.New("setup").Parse(pageText)
	var b bytes.Buffer
	if err == nil {
		err = page.Execute(&b, data)
	}
	w.Header().Set("Content-Security-Policy", pagePolicy)
	h.send(w, r, "text/html; charset=utf-8", b.Bytes(), err)
}
