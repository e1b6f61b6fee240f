package attest_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgelesssys/marblerun/coordinator/clientapi"
	"github.com/edgelesssys/marblerun/coordinator/core"
	"github.com/edgelesssys/marblerun/coordinator/quote"
	"github.com/edgelesssys/marblerun/coordinator/recovery"
	"github.com/edgelesssys/marblerun/coordinator/rpc"
	"github.com/edgelesssys/marblerun/coordinator/seal"
	"github.com/edgelesssys/marblerun/coordinator/server"
	"github.com/edgelesssys/marblerun/coordinator/store/stdstore"
	"github.com/spf13/afero"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"concordat.dev/protocol/document"
	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/evidence/sgx/sgxtest"
	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/receipt"
	"concordat.dev/tools/attest"
)

// Measurements of the programs in these tests.
var (
	marbleRunID   = strings.Repeat("11", 32)
	coordinatorID = strings.Repeat("22", 32)
	workerID      = strings.Repeat("33", 32)
)

// marbleRun is MarbleRun's own core behind its own servers, with our manifest in force.
type marbleRun struct{ marbles, clients string }

func start(t *testing.T, validator quote.Validator, issuer quote.Issuer) marbleRun {
	t.Helper()
	log := zap.NewNop()
	store := stdstore.New(seal.NewNoEnclaveSealer(), afero.NewMemMapFs(), "")
	recover := recovery.NewSinglePartyRecovery()
	c, err := core.NewCore([]string{"localhost"}, validator, issuer, store, recover, log, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	api, err := clientapi.New(store, recover, c, log)
	if err != nil {
		t.Fatal(err)
	}
	tlsConfig, err := c.GetTLSConfig()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", tlsConfig)
	if err != nil {
		t.Fatal(err)
	}
	clients := &http.Server{Handler: server.CreateServeMux(api, nil, log), ReadHeaderTimeout: time.Minute}
	go func() { _ = clients.Serve(listener) }()
	t.Cleanup(func() { _ = clients.Close() })

	// As MarbleRun's server.RunMarbleServer, which cannot be stopped and replaces the logger of all gRPC.
	marbles := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13, GetCertificate: c.GetTLSMarbleRootCertificate, ClientAuth: tls.RequireAnyClientCert,
	})))
	rpc.RegisterMarbleServer(marbles, c)
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = marbles.Serve(socket) }()
	t.Cleanup(marbles.Stop)

	m := marbleRun{marbles: socket.Addr().String(), clients: listener.Addr().String()}
	manifest, err := marble.Manifest(marble.Measurements{Coordinator: coordinatorID, Worker: workerID})
	if err != nil {
		t.Fatal(err)
	}
	if err := marble.NewMarbleRun(m.clients).SetManifest(t.Context(), manifest); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m marbleRun) activate(t *testing.T, marbleType string, quote func([]byte) ([]byte, error)) (*marble.Identity, error) {
	t.Helper()
	return marble.Activate(t.Context(), marble.Config{
		CoordinatorAddr: m.marbles, ClientAddr: m.clients, Type: marbleType,
		DNSNames: []string{"localhost"}, UUIDFile: filepath.Join(t.TempDir(), "uuid"), Quote: quote,
	})
}

func hardware(t *testing.T) *attest.Hardware {
	t.Helper()
	h, err := attest.NewHardware()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestMarbleRunAdmitsByQuote(t *testing.T) {
	h := hardware(t)
	m := start(t, h, h.Enclave(marbleRunID, false))
	worker := h.Enclave(workerID, false)

	for marbleType, enclave := range map[string]attest.Enclave{marble.Worker: worker, marble.Coordinator: h.Enclave(coordinatorID, false)} {
		id, err := m.activate(t, marbleType, enclave.Issue)
		if err != nil {
			t.Fatalf("genuine %s: %v", marbleType, err)
		}
		if id.Type != marbleType || len(id.Secret) != 32 {
			t.Errorf("identity of %s: type %q, secret of %d bytes", marbleType, id.Type, len(id.Secret))
		}
	}

	kept, err := worker.Issue([]byte("the certificate of another process"))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		marbleType string
		quote      func([]byte) ([]byte, error)
		why        error
	}{
		"another binary":                  {marble.Worker, h.Enclave(strings.Repeat("34", 32), false).Issue, evidence.ErrMeasurement},
		"the binary of another type":      {marble.Worker, h.Enclave(coordinatorID, false).Issue, evidence.ErrMeasurement},
		"the worker as coordinator":       {marble.Coordinator, worker.Issue, evidence.ErrMeasurement},
		"a debug enclave":                 {marble.Worker, h.Enclave(workerID, true).Issue, evidence.ErrDebug},
		"other hardware":                  {marble.Worker, hardware(t).Enclave(workerID, false).Issue, evidence.ErrSignature},
		"a quote of another process":      {marble.Worker, func([]byte) ([]byte, error) { return kept, nil }, evidence.ErrData},
		"a tampered quote":                {marble.Worker, tampered(worker), evidence.ErrSignature},
		"nonsense":                        {marble.Worker, func([]byte) ([]byte, error) { return []byte("quote"), nil }, evidence.ErrMalformed},
		"no quote, as in simulation":      {marble.Worker, nil, evidence.ErrMalformed},
		"MarbleRun's own program as ours": {marble.Coordinator, h.Enclave(marbleRunID, false).Issue, evidence.ErrMeasurement},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := m.activate(t, tt.marbleType, tt.quote)
			if !errors.Is(err, marble.ErrNotAdmitted) || !strings.Contains(err.Error(), tt.why.Error()) {
				t.Errorf("got %v, want %v because %v", err, marble.ErrNotAdmitted, tt.why)
			}
		})
	}
}

