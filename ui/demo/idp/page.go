package idp

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
)

const style = `:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}body{max-width:26rem;margin:10vh auto;padding:0 1rem}
h1{font-size:1.25rem}ul{list-style:none;padding:0}a{display:block;padding:.75rem 1rem;margin:.5rem 0;border:1px solid GrayText;border-radius:.5rem;text-decoration:none}
a:hover,a:focus-visible{border-color:LinkText;outline:2px solid LinkText}small{color:GrayText}`

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Sign in, {{.Name}} (demo)</title>
<style>` + style + `</style></head>
<body><main><h1>Sign in as somebody of {{.Name}}</h1>
<p>This is the demo's identity provider: these people are made up, and nobody needs a password.</p>
<ul>{{range .People}}<li><a href="{{.Link}}"><strong>{{.Name}}</strong><br><small>{{.Role}}</small></a></li>{{end}}</ul>
</main></body></html>
`))

// choose lists the personas, each a link to the same request with a hint.
func (p *Provider) choose(w http.ResponseWriter, r *http.Request, i Issuer) {
	type person struct{ Name, Role, Link string }
	data := struct {
		Name   string
		People []person
	}{Name: i.Name}
	for _, x := range i.Personas {
		q := r.URL.Query()
		q.Set("login_hint", x.Subject)
		data.People = append(data.People, person{x.Name, x.Role, (&url.URL{Path: r.URL.Path, RawQuery: q.Encode()}).String()})
	}
	sum := sha256.Sum256([]byte(style))
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	_ = page.Execute(w, data) // the peer may be gone
}
