package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"concordat.dev/coordinator/api"
	"concordat.dev/coordinator/signin"
	"concordat.dev/ui/web"
)

// SignIn is how people sign in on pages that this coordinator serves. Which issuer vouches for whom, each participant says in the manifest; an
// issuer that is not listed here is not spoken to.
type SignIn struct {
	// ExternalURL is https://HOST[:PORT] under which browsers reach this coordinator. Sessions count at this host alone, and it is the relying
	// party of passkeys.
	ExternalURL string `yaml:"external_url"`
	// Issuers are the OpenID Connect issuers that this coordinator speaks to. Each counts for the participants whose manifest entry (oidc) names
	// issuer and client.
	Issuers []Issuer `yaml:"issuers"`
	// Idle is how long a session lasts without a call, at most 24h.
	Idle time.Duration `yaml:"idle,omitempty" default:"30m"`
	// Absolute is how long a session lasts at most, up to 168h.
	Absolute time.Duration `yaml:"absolute,omitempty" default:"12h"`
	// Personas are made-up people who sign in by one click, of issuers on this machine, in simulation only: for the demo.
	Personas []Persona `yaml:"personas,omitempty"`
}

// Issuer is an identity provider, with the client that it knows this coordinator as.
type Issuer struct {
	Issuer           string `yaml:"issuer"`                       // its URL
	ClientID         string `yaml:"client_id"`                    // what it knows this coordinator as
	ClientSecretFile string `yaml:"client_secret_file,omitempty"` // file with the client's secret; none: a public client, by PKCE alone
}

// Persona is a made-up person.
type Persona struct {
	Label    string `yaml:"label"`     // what the page shows
	Issuer   string `yaml:"issuer"`    // which vouches for it
	ClientID string `yaml:"client_id"` // of that issuer
	Subject  string `yaml:"subject"`   // at that issuer
}

// sessions is nil where the configuration lets nobody sign in.
func (c Config) sessions(log zerolog.Logger) (*signin.Sessions, error) {
	if c.SignIn == nil {
		return nil, nil
	}
	cfg, err := c.SignIn.config()
	if err != nil {
		return nil, fmt.Errorf("sign_in: %w", err)
	}
	cfg.Logger = log
	return signin.New(cfg)
}

// config reads the secrets.
func (s SignIn) config() (signin.Config, error) {
	out := signin.Config{Idle: s.Idle, Absolute: s.Absolute, Now: time.Now}
	var err error
	if out.External, err = url.Parse(s.ExternalURL); err != nil {
		return out, fmt.Errorf("external_url: %w", err)
	}
	for _, i := range s.Issuers {
		issuer := signin.Issuer{URL: i.Issuer, ClientID: i.ClientID}
		if i.ClientSecretFile != "" {
			secret, err := os.ReadFile(i.ClientSecretFile)
			if err != nil {
				return out, fmt.Errorf("secret of client %s: %w", i.ClientID, err)
			}
			issuer.Secret = strings.TrimSpace(string(secret))
		}
		out.Issuers = append(out.Issuers, issuer)
	}
	for _, p := range s.Personas {
		out.Personas = append(out.Personas, signin.Persona(p))
	}
	return out, nil
}

// check says what is wrong without reading secrets.
func (s SignIn) check(mode string) error {
	without := s
	without.Issuers = nil
	for _, i := range s.Issuers {
		without.Issuers = append(without.Issuers, Issuer{Issuer: i.Issuer, ClientID: i.ClientID})
	}
	c, err := without.config()
	if err == nil {
		err = c.Validate()
	}
	for i, p := range s.Personas {
		u, parsed := url.Parse(p.Issuer)
		if mode != "simulation" || parsed != nil || u.Hostname() != "127.0.0.1" && u.Hostname() != "localhost" {
			err = errors.Join(err, fmt.Errorf("personas[%d]: made-up people are for simulation, of an issuer on this machine", i))
		}
	}
	return err
}

// pages puts the pages beside the calls, and keeps what other origins make a browser send from both.
func (s *Server) pages(calls *http.ServeMux) (http.Handler, error) {
	var cfg web.Config
	if s.sessions != nil {
		cfg.FormAction = s.sessions.Origins()
		calls.Handle(signin.Prefix, s.sessions.Handler())
	}
	pages, err := web.Handler(cfg)
	if err != nil {
		return nil, err
	}
	people := s.api.People()
	calls.Handle(strings.TrimSuffix(signin.Prefix, "/"), pages) // the page to sign in on, which a mux would lead below the prefix
	calls.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/concordat.v1.") || strings.HasPrefix(r.URL.Path, "/upload/") || r.URL.Path == api.HandoverPath {
			people.ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, r)
	})
	return web.Guard(cfg, http.NewCrossOriginProtection().Handler(calls)), nil
}
