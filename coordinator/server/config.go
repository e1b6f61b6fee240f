// Package server wires one coordinator process: configuration, marble identity, raft, object store, the calls of people and of
// workers. It decides nothing.
//
// Invariant: nothing is served before the process holds its marble identity and has caught up with its own log.
//
// Sees: metadata
package server

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/rs/zerolog"

	"concordat.dev/observe"
	"concordat.dev/protocol/key"
)

// Config is all that a coordinator is told. It is read strictly: an unknown or repeated key is an error with line and column.
// What MarbleRun injects (its address, the marble's type and UUID file, the DNS names of its certificate) comes from the EDG_* environment.
//
//	node: c1
//	data_dir: /var/lib/concordat/c1
//	object_store: file:///var/lib/concordat/objects
//	mode: simulation
//	listen: {raft: "127.0.0.1:7101", mesh: "127.0.0.1:7201", api: "127.0.0.1:7301"}
//	voters:
//	  - {name: c1, raft: "127.0.0.1:7101"}
//	  - {name: c2, raft: "127.0.0.1:7102"}
//	  - {name: c3, raft: "127.0.0.1:7103"}
//	founders: ["ed25519:…"]
//	mesh: {marblerun_manifest: "sha256:…", coordinator: "sha256:…"}
//	witnesses:
//	  - {key: "clinic.example/witness+74703649+B…", url: "https://witness.clinic.example"}
type Config struct {
	// Node is this process's name among the voters. It is for people; nodes prove themselves by their key.
	Node string `yaml:"node"`
	// DataDir holds the node key (sealed), the log and the snapshots (encrypted). It belongs to this process alone.
	DataDir string `yaml:"data_dir"`
	// ObjectStore is a URL that all coordinators and workers share: file:///DIR, s3://BUCKET?region=… (other servers than Amazon's: endpoint,
	// use_path_style), azblob://CONTAINER. Credentials are found as the SDKs of S3 and Azure find them. S3 is tested against a server on the same
	// machine, Azure against Azurite.
	ObjectStore string `yaml:"object_store"`
	// Mode is what the mesh runs on: "simulation" protects nothing from the host, "sgx" is hardware.
	Mode string `yaml:"mode"`
	// Listen are the addresses that it serves on.
	Listen Listen `yaml:"listen"`
	// Announce is the host:port at which other coordinators reach listen.raft, as voters and signed changes name this node: listen.raft itself
	// when empty. It is needed where that is 0.0.0.0, or another address than others see.
	Announce string `yaml:"announce,omitempty"`
	// Voters are the coordinators that replicate the state, the same list and order everywhere. The first one starts the cluster.
	Voters []Voter `yaml:"voters,omitempty"`
	// Join has this node wait until the leader of a running ledger calls it, which organisations have to sign (`concordat node join`); voters
	// then count for nothing and may be missing. With a state on its disk it changes nothing.
	Join bool `yaml:"join,omitempty"`
	// Recover has this node wait for a signed recovery before it takes part in anything (`concordat node recover`). Take it out afterwards.
	Recover bool `yaml:"recover,omitempty"`
	// Founders are the keys that may propose a manifest where none is active yet ("ed25519:…" or "ssh-ed25519 …"). They count when the ledger is
	// founded; later changes of this list change nothing.
	Founders []string `yaml:"founders,omitempty"`
	// AwaitsHandover makes a new cluster wait for the ledger of another mesh instead of founding one. It does not matter later.
	AwaitsHandover bool `yaml:"awaits_handover,omitempty"`
	// Mesh is what the running mesh is; manifests that pin another one are refused.
	Mesh Mesh `yaml:"mesh,omitempty"`
	// Witnesses are those that can be asked to cosign the log. Who has to, and how many, each manifest says; their time then is that
	// of its budgets.
	Witnesses []Witness `yaml:"witnesses,omitempty"`
	// WitnessTimeout is how long a query waits for their quorum before it is refused: 10s when zero.
	WitnessTimeout time.Duration `yaml:"witness_timeout,omitempty" default:"10s"`
	// SignIn is how people sign in on pages; without it nobody can, and the pages say so.
	SignIn *SignIn `yaml:"sign_in,omitempty"`
	// Time is the source of the state machine's own time: "host", or empty for the same.
	Time string `yaml:"time,omitempty" default:"host"`
	// Election is how long a leader may be silent before the others choose another one: 1s when empty, more between distant sites (50ms to 1m).
	Election time.Duration `yaml:"election,omitempty" default:"1s"`
	// Metrics says where this process tells of itself to whoever runs it (docs/METRICS.md): nowhere when it is left out.
	Metrics *observe.Metrics `yaml:"metrics,omitempty"`
	// Tracing says where traces of requests go: nowhere when it is left out. They hold ids alone.
	Tracing *observe.Tracing `yaml:"tracing,omitempty"`
	// LogLevel is debug, info (default), warn or error.
	LogLevel string `yaml:"log_level,omitempty" default:"info"`
}

// Listen are the addresses host:port that a coordinator serves on.
type Listen struct {
	Raft string `yaml:"raft"` // host:port for coordinators, mutual TLS
	Mesh string `yaml:"mesh"` // host:port for workers' announcements, mutual TLS
	API  string `yaml:"api"`  // host:port for people, TLS; also /healthz and /readyz
	// Flight is host:port for programs of people that speak Arrow Flight SQL, TLS; without it they are not served.
	Flight string `yaml:"flight,omitempty"`
}

