package marble

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	marblerunv1 "concordat.dev/protocol/gen/marblerun/v1"
)

// activateProcedure is the path of MarbleRun's only call for marbles.
const activateProcedure = "/rpc.Marble/Activate"

// activationValidity bounds the throw-away certificate that a marble shows while it activates.
const activationValidity = time.Hour

// Config says how to activate. ConfigFromEnv reads it from the variables that MarbleRun defines.
type Config struct {
	CoordinatorAddr string   // of MarbleRun's marble API (gRPC)
	ClientAddr      string   // of MarbleRun's client API (HTTPS), which has the intermediate certificate
	Type            string   // Coordinator or Worker
	DNSNames        []string // names and addresses for the certificate
	UUIDFile        string   // where this marble keeps its UUID; made when missing

	// Quote gives the enclave's evidence over a certificate (DER); under Gramine ConfigFromEnv sets it. Nil stands for simulation: MarbleRun then gets an empty quote,
	// as from its own marbles without an enclave, and accepts it only if it runs in simulation itself.
	Quote func(certificate []byte) ([]byte, error)
}

// ConfigFromEnv reads EDG_MARBLE_COORDINATOR_ADDR, EDG_MARBLE_TYPE, EDG_MARBLE_DNS_NAMES, EDG_MARBLE_UUID_FILE, and
// EDG_COORDINATOR_CLIENT_ADDR, all of them MarbleRun's own names and with its defaults.
func ConfigFromEnv(getenv func(string) string) (Config, error) {
	or := func(name, fallback string) string {
		if v := getenv(name); v != "" {
			return v
		}
		return fallback
	}
	cfg := Config{
		CoordinatorAddr: or("EDG_MARBLE_COORDINATOR_ADDR", "localhost:2001"),
		ClientAddr:      or("EDG_COORDINATOR_CLIENT_ADDR", "localhost:4433"),
		Type:            getenv("EDG_MARBLE_TYPE"),
		DNSNames:        strings.Split(or("EDG_MARBLE_DNS_NAMES", "localhost"), ","),
		UUIDFile:        or("EDG_MARBLE_UUID_FILE", "uuid"),
		Quote:           gramineQuote(attestation),
	}
	if cfg.Type != Coordinator && cfg.Type != Worker {
		return Config{}, fmt.Errorf("marble: EDG_MARBLE_TYPE is %q; set it to %q or %q", cfg.Type, Coordinator, Worker)
	}
	return cfg, nil
}

// Activate joins the mesh: it sends quote and certificate request to MarbleRun and turns the answer into an Identity, whose chain
// it completes and verifies. MarbleRun itself is not authenticated here, as in MarbleRun's own marbles: whether this is the mesh
// that participants signed for shows in the root, which they pin.
func Activate(ctx context.Context, cfg Config) (*Identity, error) {
	id, err := activate(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("marble: activate as %q at MarbleRun %s: %w", cfg.Type, cfg.CoordinatorAddr, err)
	}
	return id, nil
}

func activate(ctx context.Context, cfg Config) (*Identity, error) {
	uuid, err := loadUUID(cfg.UUIDFile)
	if err != nil {
		return nil, err
	}
	req, cert, err := request(cfg, uuid)
	if err != nil {
		return nil, err
	}
	params, err := call(ctx, cfg.CoordinatorAddr, cert, req)
	if err != nil {
		return nil, err
	}
	given, err := readParameters(params.GetEnv())
	if err != nil {
		return nil, err
	}
	mesh := NewMarbleRun(cfg.ClientAddr)
	roots, err := mesh.Roots(ctx)
	if err != nil {
		return nil, err
	}
	id, err := given.identity(cfg.Type, uuid, roots)
	if err != nil {
		return nil, err
	}
	id.Manifest, err = mesh.Manifest(ctx, id.Root)
	return id, err
}

// request makes key, self-signed certificate (the quote is over it, and TLS proves that we hold its key) and signing request.
func request(cfg Config, uuid string) (*marblerunv1.ActivationRequest, tls.Certificate, error) {
	names, addrs := splitNames(cfg.DNSNames)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, tls.Certificate{}, fmt.Errorf("generate key: %w", err)
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "MarbleRun Marble"},
		NotBefore:    now.Add(-activationValidity), NotAfter: now.Add(activationValidity),
		DNSNames: names, IPAddresses: addrs,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, tls.Certificate{}, fmt.Errorf("make certificate: %w", err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: names, IPAddresses: addrs}, key)
	if err != nil {
		return nil, tls.Certificate{}, fmt.Errorf("make certificate request: %w", err)
	}
	quote := []byte{}
	if cfg.Quote != nil {
		if quote, err = cfg.Quote(cert); err != nil {
			return nil, tls.Certificate{}, fmt.Errorf("quote: %w", err)
		}
	}
	req := &marblerunv1.ActivationRequest{Quote: quote, Csr: csr, MarbleType: cfg.Type, Uuid: uuid}
	return req, tls.Certificate{Certificate: [][]byte{cert}, PrivateKey: key}, nil
}

// call speaks gRPC through Connect, so that grpc-go and what it needs stay out of our modules.
func call(ctx context.Context, addr string, cert tls.Certificate, req *marblerunv1.ActivationRequest) (*marblerunv1.Parameters, error) {
	transport := &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{
			MinVersion:         tls.VersionTLS13,
			Certificates:       []tls.Certificate{cert},
			InsecureSkipVerify: true, //nolint:gosec // G402: see Activate, the root pin is what authenticates MarbleRun
		},
	}
	defer transport.CloseIdleConnections()
	client := connect.NewClient[marblerunv1.ActivationRequest, marblerunv1.ActivationResponse](
		&http.Client{Transport: transport}, "https://"+addr+activateProcedure, connect.WithGRPC())
	resp, err := client.CallUnary(ctx, connect.NewRequest(req))
	if err != nil {
		return nil, refused(err)
	}
	return resp.Msg.GetParameters(), nil
}

// ErrNoManifest says that MarbleRun has no manifest yet, so that no marble can activate.
var ErrNoManifest = errors.New("MarbleRun has no manifest yet")

// ErrNotAdmitted says that MarbleRun turned the marble down: unknown type, or evidence that its manifest does not accept.
var ErrNotAdmitted = errors.New("MarbleRun did not admit this marble")

func refused(err error) error {
	switch connect.CodeOf(err) {
	case connect.CodeFailedPrecondition:
		return fmt.Errorf("%w: %w", ErrNoManifest, err)
	case connect.CodePermissionDenied, connect.CodeUnauthenticated:
		return fmt.Errorf("%w: %w", ErrNotAdmitted, err)
	}
	return err
}

// splitNames tells names from addresses; the loopback addresses are always in, as in MarbleRun's own marbles.
func splitNames(all []string) (names []string, addrs []net.IP) {
	addrs = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	for _, n := range all {
		if ip := net.ParseIP(n); ip != nil {
			addrs = append(addrs, ip)
		} else if n != "" {
			names = append(names, n)
		}
	}
	return names, addrs
}
