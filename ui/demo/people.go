package demo

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"concordat.dev/ui/demo/idp"
	"concordat.dev/ui/mesh"
)

// clientID is what the issuers of the demo know its coordinators as.
const clientID = "concordat-demo"

// The ports among which the identity provider's is chosen, once: manifests name it. Beside those of a mesh whose first port was given.
const (
	lowestPort  = 32001
	highestPort = 32700
	besideMesh  = 20
)

// people is the demo's identity provider: an issuer for each organisation, whose made-up people sign in by one click.
type people struct {
	Port   int    `json:"port"`
	Secret string `json:"secret"`
}

// openPeople reads what a run before chose, or chooses.
func openPeople(file string, meshPort int) (people, error) {
	var p people
	raw, err := os.ReadFile(file) //nolint:gosec // G304: a file of the demo's home
	if err == nil {
		err = json.Unmarshal(raw, &p)
		return p, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return p, fmt.Errorf("the demo's people: %w", err)
	}
	p = people{Port: meshPort + besideMesh, Secret: rand.Text()}
	for meshPort == 0 {
		p.Port = lowestPort + mathrand.IntN(highestPort-lowestPort) //nolint:gosec // G404: any port will do
		if l, err := net.Listen("tcp", p.address()); err == nil {   //nolint:noctx // a local listen does not block
			_ = l.Close()
			break
		}
	}
	if raw, err = json.Marshal(p); err != nil { //nolint:gosec // G117: into a file of the home, for coordinators here
		return p, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return p, fmt.Errorf("the demo's people: %w", err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "client-secret"), []byte(p.Secret+"\n"), 0o600); err != nil {
		return p, fmt.Errorf("the demo's people: %w", err)
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return p, fmt.Errorf("the demo's people: %w", err)
	}
	return p, nil
}

func (p people) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Port)) }

func (p people) base() string { return "http://" + p.address() }

// issuers are those of the organisations, with their people.
func (p people) issuers() []idp.Issuer {
	var out []idp.Issuer
	for _, o := range Organisations {
		i := idp.Issuer{ID: o.ID, Name: "the " + o.ID, ClientID: clientID, Secret: p.Secret, Personas: []idp.Persona{
			{Subject: o.Steward, Name: o.Steward, Role: "steward of the " + o.ID},
		}}
		switch o.ID {
		case "clinic":
			i.Personas = append(i.Personas, idp.Persona{Subject: Analyst, Name: Analyst, Role: "analyst of the " + o.ID})
		case "registry":
			i.Personas = append(i.Personas, idp.Persona{Subject: Auditor, Name: Auditor, Role: "auditor of the " + o.ID})
		}
		out = append(out, i)
	}
	return out
}

// signIn is what coordinators are told.
func (p people) signIn(secretFile string) *mesh.SignIn {
	if absolute, err := filepath.Abs(secretFile); err == nil {
		secretFile = absolute
	}
	out := &mesh.SignIn{}
	for _, i := range p.issuers() {
		issuer := p.base() + "/" + i.ID
		out.Issuers = append(out.Issuers, mesh.Issuer{Issuer: issuer, ClientID: clientID, ClientSecretFile: secretFile})
		for _, x := range i.Personas {
			out.Personas = append(out.Personas, mesh.Persona{Label: fmt.Sprintf("%s (%s)", x.Name, x.Role), Issuer: issuer, ClientID: clientID, Subject: x.Subject})
		}
	}
	return out
}

// serve answers coordinators and browsers until the context ends; a failure ends it.
func (p people) serve(ctx context.Context, s mesh.State, failed context.CancelCauseFunc) error {
	issuers := p.issuers()
	for i := range issuers {
		for _, c := range s.Coordinators {
			issuers[i].Redirects = append(issuers[i].Redirects, c.Page()+"/signin/callback")
		}
	}
	provider, err := idp.Listen(ctx, idp.Config{Listen: p.address(), Issuers: issuers})
	if err != nil {
		return err
	}
	go func() {
		if err := provider.Serve(ctx); err != nil {
			failed(err)
		}
	}()
	return nil
}
