package marble

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"concordat.dev/protocol/canon"
)

// ServerTLS serves marbles of wantType only: TLS 1.3, client certificate required.
func (id *Identity) ServerTLS(wantType string) *tls.Config {
	cfg := id.serverTLS(id.Certificate)
	cfg.ClientAuth = tls.RequireAnyClientCert // any, because VerifyConnection verifies it, by the same code as the client side
	cfg.VerifyConnection = id.accept(wantType, x509.ExtKeyUsageClientAuth)
	return cfg
}

// ClientTLS connects to marbles of wantType only and shows our own certificate: TLS 1.3.
func (id *Identity) ClientTLS(wantType string) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		Certificates:       []tls.Certificate{id.Certificate},
		InsecureSkipVerify: true, //nolint:gosec // G402: turns off the check of host names only; VerifyConnection checks chain and type
		VerifyConnection:   id.accept(wantType, x509.ExtKeyUsageServerAuth),
	}
}

// PublicTLS serves people: TLS 1.3 with our certificate and none of theirs. The root goes along, so that a client that knows
// only its digest can check the chain (see ClientConfig).
func (id *Identity) PublicTLS() *tls.Config {
	cert := id.Certificate
	cert.Certificate = id.Chain()
	return id.serverTLS(cert)
}

// serverTLS has no session tickets: every connection verifies its peer in full.
func (id *Identity) serverTLS(cert tls.Certificate) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{cert},
		SessionTicketsDisabled: true,
	}
}

func (id *Identity) accept(wantType string, usage x509.ExtKeyUsage) func(tls.ConnectionState) error {
	return func(cs tls.ConnectionState) error {
		return Verify(cs.PeerCertificates, id.Root, wantType, usage, time.Now())
	}
}

// ErrPin says that a server did not show the root certificate that the manifest pins.
var ErrPin = errors.New("server did not show the pinned root certificate")

// ClientConfig is for clients without a certificate of their own, such as a person's: it accepts a server of wantType whose chain
// ends in the root certificate of that digest, which the server itself has to show (PublicTLS does).
func ClientConfig(pin canon.Digest, wantType string) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, //nolint:gosec // G402: turns off the check of host names and system roots only; VerifyConnection checks pin, chain and type
		VerifyConnection: func(cs tls.ConnectionState) error {
			root := pinned(cs.PeerCertificates, pin)
			if root == nil {
				return fmt.Errorf("marble: %w %s: this is another mesh, or no mesh at all", ErrPin, pin)
			}
			return Verify(cs.PeerCertificates, root, wantType, x509.ExtKeyUsageServerAuth, time.Now())
		},
	}
}

// pinned looks from the end, where a chain has its root. The leaf itself is never taken for a root.
func pinned(chain []*x509.Certificate, pin canon.Digest) *x509.Certificate {
	for i := len(chain) - 1; i > 0; i-- {
		if canon.Sum(chain[i].Raw) == pin {
			return chain[i]
		}
	}
	return nil
}
