package server_test

import (
	"net/http"
	"slices"
	"testing"

	"connectrpc.com/connect"

	"concordat.dev/coordinator/server"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/marble"
)

// A worker that knows one coordinator hears of the others.
func TestAnnouncementNamesTheOthers(t *testing.T) {
	m := newMesh(t, 0)
	identity := m.ca.Identity(t, marble.Worker)
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: identity.ClientTLS(marble.Coordinator), ForceAttemptHTTP2: true}}
	var want []string
	for _, c := range m.configs {
		want = append(want, c.Listen.Mesh)
	}
	slices.Sort(want)
	c := concordatv1connect.NewCoordinatorServiceClient(web, "https://"+m.configs[2].Listen.Mesh)
	for ctx := m.ctx(); ; {
		told, err := c.Announce(ctx, connect.NewRequest(&concordatv1.AnnounceRequest{Worker: "w", Address: "127.0.0.1:1"}))
		must(t, err)
		got := slices.Clone(told.Msg.GetCoordinators())
		slices.Sort(got)
		if slices.Equal(got, want) {
			return
		}
	}
}

func TestWhereWorkersReachACoordinator(t *testing.T) {
	for name, c := range map[string]struct {
		listen, announce, want string
	}{
		"its own address":      {"10.0.0.1:7201", "c1.example:7101", "10.0.0.1:7201"},
		"a name":               {"c1.example:7201", "other.example:7101", "c1.example:7201"},
		"all addresses":        {"0.0.0.0:7201", "c1.example:7101", "c1.example:7201"},
		"all addresses, IPv6":  {"[::]:7201", "c1.example:7101", "c1.example:7201"},
		"no host":              {":7201", "[fd00::1]:7101", "[fd00::1]:7201"},
		"nothing is announced": {"0.0.0.0:7201", "", "10.0.0.9:7201"},
	} {
		cfg := server.Config{Announce: c.announce, Listen: server.Listen{Raft: "10.0.0.9:7101", Mesh: c.listen}}
		if got := server.Reached(cfg); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