// tampered changes what a genuine quote says and keeps its signature.
func tampered(worker attest.Enclave) func([]byte) ([]byte, error) {
	return func(certificate []byte) ([]byte, error) {
		q, err := worker.Issue(certificate)
		if err != nil {
			return nil, err
		}
		// The report travels in base64: another character of that alphabet changes what it says.
		i := bytes.Index(q, []byte(`"report":"`)) + len(`"report":"`) + 20
		if q[i] == 'A' {
			q[i] = 'B'
		} else {
			q[i] = 'A'
		}
		return q, nil
	}
}

// What a participant does before trusting a mesh: MarbleRun's quote is over the very root that its certificates end in.
func TestMarbleRunQuotesItsRoot(t *testing.T) {
	h := hardware(t)
	roots, err := marble.NewMarbleRun(start(t, h, h.Enclave(marbleRunID, false)).clients).Roots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	check := func(certificate []byte, measurement string) error {
		return h.Validate(roots.Quote, certificate, quote.PackageProperties{UniqueID: measurement}, quote.InfrastructureProperties{})
	}
	if err := check(roots.Root.Raw, marbleRunID); err != nil {
		t.Error(err)
	}
	if err := check(roots.Intermediate.Raw, marbleRunID); !errors.Is(err, evidence.ErrData) {
		t.Errorf("another certificate: %v", err)
	}
	if err := check(roots.Root.Raw, workerID); !errors.Is(err, evidence.ErrMeasurement) {
		t.Errorf("another program: %v", err)
	}
}

// A quote in SGX's own format, from a platform of the test's: what MarbleRun's core asked to have quoted is what clients and receipts check
// in mode sgx, down to the last byte. Marbles are not admitted here: that needs a validator of the same format, which EGo has on hardware.
func TestMarbleRunsSGXQuoteIsWhatReceiptsCheck(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	platform := sgxtest.New(t, now.AddDate(0, 0, -1))
	program, err := hex.DecodeString(marbleRunID)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := marble.NewMarbleRun(start(t, hardware(t), sgxIssuer{t, platform, [32]byte(program)}).clients).Roots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	collateral, err := platform.Collateral(t).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	attested := func(measurement string, certificate []byte) receipt.Status {
		status, detail, err := receipt.Attested(document.Mesh{Mode: "sgx", Coordinator: "sha256:" + measurement}, certificate,
			[]evidence.Evidence{{Kind: evidence.SGX, Report: roots.Quote, Collateral: collateral}}, []evidence.Verifier{platform.Verifier()}, now)
		t.Log(status, detail, err)
		return status
	}
	if attested(marbleRunID, roots.Root.Raw) != receipt.Proved || attested(workerID, roots.Root.Raw) != receipt.Failed || attested(marbleRunID, roots.Intermediate.Raw) != receipt.Failed {
		t.Error("the quote of MarbleRun's core proves too little, or too much")
	}
}

// sgxIssuer quotes as EGo's does: SHA-256 of the certificate, behind Open Enclave's header.
type sgxIssuer struct {
	t        *testing.T
	platform *sgxtest.Platform
	program  [32]byte
}

func (i sgxIssuer) Issue(certificate []byte) ([]byte, error) {
	sum := sha256.Sum256(certificate)
	q := i.platform.Quote(i.t, sgxtest.Enclave{Measurement: i.program, Data: sum[:]})
	return append(binary.LittleEndian.AppendUint64([]byte{1, 0, 0, 0, 2, 0, 0, 0}, uint64(len(q))), q...), nil
}

// What simulation means, by MarbleRun's own code: it asks for no quote and looks at none (coordinator/core, verifyManifestRequirement).
func TestSimulationAdmitsAnything(t *testing.T) {
	m := start(t, quote.NewFailValidator(), quote.NewFailIssuer())
	for name, q := range map[string]func([]byte) ([]byte, error){
		"no quote": nil,
		"nonsense": func([]byte) ([]byte, error) { return []byte("quote"), nil },
		"another":  hardware(t).Enclave(coordinatorID, true).Issue,
	} {
		if _, err := m.activate(t, marble.Worker, q); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	roots, err := marble.NewMarbleRun(m.clients).Roots(t.Context())
	if err != nil || len(roots.Quote) != 0 {
		t.Errorf("quote of %d bytes, %v; simulation must show as no quote", len(roots.Quote), err)
	}
}
