// Package server wires one worker process: configuration, marble identity, engine, object store, and the calls that coordinators make.
// It decides nothing.
//
// Invariant: nothing is served before the process holds its marble identity, and only coordinators of the same mesh are served.
//
// Sees: plaintext rows (it hands them on)
package server

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/goccy/go-yaml"
	"github.com/rs/zerolog"

	"concordat.dev/observe"
	"concordat.dev/worker/admission"
)

// Config is all that a worker is told. It is read strictly: an unknown or repeated key is an error with line and column. What
// MarbleRun injects (its address, the marble's type and UUID file, the DNS names of its certificate) comes from the EDG_* environment.
//
//	worker: w1
//	data_dir: /var/lib/concordat/w1
//	object_store: file:///var/lib/concordat/objects
//	mode: simulation
//	listen: 127.0.0.1:7401
//	coordinators: ["127.0.0.1:7201", "127.0.0.1:7202", "127.0.0.1:7203"]
//	mesh: {marblerun_manifest: "sha256:…", coordinator: "sha256:…"}
type Config struct {
	// Worker is this process's name, for people.
	Worker string `yaml:"worker"`
	// DataDir belongs to this process alone. What was seen of ledgers is kept there, sealed; without a folder it is forgotten when the
	// process ends. Nothing in clear is ever written there.
	DataDir string `yaml:"data_dir,omitempty"`
	// ObjectStore is the URL that all coordinators and workers share, as in the coordinators' configuration.
	ObjectStore string `yaml:"object_store"`
	// Mode is what the mesh runs on: "simulation" protects nothing from the host, "sgx" is hardware.
	Mode string `yaml:"mode"`
	// Listen is the address host:port for coordinators, mutual TLS. It is also what the worker announces where announce is empty.
	Listen string `yaml:"listen"`
	// Announce is the host:port at which coordinators reach listen: listen itself when empty. It is needed where that is 0.0.0.0, or another
	// address than they see.
	Announce string `yaml:"announce,omitempty"`
	// Coordinators are the listen.mesh addresses of the coordinators, to which this worker announces itself.
	Coordinators []string `yaml:"coordinators"`
	// Mesh is what the running mesh is; documents that pin another one are refused.
	Mesh Mesh `yaml:"mesh,omitempty"`
	// Collateral is a file of what Intel says of the machine that MarbleRun runs on (`concordat mesh collateral`), for receipts; mode sgx,
	// to be renewed every month.
	Collateral string `yaml:"collateral,omitempty"`
	// Memory is what loaded datasets and running queries may take, such as "8GB" or "512MiB"; empty: four fifths of what the machine, or
	// the process's cgroup, has. `concordat up` divides four fifths of the machine among its workers. Memory for taking data in, up to 2 GB
	// for each of two at once and at most half of all, is set aside from it.
	Memory string `yaml:"memory,omitempty" default:"four fifths"`
	// Queries is how many run at once; 0: two a thread.
	Queries int `yaml:"queries,omitempty" default:"two a thread"`
	// Queue is how many may wait for their turn; 0: 256. More are turned away, to other workers or until later.
	Queue int `yaml:"queue,omitempty" default:"256"`
	// Threads is the number of the engine's threads; 0: one a core.
	Threads int `yaml:"threads,omitempty" default:"one a core"`
	// Metrics says where this process tells of itself to whoever runs it (docs/METRICS.md): nowhere when it is left out.
	Metrics *observe.Metrics `yaml:"metrics,omitempty"`
	// Tracing says where traces of requests go: nowhere when it is left out. They hold ids alone.
	Tracing *observe.Tracing `yaml:"tracing,omitempty"`
	// LogLevel is debug, info (default), warn or error.
	LogLevel string `yaml:"log_level,omitempty" default:"info"`
	// Vaults is the file of vaults that have to release keys (--vaults). It comes by the command line, which an enclave measures, and not from
	// this file, which the operator writes. Empty: none.
	Vaults string `yaml:"-"`
}

// Mesh are the digests that a manifest pins, apart from the root certificate, which the marble identity carries.
type Mesh struct {
	MarbleRunManifest string `yaml:"marblerun_manifest,omitempty"` // sha256:… of the MarbleRun manifest as it was set, as for coordinators
	Coordinator       string `yaml:"coordinator,omitempty"`        // measurement of MarbleRun's coordinator, as manifests pin it
}

// Load reads and checks the configuration in a file.
func Load(path string) (Config, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return Config{}, fmt.Errorf("worker: read configuration: %w", err)
	}
	var c Config
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict(), yaml.DisallowUnknownField()).Decode(&c); err != nil {
		return Config{}, fmt.Errorf("worker: configuration %s: %w", path, err)
	}
	if err := c.check(); err != nil {
		return Config{}, fmt.Errorf("worker: configuration %s: %w", path, err)
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
	need(c.Worker != "", "worker: name this process")
	need(c.ObjectStore != "", "object_store: give a URL such as file:///var/lib/concordat/objects")
	_, err := zerolog.ParseLevel(c.LogLevel)
	need(err == nil, "log_level: %q is none of debug, info, warn, error", c.LogLevel)
	need(c.Mode == "simulation" || c.Mode == "sgx", "mode: %q is neither simulation nor sgx", c.Mode)
	need(len(c.Coordinators) > 0, "coordinators: give the addresses of the coordinators")
	need(c.Threads >= 0, "threads: %d is negative", c.Threads)
	need(c.Queries >= 0, "queries: %d is negative", c.Queries)
	need(c.Queue >= 0, "queue: %d is negative", c.Queue)
	if c.Memory != "" {
		_, err := admission.ParseBytes(c.Memory)
		need(err == nil, "memory: %v", err)
	}
	if err := c.Metrics.Check(); err != nil {
		errs = append(errs, fmt.Errorf("metrics.%w", err))
	}
	if err := c.Tracing.Check(); err != nil {
		errs = append(errs, fmt.Errorf("tracing.%w", err))
	}
	addresses := append([]string{c.Listen}, c.Coordinators...)
	if c.Announce != "" {
		addresses = append(addresses, c.Announce)
	}
	for _, a := range addresses {
		_, _, err := net.SplitHostPort(a)
		need(err == nil, "%q is not host:port", a)
	}
	return errors.Join(errs...)
}
