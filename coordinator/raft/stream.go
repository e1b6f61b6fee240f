package raft

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	hraft "github.com/hashicorp/raft"
	"github.com/rs/zerolog"

	"concordat.dev/protocol/key"
	"concordat.dev/protocol/marble"
)

// TLS is what a marble identity gives: configurations that accept only marbles of the wanted type.
type TLS interface {
	ServerTLS(wantType string) *tls.Config
	ClientTLS(wantType string) *tls.Config
}

// What a connection is for.
const (
	forRaft  = "raft"  // the library's own protocol
	forCall  = "call"  // commands and reads for the leader
	forHello = "hello" // nothing but to learn who is there
)

// hello is the first message of each side on a connection. The certificate proves the marble type; the signature, over material
// that only the two ends of this TLS connection share (RFC 9266's idea, RFC 8446 section 7.5), proves the node key.
type hello struct {
	Purpose  string     `json:"purpose"`
	Key      key.Public `json:"key"`
	HasState bool       `json:"has_state"`
	Lineage  string     `json:"lineage"`  // which ledger the state is of, and after which recovery; empty before there is one
	Stranger bool       `json:"stranger"` // of the listener: its cluster does not know the dialler
	Led      bool       `json:"led"`      // of the listener: its cluster has a leader
	Proof    []byte     `json:"proof"`
}

var errPeer = errors.New("peer is not the node it should be")

// meets says why two nodes must not exchange entries: of two clusters, one that was left behind by a recovery included, one log would
// overwrite the other.
func (h hello) meets(other hello) error {
	if h.Lineage != "" && other.Lineage != "" && h.Lineage != other.Lineage {
		return fmt.Errorf("%w: %s is of the ledger %s, this one of %s; after a recovery start it with an empty folder, to join", errPeer, other.Key, other.Lineage, h.Lineage)
	}
	return nil
}

// layer is raft's transport: one listener for all purposes. It implements raft.StreamLayer.
type layer struct {
	tcp      net.Listener
	address  string
	key      key.Private
	hasState atomic.Bool
	client   *tls.Config
	server   *tls.Config
	log      zerolog.Logger
	raft     chan net.Conn
	lineage  func() string
	view     view // of the cluster; set before serve, and used by the listener alone
	removed  atomic.Bool

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	done  chan struct{}
	once  sync.Once
}

func listen(cfg Config, k key.Private, hasState bool) (*layer, error) {
	tcp, err := net.Listen("tcp", cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("listen for coordinators: %w", err)
	}
	l := &layer{
		tcp: tcp, address: cmp.Or(cfg.Announce, tcp.Addr().String()), key: k, log: cfg.Logger,
		client: cfg.TLS.ClientTLS(marble.Coordinator), server: cfg.TLS.ServerTLS(marble.Coordinator),
		raft: make(chan net.Conn), lineage: cfg.Lineage, conns: map[net.Conn]struct{}{}, done: make(chan struct{}),
	}
	if l.lineage == nil {
		l.lineage = func() string { return "" }
	}
	l.hasState.Store(hasState)
	return l, nil
}

// view is what a listener has to know of its cluster.
type view struct {
	known  func(key.Public) bool // belongs to it; before there is one, everybody does
	led    func() bool           // has a leader
	answer func(net.Conn)        // serves calls
}

// serve takes connections until Close.
func (l *layer) serve(v view) {
	l.view = v
	go func() {
		for {
			raw, err := l.tcp.Accept()
			if err != nil {
				return // closed
			}
			go l.take(raw)
		}
	}()
}

func (l *layer) take(raw net.Conn) {
	conn := tls.Server(raw, l.server)
	peer, err := l.greet(context.Background(), conn, "")
	if err == nil && peer.Purpose != forHello && !l.view.known(peer.Key) {
		err = fmt.Errorf("%w: %s is no voter of this cluster", errPeer, peer.Key)
	}
	if err != nil {
		l.log.Warn().Err(err).Str("remote", raw.RemoteAddr().String()).Msg("connection of a coordinator refused")
		_ = conn.Close()
		return
	}
	switch peer.Purpose {
	case forRaft:
		l.removed.Store(false) // a member speaks to this node
		select {
		case l.raft <- conn:
		case <-l.done:
			_ = conn.Close()
		}
	case forCall:
		l.track(conn, true)
		defer l.track(conn, false)
		l.view.answer(conn)
		_ = conn.Close()
	default:
		_ = conn.Close()
	}
}

// track lets Close end the calls that are under way.
func (l *layer) track(c net.Conn, add bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if add {
		l.conns[c] = struct{}{}
	} else {
		delete(l.conns, c)
	}
}

