package server

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"

	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/marble"
	"concordat.dev/worker/follow"
)

// circle is the coordinators to which this worker announces itself: those of its configuration, and those that joined since, of which the others
// tell. Whom a connection reaches shows its certificate.
type circle struct {
	mu    sync.Mutex
	known map[string]bool
}

const (
	maxCircle = 64 // coordinators
	silentFor = time.Minute
)

// add says whether an address is new.
func (c *circle) add(address string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[string]bool{}
	}
	if address == "" || c.known[address] || len(c.known) >= maxCircle {
		return false
	}
	c.known[address] = true
	return true
}

func (c *circle) remove(address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, address)
}

// meet announces this worker to a coordinator from now on, for good where it is configured, and else until it was silent for a while.
func (s *Server) meet(ctx context.Context, address string, configured bool) {
	if s.circle.add(address) {
		s.done.Go(func() { s.announce(ctx, address, configured) })
	}
}

// announce tells one coordinator, again and again, that this worker is there.
func (s *Server) announce(ctx context.Context, address string, configured bool) {
	defer s.circle.remove(address)
	transport := &http.Transport{TLSClientConfig: s.identity.ClientTLS(marble.Coordinator), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	web, url := &http.Client{Transport: transport, Timeout: announceEvery}, "https://"+address
	client, log := concordatv1connect.NewCoordinatorServiceClient(web, url), concordatv1connect.NewFollowServiceClient(web, url)
	ledger, heard := "", time.Now()
	tick := time.NewTicker(announceEvery)
	defer tick.Stop()
	for configured || time.Since(heard) < silentFor {
		now := s.loader.Gate.Counts()
		told, err := client.Announce(ctx, connect.NewRequest(&concordatv1.AnnounceRequest{
			Worker: s.cfg.Worker, Address: cmp.Or(s.cfg.Announce, s.cfg.Listen), Loaded: s.loader.Loaded(),
			Running: uint32(now.Running), Queued: uint32(now.Queued), Slots: uint32(s.cfg.limits().Running), //nolint:gosec // not negative
		}))
		if err != nil && ctx.Err() == nil {
			s.log.Debug().Err(err).Str("coordinator", address).Msg("announce")
		}
		if err == nil {
			heard = time.Now()
			for _, other := range told.Msg.GetCoordinators() {
				s.meet(ctx, other, false)
			}
			if ledger, err = s.followed(ctx, log, ledger); err != nil && ctx.Err() == nil && !errors.Is(err, follow.ErrMoved) {
				s.log.Warn().Err(err).Str("coordinator", address).Msg("follow the log")
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
