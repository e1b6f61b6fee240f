package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
)

// Ready asks the coordinator that runs by a configuration on this machine whether it can decide now. It is for health checks, which trust
// their own machine: the certificate is not checked.
func Ready(ctx context.Context, cfg Config) error {
	host, port, err := net.SplitHostPort(cfg.Listen.API)
	if err != nil {
		return fmt.Errorf("server: listen.api: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}} //nolint:gosec // G402: see above
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return fmt.Errorf("server: ask %s: %w", cfg.Node, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusNoContent {
		return fmt.Errorf("server: %s is not ready: %s", cfg.Node, response.Status)
	}
	return nil
}
