// Package mesh runs a whole mesh on one machine: MarbleRun's coordinator, our coordinators and our workers as child processes on
// loopback, their configuration and state in one folder.
//
// Invariant: a mesh that comes up again is the one that was set up: same binaries by SHA-256, same addresses, same MarbleRun root,
// manifest and ledger; anything else is an error that says what changed. A process is ended only after checking that its id still
// belongs to it.
//
// Everything here is MarbleRun's simulation mode. MarbleRun then checks no quotes and compares no measurement: any process that
// reaches its marble API becomes a marble (docs/adr/0002-marblerun.md). The comparison above is ours, and protects from mistakes, not from the host.
//
// Sees: metadata; the folder also holds MarbleRun's state, which simulation does not protect
package mesh

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
)

// Why a mesh does not come up.
var (
	ErrNone    = errors.New("no mesh here")
	ErrRunning = errors.New("a mesh is running here already")
	ErrPort    = errors.New("address in use")
	ErrChanged = errors.New("not the mesh that was set up")
	ErrOthers  = errors.New("other means run the processes of this mesh")
	ErrProcess = errors.New("process ended")
	ErrLost    = errors.New("its folder is empty while others have the ledger: `concordat node remove` its old key, then `concordat node join --local`")
)

// State is <home>/mesh.json: what the mesh is, and where.
type State struct {
	Mode              string       `json:"mode"`               // "simulation"
	MarbleRunManifest canon.Digest `json:"marblerun_manifest"` // these four are what a collaboration's manifest pins
	RootCertificate   canon.Digest `json:"root_certificate"`
	Coordinator       canon.Digest `json:"coordinator"` // SHA-256 of the marblerun-coordinator binary
	Ledger            string       `json:"ledger"`

	RootFile     string                  `json:"root_file"` // MarbleRun's root certificate, PEM
	ObjectStore  string                  `json:"object_store"`
	Founders     []string                `json:"founders"`
	Witnesses    []Witness               `json:"witnesses,omitempty"`
	SignIn       *SignIn                 `json:"sign_in,omitempty"`
	MarbleRun    MarbleRunAddress        `json:"marblerun"`
	Coordinators []CoordinatorAddress    `json:"coordinators"`
	Workers      []WorkerAddress         `json:"workers"`
	Executables  map[string]canon.Digest `json:"executables"` // by name, as measured at setup
	Processes    []Process               `json:"processes"`   // as last started; they may have ended since

	Succeeds  string   `json:"succeeds,omitempty"`  // home of the mesh whose ledger this one takes over, or took
	Inherits  []string `json:"inherits,omitempty"`  // once it did: what manifests pin as mesh.inherits
	Successor string   `json:"successor,omitempty"` // home of the mesh that took this one's ledger over

	Elsewhere bool `json:"elsewhere,omitempty"` // other means run the processes, such as Docker Compose; this folder only says where they are
}

// Witness is where coordinators ask for cosignatures. Which ones they need, manifests say.
type Witness struct {
	Key string `json:"key"` // verifier key, NAME+HASH+KEY
	URL string `json:"url"`
}

// SignIn is how people sign in on the coordinators' pages, each at https://localhost and its own port. Which issuer counts for whom, manifests say.
type SignIn struct {
	Issuers  []Issuer  `json:"issuers" yaml:"issuers"`
	Personas []Persona `json:"personas,omitempty" yaml:"personas,omitempty"`
}

// Issuer is an identity provider, as a client of it.
type Issuer struct {
	Issuer           string `json:"issuer" yaml:"issuer"`
	ClientID         string `json:"client_id" yaml:"client_id"`
	ClientSecretFile string `json:"client_secret_file,omitempty" yaml:"client_secret_file,omitempty"`
}

// Persona is a made-up person who signs in by one click.
type Persona struct {
	Label    string `json:"label" yaml:"label"`
	Issuer   string `json:"issuer" yaml:"issuer"`
	ClientID string `json:"client_id" yaml:"client_id"`
	Subject  string `json:"subject" yaml:"subject"`
}

// Page is where a browser finds the pages of a coordinator: under a name, which its cookies and passkeys need, not an address.
func (c CoordinatorAddress) Page() string {
	_, port, err := net.SplitHostPort(c.API)
	if err != nil {
		return ""
	}
	return "https://" + net.JoinHostPort("localhost", port)
}

// MarbleRunAddress are MarbleRun's two APIs.
type MarbleRunAddress struct {
	Marbles string `json:"marbles"` // gRPC
	Clients string `json:"clients"` // HTTPS
}

// CoordinatorAddress are the addresses (host:port) of one of our coordinators.
type CoordinatorAddress struct {
	Name    string `json:"name"`
	API     string `json:"api"`               // people
	Mesh    string `json:"mesh"`              // workers
	Raft    string `json:"raft"`              // coordinators
	Flight  string `json:"flight,omitempty"`  // programs of people, Flight SQL
	Metrics string `json:"metrics,omitempty"` // whoever runs it
	Join    bool   `json:"join,omitempty"`    // it was not of the first ones: with an empty folder it waits to be called
}

// WorkerAddress is the address (host:port) of a worker.
type WorkerAddress struct {
	Name    string `json:"name"`
	Mesh    string `json:"mesh"`              // coordinators
	Metrics string `json:"metrics,omitempty"` // whoever runs it
}

// Pins are the parts of a collaboration's manifest that name this mesh.
func (s State) Pins() document.Mesh {
	return document.Mesh{
		Mode: s.Mode, MarbleRunManifest: string(s.MarbleRunManifest), RootCertificate: string(s.RootCertificate),
		Coordinator: string(s.Coordinator), Ledger: s.Ledger, Inherits: s.Inherits,
	}
}

// Mesh is a mesh on this machine. Its methods may be called at the same time.
type Mesh struct {
	home    string
	bin     string
	mu      sync.Mutex // guards state and running
	state   State
	running map[string]*child // started by this process
	started *starter
	unlock  func()
	options Options
}

// Open reads the mesh of a home folder, running or not. ErrNone when none was set up.
func Open(home string) (*Mesh, error) {
	home, err := filepath.Abs(home)
	if err != nil {
		return nil, fmt.Errorf("mesh: %w", err)
	}
	m := &Mesh{home: home, running: map[string]*child{}, unlock: func() {}}
	raw, err := os.ReadFile(m.path("mesh.json")) //nolint:gosec // G304: the folder is the user's choice
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("mesh: %w: %s has no mesh.json; `concordat up` makes one", ErrNone, home)
	}
	if err != nil {
		return nil, fmt.Errorf("mesh: %w", err)
	}
	if err := json.Unmarshal(raw, &m.state); err != nil {
		return nil, fmt.Errorf("mesh: %s: %w", m.path("mesh.json"), err)
	}
	return m, nil
}

// State is a copy of what the mesh is now.
func (m *Mesh) State() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.state
	s.Processes = slices.Clone(s.Processes)
	return s
}

func (m *Mesh) path(elem ...string) string {
	return filepath.Join(append([]string{m.home}, elem...)...)
}

// update changes the state and writes mesh.json, whole or not at all.
func (m *Mesh) update(change func(*State)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.state)
	raw, err := json.MarshalIndent(m.state, "", "  ")
	if err != nil {
		return fmt.Errorf("mesh: %w", err)
	}
	return writeFile(m.path("mesh.json"), append(raw, '\n'))
}

// writeFile replaces a file that only its owner may read.
func writeFile(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("mesh: %w", err)
	}
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return fmt.Errorf("mesh: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("mesh: %w", err)
	}
	return nil
}
