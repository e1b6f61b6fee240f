// Command marble stands in for coordinator and worker in the tests of package mesh: it activates at the real MarbleRun, serves and
// calls over its TLS configurations, and does nothing else. Which of the two it is, MarbleRun's environment says.
package main

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"connectrpc.com/connect"
	"github.com/goccy/go-yaml"

	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/marble"
)

// build makes the two binaries differ.
var build string

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "marble (%s): %v\n", build, err)
		os.Exit(1)
	}
}

func run() error {
	file := flag.String("config", "", "configuration")
	flag.Parse()
	if os.Getenv("TEST_MARBLE_FAIL") == filepath.Base(filepath.Dir(*file)) {
		return fmt.Errorf("told to fail")
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	text, err := os.ReadFile(*file)
	if err != nil {
		return err
	}
	cfg, err := marble.ConfigFromEnv(os.Getenv)
	if err != nil {
		return err
	}
	id, err := marble.Activate(ctx, cfg)
	if err != nil {
		return err
	}
	if cfg.Type == marble.Worker {
		return work(ctx, id, text)
	}
	return coordinate(ctx, id, text)
}

type coordinator struct {
	concordatv1connect.UnimplementedAdminServiceHandler
	concordatv1connect.UnimplementedCoordinatorServiceHandler
	mu      sync.Mutex
	ledger  string
	workers map[string]string
}

// Status gives a ledger id that only marbles with this mesh's secret can know.
func (c *coordinator) Status(context.Context, *connect.Request[concordatv1.StatusRequest]) (*connect.Response[concordatv1.StatusResponse], error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := &concordatv1.StatusResponse{Ledger: c.ledger, Leader: "coordinator-1"}
	for id, address := range c.workers {
		out.Workers = append(out.Workers, &concordatv1.Worker{Id: id, Address: address, Ready: true})
	}
	return connect.NewResponse(out), nil
}

func (c *coordinator) Announce(_ context.Context, req *connect.Request[concordatv1.AnnounceRequest]) (*connect.Response[concordatv1.AnnounceResponse], error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.workers[req.Msg.GetWorker()] = req.Msg.GetAddress()
	return connect.NewResponse(&concordatv1.AnnounceResponse{}), nil
}

func coordinate(ctx context.Context, id *marble.Identity, text []byte) error {
	var cfg struct {
		Listen struct{ Mesh, API string }
	}
	if err := yaml.Unmarshal(text, &cfg); err != nil {
		return err
	}
	ledger, err := id.Derive("test/ledger", 16)
	if err != nil {
		return err
	}
	c := &coordinator{ledger: hex.EncodeToString(ledger), workers: map[string]string{}}
	admin, announce := http.NewServeMux(), http.NewServeMux()
	admin.Handle(concordatv1connect.NewAdminServiceHandler(c))
	announce.Handle(concordatv1connect.NewCoordinatorServiceHandler(c))
	failed := make(chan error, 2)
	for address, server := range map[string]*http.Server{
		cfg.Listen.API:  {Handler: admin, TLSConfig: id.PublicTLS()},
		cfg.Listen.Mesh: {Handler: announce, TLSConfig: id.ServerTLS(marble.Worker)},
	} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		go func() { failed <- server.ServeTLS(l, "", "") }()
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

func work(ctx context.Context, id *marble.Identity, text []byte) error {
	var cfg struct {
		Worker, Listen string
		Coordinators   []string
	}
	if err := yaml.Unmarshal(text, &cfg); err != nil {
		return err
	}
	l, err := tls.Listen("tcp", cfg.Listen, id.ServerTLS(marble.Coordinator))
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: id.ClientTLS(marble.Coordinator), ForceAttemptHTTP2: true}}
	for every := time.NewTicker(20 * time.Millisecond); ; {
		for _, address := range cfg.Coordinators {
			c := concordatv1connect.NewCoordinatorServiceClient(client, "https://"+address)
			_, _ = c.Announce(ctx, connect.NewRequest(&concordatv1.AnnounceRequest{Worker: cfg.Worker, Address: cfg.Listen}))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
	}
}
