package server

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"sync"

	"connectrpc.com/connect"
	"github.com/rs/zerolog"

	"concordat.dev/coordinator/api"
	"concordat.dev/coordinator/listen"
	"concordat.dev/coordinator/raft"
	"concordat.dev/coordinator/seal"
	"concordat.dev/coordinator/state"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/membership"
)

// Recover waits with the disk of a coordinator until a recovery is handed in that organisations signed, and has a new cluster begin from it:
// from what the disk holds, or, where it holds nothing, from a backup. Meanwhile it tells what it holds, and does nothing else. The context
// ends the wait.
func Recover(ctx context.Context, cfg Config, identity *marble.Identity, log zerolog.Logger) error {
	if err := recoverDisk(ctx, cfg, identity, log); err != nil {
		return fmt.Errorf("server: recover %s: %w", cfg.Node, err)
	}
	return nil
}

func recoverDisk(ctx context.Context, cfg Config, identity *marble.Identity, log zerolog.Logger) (err error) {
	root, err := seal.NewRoot(identity.Secret)
	if err != nil {
		return err
	}
	r := &recovery{cfg: cfg, root: root, log: log, state: state.New(), done: make(chan struct{})}
	if r.disk, err = raft.OpenDisk(raft.DiskConfig{DataDir: cfg.DataDir, Root: root, Logger: log}, r.state); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.disk.Close()) }()
	l, err := net.Listen("tcp", cfg.Listen.API)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "waits for a signed recovery", http.StatusServiceUnavailable)
	})
	mux.Handle(concordatv1connect.NewNodeServiceHandler(r, connect.WithReadMaxBytes(maxRecover)))
	l = listen.Bounded(l, maxConnections)
	h := &http.Server{
		Handler: listen.Steady(listen.People, mux), TLSConfig: identity.PublicTLS(), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaders,
		ErrorLog:       stdlog.New(log.With().Str("listener", cfg.Listen.API).Logger(), "", 0),
	}
	failed := make(chan error, 1)
	go func() { failed <- h.ServeTLS(l, "", "") }()
	log.Warn().Str("node", r.disk.Key().String()).Bool("empty", r.disk.Empty()).Msg("this coordinator waits for a recovery that all participants signed")
	select {
	case <-ctx.Done():
		err = ctx.Err()
	case err = <-failed:
	case <-r.done:
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	return errors.Join(err, h.Shutdown(stop))
}

// recovery is a coordinator that waits. It does not implement the other calls.
type recovery struct {
	concordatv1connect.UnimplementedNodeServiceHandler
	cfg   Config
	root  seal.Root
	log   zerolog.Logger
	state *state.Machine

	mu   sync.Mutex // guards the disk
	disk *raft.Disk
	once sync.Once
	done chan struct{}
}

// Self implements NodeService.
func (r *recovery) Self(context.Context, *connect.Request[concordatv1.SelfRequest]) (*connect.Response[concordatv1.SelfResponse], error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := &concordatv1.SelfResponse{Detail: "its folder is empty: bring a backup"}
	if !r.disk.Empty() {
		var err error
		if out, err = api.Describe(r.state); err != nil {
			return nil, err
		}
		out.Detail = "its disk holds this ledger"
	}
	out.Node, out.Address, out.Phase = r.disk.Key().String(), r.cfg.announced(), api.PhaseRecovering
	return connect.NewResponse(out), nil
}

// Recover implements NodeService.
func (r *recovery) Recover(_ context.Context, in *connect.ClientStream[concordatv1.RecoverChunk]) (*connect.Response[concordatv1.RecoverResponse], error) {
	done, err := r.take(in)
	if err != nil {
		r.log.Warn().Err(err).Msg("a recovery was refused")
		return nil, fault.Connect(err)
	}
	r.log.Warn().Int64("leaf", done.Index).Int("voters", len(done.Said().Voters)).Msg("the ledger goes on from a signed recovery")
	r.once.Do(func() { close(r.done) })
	return connect.NewResponse(&concordatv1.RecoverResponse{Index: done.Index}), nil
}

func (r *recovery) take(in *connect.ClientStream[concordatv1.RecoverChunk]) (state.NodeChange, error) {
	const op = "recover"
	if !in.Receive() {
		return state.NodeChange{}, fault.New(op, fault.Invalid, errors.Join(errors.New("no statement came"), in.Err()))
	}
	raw := in.Msg().GetStatement()
	envelope, err := dsse.Parse(raw)
	if err != nil {
		return state.NodeChange{}, fault.New(op, fault.Invalid, err)
	}
	said, err := membership.Parse(envelope.Payload) // who signed it, the state says that is to be restored
	if err != nil {
		return state.NodeChange{}, fault.New(op, fault.Invalid, err)
	}
	if len(said.Voters) == 0 || said.Voters[0].Key != r.disk.Key() {
		return state.NodeChange{}, fault.Newf(op, fault.Conflict, "the first of its voters is to hold the state, and is not this coordinator, %s", r.disk.Key())
	}
	backup, err := r.begin(in)
	if err != nil {
		return state.NodeChange{}, err
	}
	r.mu.Lock() // whoever holds it from here on has a backup of this mesh, or has sent all
	defer r.mu.Unlock()
	switch {
	case backup != nil && !r.disk.Empty():
		return state.NodeChange{}, fault.Newf(op, fault.Conflict, "another backup was restored here meanwhile")
	case backup != nil:
		if err := r.disk.Restore(backup); err != nil {
			return state.NodeChange{}, fault.New(op, fault.Invalid, err)
		}
	}
	var done state.NodeChange
	err = r.disk.Recover(voters(said), func() (err error) {
		salt := make([]byte, 32)
		_, _ = rand.Read(salt)
		done, err = r.state.Recover(raw, salt)
		return err
	})
	return done, err
}

func voters(said membership.Statement) []raft.Voter {
	out := make([]raft.Voter, len(said.Voters))
	for i, v := range said.Voters {
		out[i] = raft.Voter{Key: v.Key, Address: v.Address}
	}
	return out
}

// maxRecover bounds one message of a recovery in bytes; backups come in many.
const maxRecover = 4 << 20

// begin opens the backup that follows the statement, where this disk is empty; no reader where it holds a state and nothing follows. The first piece has
// been read and is of this mesh.
func (r *recovery) begin(in *connect.ClientStream[concordatv1.RecoverChunk]) (io.Reader, error) {
	const op = "recover"
	r.mu.Lock()
	empty := r.disk.Empty()
	r.mu.Unlock()
	if !empty {
		if in.Receive() {
			return nil, fault.Newf(op, fault.Conflict, "this coordinator's disk holds a state: empty its folder to restore a backup, or recover without one")
		}
		return nil, nil //nolint:nilnil // no backup is an answer
	}
	sealed, err := r.root.Key(seal.Backup).Reader(&received{in: in})
	if err != nil {
		return nil, fault.New(op, fault.Invalid, fmt.Errorf("no backup of this mesh came: %w", err))
	}
	plain := bufio.NewReader(sealed)
	if _, err := plain.Peek(1); err != nil {
		return nil, fault.New(op, fault.Invalid, fmt.Errorf("no backup of this mesh came: %w", err))
	}
	return plain, nil
}

// received reads what a client streams.
type received struct {
	in   *connect.ClientStream[concordatv1.RecoverChunk]
	rest []byte
}

// Read implements io.Reader.
func (r *received) Read(b []byte) (int, error) {
	for len(r.rest) == 0 {
		if !r.in.Receive() {
			if err := r.in.Err(); err != nil {
				return 0, err
			}
			return 0, io.EOF
		}
		r.rest = r.in.Msg().GetData()
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
