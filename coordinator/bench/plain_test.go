package bench_test

import (
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	hraft "github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"

	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/marble/marbletest"
)

// plain is the library alone, as its documentation sets it up: raft, raft-wal and TLS. It returns the leader of three nodes, whose machine
// keeps nothing.
func plain(b *testing.B) *hraft.Raft {
	b.Helper()
	ca, dir := marbletest.New(b), b.TempDir()
	var servers []hraft.Server
	for _, address := range ports(b, 3) {
		servers = append(servers, hraft.Server{ID: hraft.ServerID(address), Address: hraft.ServerAddress(address)})
	}
	var all []*hraft.Raft
	for _, s := range servers {
		id := ca.Identity(b, marble.Coordinator)
		listener, err := tls.Listen("tcp", string(s.Address), id.ServerTLS(marble.Coordinator))
		must(b, err)
		quiet := hclog.NewNullLogger()
		transport := hraft.NewNetworkTransportWithLogger(streams{listener, id.ClientTLS(marble.Coordinator)}, 8, 10*time.Second, quiet)
		own := filepath.Join(dir, string(s.ID))
		snapshots, err := hraft.NewFileSnapshotStoreWithLogger(own, 2, quiet)
		must(b, err)
		log, err := wal.Open(own, wal.WithSegmentSize(16<<20), wal.WithLogger(quiet))
		must(b, err)
		config := hraft.DefaultConfig()
		config.LocalID, config.Logger, config.NoLegacyTelemetry = s.ID, quiet, true
		config.HeartbeatTimeout, config.ElectionTimeout, config.LeaderLeaseTimeout = election, election, election/2
		must(b, hraft.BootstrapCluster(config, log, log, snapshots, transport, hraft.Configuration{Servers: servers}))
		r, err := hraft.NewRaft(config, nothing{}, log, log, snapshots, transport)
		must(b, err)
		b.Cleanup(func() {
			must(b, r.Shutdown().Error())
			must(b, log.Close())
		})
		all = append(all, r)
	}
	leader := all[0]
	select {
	case <-all[0].LeaderCh():
	case <-all[1].LeaderCh():
		leader = all[1]
	case <-all[2].LeaderCh():
		leader = all[2]
	}
	must(b, leader.VerifyLeader().Error())
	return leader
}

type streams struct {
	net.Listener
	client *tls.Config
}

func (s streams) Dial(address hraft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return tls.DialWithDialer(&net.Dialer{Timeout: timeout}, "tcp", string(address), s.client)
}

// nothing is a machine without state.
type nothing struct{}

func (nothing) Apply(*hraft.Log) any                  { return nil }
func (nothing) Snapshot() (hraft.FSMSnapshot, error)  { return nothing{}, nil }
func (nothing) Restore(r io.ReadCloser) error         { return r.Close() }
func (nothing) Persist(sink hraft.SnapshotSink) error { return sink.Close() }
func (nothing) Release()                              {}
