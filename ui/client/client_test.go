package client_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"concordat.dev/protocol/endorse"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/ui/client"
	"concordat.dev/ui/client/clienttest"
)

func connected(t *testing.T, c *clienttest.Coordinator, addresses ...string) *client.Client {
	t.Helper()
	out, err := client.New(client.Config{Addresses: addresses, Root: c.Root(), Patience: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAnotherCoordinatorAnswers(t *testing.T) {
	c := clienttest.New(t)
	dead := "127.0.0.1:1"
	if _, err := connected(t, c, dead, c.Address()).Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := connected(t, c, dead).Status(t.Context())
	if !errors.Is(err, client.ErrUnreachable) || !strings.Contains(err.Error(), dead) {
		t.Fatal(err)
	}
}

func TestAnotherCoordinatorAnswersWhereAConnectionBreaks(t *testing.T) {
	c := clienttest.New(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.(*net.TCPConn).SetLinger(0) // closes by a reset
			_ = conn.Close()
		}
	}()
	if _, err := connected(t, c, l.Addr().String(), c.Address()).Status(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestOtherMeshIsRefused(t *testing.T) {
	c, other := clienttest.New(t), clienttest.New(t)
	_, err := connected(t, c, other.Address()).Status(t.Context())
	if !errors.Is(err, client.ErrWrongMesh) {
		t.Fatal(err)
	}
}

func TestWorkerIsNoCoordinator(t *testing.T) {
	c := clienttest.New(t)
	worker := &clienttest.Coordinator{Mesh: c.Mesh}
	worker.Start(t, endorse.Worker)
	_, err := connected(t, c, worker.Address()).Status(t.Context())
	if !errors.Is(err, client.ErrWrongMesh) || !errors.Is(err, endorse.ErrType) {
		t.Fatal(err)
	}
}

func TestQueryIsOneRequestOverAllAttempts(t *testing.T) {
	c := clienttest.New(t)
	c.Answer = func(*concordatv1.QueryRequest) ([]byte, []byte, error) {
		return []byte(`{"verdict":"released"}`), []byte("r"), nil
	}
	c.Fail(2)
	var phases []string
	reply, err := connected(t, c, c.Address()).Query(t.Context(), client.Question{Collaboration: "x", SQL: "SELECT 1"}, func(p string) { phases = append(phases, p) })
	if err != nil || string(reply.Receipt) != "r" {
		t.Fatal(reply, err)
	}
	asked := c.Questions()
	if len(asked) != 3 || asked[0].GetIdempotencyKey() == "" || asked[0].GetIdempotencyKey() != asked[2].GetIdempotencyKey() {
		t.Fatalf("%d requests: %v", len(asked), asked)
	}
	if len(phases) != 3 {
		t.Error(phases)
	}
}

func TestPinIsNeeded(t *testing.T) {
	if _, err := client.New(client.Config{Addresses: []string{"127.0.0.1:1"}}); err == nil {
		t.Fatal("a client without a pin")
	}
	if _, err := client.New(client.Config{}); !errors.Is(err, client.ErrNoAddress) {
		t.Fatal(err)
	}
}
