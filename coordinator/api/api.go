// Package api is what coordinators do for people and for workers: the Connect services, the upload of parts, and the life of a query
// from analysis over reservation, grant and execution to receipt.
//
// Invariant: every call of a person passes gate.admit, which authenticates, authorises and audits. A release leaves only after its
// receipt is in the replicated log. What is reserved stays spent.
//
// Sees: metadata; released aggregates pass through
package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"github.com/rs/zerolog"

	"concordat.dev/coordinator/dispatch"
	"concordat.dev/coordinator/log"
	"concordat.dev/coordinator/raft"
	"concordat.dev/coordinator/seal"
	"concordat.dev/coordinator/signin"
	"concordat.dev/coordinator/state"
	"concordat.dev/coordinator/store"
	"concordat.dev/coordinator/witness"
	"concordat.dev/observe"
	"concordat.dev/protocol/authn"
	"concordat.dev/protocol/endorse"
	"concordat.dev/protocol/fault"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/grant"
	"concordat.dev/protocol/handover"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/marble"
)

// Replica is the part of a raft node that calls need.
type Replica interface {
	state.Applier
	state.Clock
	Sync(ctx context.Context) error
	ID() string
	Leader() string
	Nodes(ctx context.Context) []raft.Status
	Removed() bool
}

// Config is what the calls work with. Record, for tests and for what collects audit records, may be nil.
type Config struct {
	State    *state.Machine
	Replica  Replica
	Workers  *dispatch.Pool
	Store    *store.Store
	Root     seal.Root
	Identity *marble.Identity
	Cosign   *witness.Collector
	Address  string // of this coordinator's raft side
	// Sessions are those of pages; nil where nobody can sign in.
	Sessions *signin.Sessions
	// CosignLimit is how long a query waits for the quorum of its manifest's witnesses; 0 means 10 s.
	CosignLimit time.Duration
	// Coordinators is where workers reach the coordinators, this one and the others; nil where nobody tells.
	Coordinators func() []string
	Now          func() time.Time
	Logger       zerolog.Logger
	Record       func(Audit)
	// Tracer makes the spans of calls; the zero one makes none.
	Tracer observe.Tracer
}

// API serves all calls of one coordinator.
type API struct {
	Config
	gate   gate
	counts *counts

	explains  pace
	health    health
	mu        sync.Mutex
	compacted atomic.Uint64 // see Keep

	denials map[string]int // of callers, written down in the minute that began at
	minute  time.Time

	keys atomic.Pointer[ledgerKeys]
	held atomic.Pointer[handover.LedgerEstate] // what this mesh inherited, opened
}

// How long a call waits for the cluster before it says that it is unavailable.
const (
	syncLimit  = 10 * time.Second
	applyLimit = 20 * time.Second
)

// bounded is a replica that answers in time, or fails.
type bounded struct{ Replica }

// Sync implements Replica.
func (b bounded) Sync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, syncLimit)
	defer cancel()
	return b.Replica.Sync(ctx)
}

// Apply implements Replica.
func (b bounded) Apply(ctx context.Context, command []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, applyLimit)
	defer cancel()
	return b.Replica.Apply(ctx, command)
}

// maxRequest bounds a call's message in bytes; a manifest with its policies is the largest.
const maxRequest = 16 << 20

// maxAnonymous bounds the message of a call of nobody, in bytes: those ask for little.
const maxAnonymous = 64 << 10

// New makes the calls of a coordinator.
func New(cfg Config) *API {
	cfg.Replica = bounded{cfg.Replica}
	if cfg.CosignLimit == 0 {
		cfg.CosignLimit = cosignLimit
	}
	a := &API{Config: cfg, denials: map[string]int{}, counts: newCounts()}
	a.health.started = cfg.Now()
	a.gate = gate{state: cfg.State, sync: cfg.Replica.Sync, now: cfg.Now, log: cfg.Logger, record: cfg.Record, counts: a.counts, denied: a.denied}
	return a
}

// People serves people, who sign their requests or whose page has a session. Only the status of the mesh, and where to sign in, is told to
// anybody.
func (a *API) People() http.Handler {
	options := []connect.HandlerOption{connect.WithReadMaxBytes(maxRequest), connect.WithInterceptors(observe.Calls{Tracer: a.Tracer}, counted{a.counts}, faults{a})}
	mux := http.NewServeMux()
	mux.Handle(concordatv1connect.NewAnalystServiceHandler(analystService{a}, options...))
	mux.Handle(concordatv1connect.NewParticipantServiceHandler(participantService{a}, options...))
	mux.Handle(concordatv1connect.NewAuditorServiceHandler(auditorService{a}, options...))
	mux.Handle(concordatv1connect.NewAdminServiceHandler(adminService{a}, options...))
	mux.Handle(concordatv1connect.NewNodeServiceHandler(nodeService{a}, options...))
	mux.Handle(concordatv1connect.NewDocumentServiceHandler(documentService{a}, options...))
	mux.Handle(concordatv1connect.NewSessionServiceHandler(sessionService{a}, options...))
	mux.Handle(concordatv1connect.NewSavedServiceHandler(savedService{a}, options...))
	mux.Handle(concordatv1connect.NewHandoverServiceHandler(handoverService{a}, options...))
	mux.HandleFunc("GET "+HandoverPath, a.givePackage)
	parts := http.NewServeMux()
	parts.HandleFunc("PUT /upload/{id}/parts/{number}", a.putPart)
	parts.HandleFunc("PUT "+HandoverPath, a.takePackage)
	parts.Handle("/", a.authenticated(mux))
	return numbered(a.admitted(parts))
}

