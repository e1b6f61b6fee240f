// Package web holds the pages, as they were built, and serves them: the page itself for every path of its own, and its assets, whose names
// carry their digests, for good.
//
// Invariant: every response carries the headers of Guard; a page may run, load and speak to what this origin serves, and nothing else.
// The package imports nothing of ours, so that coordinators can serve what the command line serves.
//
// Sees: metadata
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed all:dist
var dist embed.FS

//go:embed placeholder.html
var placeholder []byte

// Nonce stands in index.html where the nonce of the response belongs, which scripts give to the style elements they make.
const Nonce = "__CSP_NONCE__"

const (
	indexFile = "index.html"
	assets    = "assets/" // names with digests
)

// Config says how pages are served. FormAction are further origins to which forms and redirections of forms may go: identity providers.
type Config struct {
	FormAction []string
}

// Handler serves the embedded pages.
func Handler(cfg Config) (http.Handler, error) {
	built, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, err
	}
	return serve(built, cfg)
}

// file is one embedded file, with its gzip form where that is smaller.
type file struct {
	kind   string
	plain  []byte
	packed []byte
}

type pages struct {
	cfg   Config
	index []byte
	files map[string]file
}

func serve(built fs.FS, cfg Config) (http.Handler, error) {
	p := &pages{cfg: cfg, index: placeholder, files: map[string]file{}}
	err := fs.WalkDir(built, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(path.Base(name), ".") {
			return err
		}
		content, err := fs.ReadFile(built, name)
		if err != nil {
			return err
		}
		if name == indexFile {
			p.index = content
			return nil
		}
		p.files[name], err = load(name, content)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the pages: %w", err)
	}
	return Guard(cfg, p), nil
}

func load(name string, content []byte) (file, error) {
	f := file{kind: kindOf(name), plain: content}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return f, err
	}
	if _, err := w.Write(content); err != nil {
		return f, err
	}
	if err := w.Close(); err != nil {
		return f, err
	}
	if b.Len() < len(content) {
		f.packed = b.Bytes()
	}
	return f, nil
}

// kinds are the types of what a build gives; the host's tables, which differ, are asked for the rest.
var kinds = map[string]string{
	".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
	".html": "text/html; charset=utf-8", ".json": "application/json", ".wasm": "application/wasm", ".woff2": "font/woff2", ".png": "image/png",
	".txt": "text/plain; charset=utf-8",
}

func kindOf(name string) string {
	if kind, ok := kinds[path.Ext(name)]; ok {
		return kind
	}
	if kind := mime.TypeByExtension(path.Ext(name)); kind != "" {
		return kind
	}
	return "application/octet-stream"
}

// ServeHTTP implements http.Handler.
func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "pages are only read", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	if f, ok := p.files[name]; ok {
		p.file(w, r, name, f)
		return
	}
	if path.Ext(name) != "" && name != indexFile || strings.HasPrefix(name, assets) {
		http.Error(w, "not found: reload the page, which may be of another build", http.StatusNotFound)
		return
	}
	p.page(w, r)
}

func (p *pages) file(w http.ResponseWriter, r *http.Request, name string, f file) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "no-cache")
	if strings.HasPrefix(name, assets) {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	body := f.plain
	if f.packed != nil {
		h.Set("Vary", "Accept-Encoding")
		if accepts(r.Header.Get("Accept-Encoding")) {
			h.Set("Content-Encoding", "gzip")
			body = f.packed
		}
	}
	write(w, r, body)
}

// accepts says whether a browser takes gzip.
func accepts(header string) bool {
	for coding := range strings.SplitSeq(header, ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			weight = strings.ReplaceAll(weight, " ", "")
			return weight != "q=0" && weight != "q=0.0"
		}
	}
	return false
}

// page answers with the one page, which finds its way by its path. Its nonce is of this response alone, so it is never stored.
func (p *pages) page(w http.ResponseWriter, r *http.Request) {
	var random [18]byte
	_, _ = rand.Read(random[:])
	nonce := base64.StdEncoding.EncodeToString(random[:])
	h := w.Header()
	h.Set("Content-Security-Policy", policy(p.cfg, nonce))
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	write(w, r, bytes.ReplaceAll(p.index, []byte(Nonce), []byte(nonce)))
}

func write(w http.ResponseWriter, r *http.Request, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(body) // the peer may be gone
}