// greet exchanges and checks hellos; the dialler speaks first. The purpose is the dialler's to say; the listener passes none.
func (l *layer) greet(ctx context.Context, conn *tls.Conn, purpose string) (hello, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	_ = conn.SetDeadline(time.Now().Add(dialTimeout))
	if err := conn.HandshakeContext(ctx); err != nil {
		return hello{}, err
	}
	mine := hello{Purpose: purpose, Key: l.key.Public(), HasState: l.hasState.Load(), Lineage: l.lineage()}
	var peer hello
	var err error
	if purpose == "" {
		if peer, err = l.hear(conn, "dial"); err == nil {
			mine.Stranger, mine.Led = mine.HasState && !l.view.known(peer.Key), l.view.led()
			err = l.tell(conn, "listen", mine)
		}
	} else if err = l.tell(conn, "dial", mine); err == nil {
		peer, err = l.hear(conn, "listen")
	}
	if err != nil {
		return hello{}, err
	}
	if purpose != forHello && peer.Purpose != forHello {
		if err := mine.meets(peer); err != nil {
			return hello{}, err
		}
	}
	return peer, conn.SetDeadline(time.Time{})
}

func (l *layer) tell(conn *tls.Conn, role string, mine hello) error {
	binding, err := bind(conn, role, mine)
	if err != nil {
		return err
	}
	mine.Proof = l.key.Sign(binding)
	out, err := json.Marshal(mine)
	if err != nil {
		return err
	}
	return writeFrame(conn, 0, out)
}

func (l *layer) hear(conn *tls.Conn, role string) (hello, error) {
	_, in, err := readFrame(conn, maxHello)
	if err != nil {
		return hello{}, err
	}
	var peer hello
	if err := json.Unmarshal(in, &peer); err != nil {
		return hello{}, fmt.Errorf("%w: %w", errPeer, err)
	}
	binding, err := bind(conn, role, peer)
	if err != nil {
		return hello{}, err
	}
	if !peer.Key.Verify(binding, peer.Proof) {
		return hello{}, fmt.Errorf("%w: its node key %s did not sign this connection", errPeer, peer.Key)
	}
	return peer, nil
}

// bind is what a node key signs: material that only the two ends share, the role, and all else that the hello says.
func bind(conn *tls.Conn, role string, h hello) ([]byte, error) {
	state := conn.ConnectionState()
	material, err := state.ExportKeyingMaterial("EXPORTER-concordat-node-v1", nil, 32)
	if err != nil {
		return nil, fmt.Errorf("bind connection: %w", err)
	}
	h.Proof = nil
	said, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("bind connection: %w", err)
	}
	return append(fmt.Appendf(material, "%s\x00", role), said...), nil
}

// connect dials a node. A key that is not zero must be the peer's.
func (l *layer) connect(ctx context.Context, address string, want key.Public, purpose string, timeout time.Duration) (net.Conn, hello, error) {
	dialer := net.Dialer{Timeout: timeout}
	raw, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, hello{}, err
	}
	conn := tls.Client(raw, l.client)
	peer, err := l.greet(ctx, conn, purpose)
	if err == nil && !want.IsZero() && peer.Key != want {
		err = fmt.Errorf("%w: %s at %s, want %s", errPeer, peer.Key, address, want)
	}
	if err == nil && peer.Stranger && peer.Led && peer.meets(hello{Lineage: l.lineage()}) == nil && l.hasState.Load() {
		l.removed.Store(true)
		if purpose != forHello {
			err = ErrRemoved
		}
	}
	if err != nil {
		_ = conn.Close()
		return nil, hello{}, err
	}
	return conn, peer, nil
}

// Dial implements raft.StreamLayer. The address names the key that the peer has to prove.
func (l *layer) Dial(address hraft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	id, host := splitAddress(address)
	want, err := key.ParsePublic(id)
	if err != nil {
		return nil, fmt.Errorf("raft: dial %s: %w", address, err)
	}
	conn, _, err := l.connect(context.Background(), host, want, forRaft, timeout)
	if err != nil {
		return nil, fmt.Errorf("raft: dial %s: %w", host, err)
	}
	return conn, nil
}

// Accept implements net.Listener for raft's own connections.
func (l *layer) Accept() (net.Conn, error) {
	select {
	case c := <-l.raft:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. It may be called twice: raft closes its transport too.
func (l *layer) Close() error {
	var err error
	l.once.Do(func() {
		close(l.done)
		err = l.tcp.Close()
		l.mu.Lock()
		defer l.mu.Unlock()
		for c := range l.conns {
			_ = c.Close()
		}
	})
	return err
}

// Addr implements net.Listener: what raft tells other nodes about this one.
func (l *layer) Addr() net.Addr {
	return address(joinAddress(l.key.Public(), l.address))
}

type address hraft.ServerAddress

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// joinAddress puts the node key into raft's address, so that whoever dials knows whom to expect.
func joinAddress(k key.Public, host string) hraft.ServerAddress {
	return hraft.ServerAddress(k.String() + "@" + host)
}

func splitAddress(a hraft.ServerAddress) (id, host string) {
	i := strings.LastIndexByte(string(a), '@')
	if i < 0 {
		return "", string(a)
	}
	return string(a[:i]), string(a[i+1:])
}