// numbered gives each request an id, which the answer, the log's lines and errors name.
func numbered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := observe.NewRequest()
		w.Header().Set(observe.HeaderRequest, id)
		next.ServeHTTP(w, r.WithContext(observe.WithRequest(r.Context(), id)))
	})
}

// authenticated verifies who signed a request. Unsigned ones go on without a key, which gate.admit refuses.
func (a *API) authenticated(next http.Handler) http.Handler {
	writer := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := a.verifier()
		if moved := a.moved(r.URL.Path); moved != nil {
			err = moved
		}
		nobody := r.Header.Get(authn.HeaderKey) == ""
		if _, page := signin.From(r.Context()); nobody && !page {
			r.Body = http.MaxBytesReader(w, r.Body, maxAnonymous)
		}
		switch {
		case err == nil:
			v.Handler(next).ServeHTTP(w, r)
		case anonymous(r) && nobody:
			next.ServeHTTP(w, r)
		default:
			_ = writer.Write(w, r, a.tellMoved(fault.Connect(err))) // the peer may be gone
		}
	})
}

// verifier checks signed requests for the ledger, once the cluster has one.
func (a *API) verifier() (*authn.Verifier, error) {
	keys, err := a.ledger()
	if err != nil {
		return nil, err
	}
	return keys.authn, nil
}

// Marbles serves workers, over mutual TLS that admits that type alone.
func (a *API) Marbles() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(concordatv1connect.NewCoordinatorServiceHandler(workerService{a}, connect.WithInterceptors(observe.Calls{}, counted{a.counts}, faults{a})))
	mux.Handle(concordatv1connect.NewFollowServiceHandler(followService{a}, connect.WithInterceptors(observe.Calls{}, counted{a.counts}, faults{a})))
	return mux
}

// ledgerKeys sign and verify for one ledger.
type ledgerKeys struct {
	ledger      string
	grant       key.Private
	log         *log.Signer
	endorsement endorse.Endorsement // of both public keys, by this coordinator
	authn       *authn.Verifier
}

// ledger gives the keys of the ledger, once Open was called.
func (a *API) ledger() (*ledgerKeys, error) {
	if k := a.keys.Load(); k != nil {
		return k, nil
	}
	return nil, fault.Newf("", fault.Unavailable, "the cluster has no ledger yet: try again in a moment")
}

// Open begins to serve people, as soon as the state has a ledger. Requests that were signed before are refused, since an earlier
// process may have accepted them. It returns what signs the ledger's log.
func (a *API) Open() (*log.Signer, error) {
	id := a.State.Basis().Ledger
	if err := a.openEstate(); err != nil {
		return nil, err
	}
	logSeed, grantSeed := a.seeds(id)
	logKey, err := key.FromSeed(logSeed)
	if err != nil {
		return nil, err
	}
	grantKey, err := key.FromSeed(grantSeed)
	if err != nil {
		return nil, err
	}
	k := &ledgerKeys{ledger: id, grant: grantKey}
	if k.log, err = log.NewSigner(id, logKey); err != nil {
		return nil, err
	}
	public := grant.Keys{Ledger: id, Log: logKey.Public(), Grant: grantKey.Public()}
	if k.endorsement, err = grant.EndorseKeys(public, a.Identity.Certificate); err != nil {
		return nil, err
	}
	k.authn = authn.NewVerifier(authn.Config{Audience: id, Now: a.Now, Known: a.knows, MaxBody: maxRequest, Anonymous: true})
	a.keys.Store(k)
	return k.log, nil
}

// knows says whether a key is somebody's. This replica may not have heard yet of what another acknowledged; where no leader can say
// what was, the gate, which asks again, says so to whoever it is.
func (a *API) knows(k key.Public) bool {
	return a.State.Knows(k) || a.Replica.Sync(context.Background()) != nil || a.State.Knows(k)
}

// faults maps errors to codes on their way out, and logs those that are ours.
type faults struct{ *API }

// WrapUnary implements connect.Interceptor.
func (f faults) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		res, err := next(ctx, req)
		if err != nil {
			return nil, f.out(ctx, req.Spec().Procedure, err)
		}
		return res, nil
	}
}

// WrapStreamingHandler implements connect.Interceptor.
func (f faults) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		if err := next(ctx, conn); err != nil {
			return f.out(ctx, conn.Spec().Procedure, err)
		}
		return nil
	}
}

// WrapStreamingClient implements connect.Interceptor.
func (faults) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func (f faults) out(ctx context.Context, procedure string, err error) error {
	if moved := f.moved(procedure); moved != nil {
		err = moved // what failed while the ledger went away, went wrong for no other reason that matters
	}
	operation := procedure[strings.LastIndexByte(procedure, '/')+1:]
	out := fault.Connect(withoutStore(ctx, f.Logger, operation, err))
	if out.Code() == connect.CodeInternal {
		observe.Log(ctx, f.Logger).Error().Err(err).Str(fieldOperation, operation).Msg("call failed")
	}
	return f.tellMoved(out)
}

// withoutStore tells of an object store that is away that it is; the log has what it said.
func withoutStore(ctx context.Context, logger zerolog.Logger, operation string, err error) error {
	if !errors.Is(err, store.ErrAway) {
		return err
	}
	observe.Log(ctx, logger).Error().Err(err).Str(fieldOperation, operation).Msg("the object store is away")
	return fault.New("", fault.Unavailable, store.ErrAway)
}