// Voter is one coordinator of the cluster. Key, its node key ("ed25519:…"), is learnt over mutual TLS at the first start when empty.
type Voter struct {
	Name string `yaml:"name"`          // of a voter, each once
	Raft string `yaml:"raft"`          // host:port of its listen.raft, or what it announces
	Key  string `yaml:"key,omitempty"` // its node key; learnt over mutual TLS at the first start when empty
}

// Mesh are the digests that a manifest pins, apart from the root certificate, which the marble identity carries.
type Mesh struct {
	// MarbleRunManifest is sha256:… of the MarbleRun manifest as it was set. When given, the process refuses to start in another mesh; when
	// empty, it takes what MarbleRun runs.
	MarbleRunManifest string `yaml:"marblerun_manifest,omitempty"`
	Coordinator       string `yaml:"coordinator,omitempty"` // measurement of MarbleRun's coordinator, as manifests pin it
}

// Load reads and checks the configuration in a file.
func Load(path string) (Config, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return Config{}, fmt.Errorf("server: read configuration: %w", err)
	}
	var c Config
	dec := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict(), yaml.DisallowUnknownField())
	if err := dec.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, fmt.Errorf("server: configuration %s: %w", path, err)
	}
	if err := c.check(); err != nil {
		return Config{}, fmt.Errorf("server: configuration %s: %w", path, err)
	}
	return c, nil
}

func (c Config) check() error {
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	need(c.Node != "", "node: name this process, as in voters")
	need(c.DataDir != "", "data_dir: name a directory that belongs to this process alone")
	need(c.ObjectStore != "", "object_store: give a URL such as file:///var/lib/concordat/objects")
	_, err := zerolog.ParseLevel(c.LogLevel)
	need(err == nil, "log_level: %q is none of debug, info, warn, error", c.LogLevel)
	need(c.Mode == "simulation" || c.Mode == "sgx", "mode: %q is neither simulation nor sgx", c.Mode)
	need(c.Time == "" || c.Time == "host", "time: %q is not a known source; use host", c.Time)
	for _, l := range []struct{ name, address string }{
		{"listen.raft", c.Listen.Raft}, {"listen.mesh", c.Listen.Mesh}, {"listen.api", c.Listen.API},
	} {
		_, _, err := net.SplitHostPort(l.address)
		need(err == nil, "%s: %q is not host:port", l.name, l.address)
	}
	if c.Announce != "" {
		_, _, err := net.SplitHostPort(c.Announce)
		need(err == nil, "announce: %q is not host:port", c.Announce)
	}
	if c.Listen.Flight != "" {
		_, _, err := net.SplitHostPort(c.Listen.Flight)
		need(err == nil, "listen.flight: %q is not host:port", c.Listen.Flight)
	}
	need(c.Election == 0 || c.Election >= 50*time.Millisecond && c.Election <= time.Minute, "election: %s is not from 50ms to 1m", c.Election)
	need(c.WitnessTimeout >= 0 && c.WitnessTimeout <= time.Minute, "witness_timeout: %s is not from 0s to 1m", c.WitnessTimeout)
	known := map[string]bool{}
	for i, w := range c.Witnesses {
		err := w.check()
		need(err == nil, "witnesses[%d]: %w", i, err)
		need(!known[w.Key], "witnesses[%d].key: named twice", i)
		known[w.Key] = true
	}
	if c.SignIn != nil {
		err := c.SignIn.check(c.Mode)
		need(err == nil, "sign_in: %w", err)
	}
	if err := c.Metrics.Check(); err != nil {
		errs = append(errs, fmt.Errorf("metrics.%w", err))
	}
	if err := c.Tracing.Check(); err != nil {
		errs = append(errs, fmt.Errorf("tracing.%w", err))
	}
	self := false
	seen := map[string]bool{}
	for i, v := range c.Voters {
		_, _, err := net.SplitHostPort(v.Raft)
		need(err == nil, "voters[%d].raft: %q is not host:port", i, v.Raft)
		need(v.Name != "" && !seen[v.Name], "voters[%d].name: %q is empty or not the only one", i, v.Name)
		seen[v.Name] = true
		self = self || v.Name == c.Node
	}
	need(self || c.Join || c.Recover, "voters: none is named %q, this node; one that joins a running ledger says `join: true`", c.Node)
	for i, f := range c.Founders {
		_, err := key.ParsePublic(f)
		need(err == nil, "founders[%d]: %w", i, err)
	}
	return errors.Join(errs...)
}

// announced is where other coordinators reach this one.
func (c Config) announced() string { return cmp.Or(c.Announce, c.Listen.Raft) }

// workers is where workers reach this node: listen.mesh, on the host that the node announces where listen.mesh is on all of them.
func (c Config) workers() string {
	host, port, err := net.SplitHostPort(c.Listen.Mesh)
	if ip := net.ParseIP(host); err != nil || host != "" && (ip == nil || !ip.IsUnspecified()) {
		return c.Listen.Mesh
	}
	if host, _, err = net.SplitHostPort(c.announced()); err != nil {
		return c.Listen.Mesh
	}
	return net.JoinHostPort(host, port)
}
