package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"concordat.dev/integration/harness"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/authn"
	"concordat.dev/protocol/marble"
	"concordat.dev/ui/client"
)

const countPatients = "SELECT count(DISTINCT id) AS patients FROM clinic.patients"

// asking asks as a person, and gives error or refusal.
func asking(person, sql string) func(*testing.T, *harness.Room) string {
	return func(t *testing.T, r *harness.Room) string {
		r.As(person)
		a, err := r.Query(t.Context(), person, client.Question{SQL: sql})
		if err != nil {
			return err.Error()
		}
		if a.Verdict != answer.Refused || a.Answer.Receipt != nil || len(a.Receipt) > 0 || len(a.Price) > 0 && a.Price[0].Rho > 0 && len(a.Rows) > 0 {
			t.Errorf("verdict %s", a.Verdict)
		}
		text, err := json.Marshal(a.Refusals)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

var badRequests = []wrong{
	{"query by a steward", asking(harness.StewardOf("clinic"), countPatients), []string{`"not_permitted"`, "steward@clinic", "[analyst]"}},
	{"query by an organisation", asking("clinic", countPatients), []string{`"not_permitted"`, "[analyst]"}},
	{"query by an unknown key", asking(harness.Outsider, countPatients), []string{"unauthenticated"}},
	{"65 KiB of SQL", asking(harness.Analyst, countPatients+" WHERE status = 1"+strings.Repeat(" ", 65<<10)), []string{`"limit_exceeded"`, "65536"}},
	{"query of an unknown collaboration", func(t *testing.T, r *harness.Room) string {
		reply, err := r.As(harness.Analyst).Query(t.Context(), client.Question{Collaboration: "elsewhere", SQL: countPatients}, nil)
		return fmt.Sprint(string(reply.Answer), err)
	}, []string{`"not_permitted"`, "is nobody in collaboration", "elsewhere"}},
	{"replayed request", replayed, []string{"the request was sent before"}},
	{"request for another ledger", func(t *testing.T, r *harness.Room) string {
		_, said := sent(t, r, authn.Signer{Key: r.Keys[harness.Analyst], Audience: strings.Repeat("0", 32), Now: time.Now}, nil)
		return said
	}, []string{"the request is for another ledger"}},
	{"request of an hour ago", func(t *testing.T, r *harness.Room) string {
		ago := func() time.Time { return time.Now().Add(-time.Hour) }
		_, said := sent(t, r, authn.Signer{Key: r.Keys[harness.Analyst], Audience: r.Mesh.State().Ledger, Now: ago}, nil)
		return said
	}, []string{"the request's time is too far"}},
	{"changed body", func(t *testing.T, r *harness.Room) string {
		signer := authn.Signer{Key: r.Keys[harness.Analyst], Audience: r.Mesh.State().Ledger, Now: time.Now}
		_, said := sent(t, r, signer, func(b []byte) []byte { return bytes.Replace(b, []byte("nafld"), []byte("NAFLD"), 1) })
		return said
	}, []string{"the body is not the one that was signed"}},
}

// replayed sends one request twice to the same coordinator.
func replayed(t *testing.T, r *harness.Room) string {
	signer := authn.Signer{Key: r.Keys[harness.Analyst], Audience: r.Mesh.State().Ledger, Now: time.Now}
	first, said := sent(t, r, signer, nil)
	if !strings.Contains(said, "budgets") {
		t.Fatalf("the first request: %s", said)
	}
	return first.again(t)
}

// transmission keeps a signed request as it went out.
type transmission struct {
	to     http.RoundTripper
	change func([]byte) []byte
	url    string
	header http.Header
	body   []byte
}

// RoundTrip implements http.RoundTripper.
func (s *transmission) RoundTrip(r *http.Request) (*http.Response, error) {
	var err error
	if s.body, err = io.ReadAll(r.Body); err != nil {
		return nil, err
	}
	if s.change != nil {
		s.body = s.change(s.body)
	}
	s.url, s.header = r.URL.String(), r.Header.Clone()
	return s.send(r.Context())
}

func (s *transmission) send(ctx context.Context) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(s.body))
	if err != nil {
		return nil, err
	}
	r.Header = s.header.Clone()
	return s.to.RoundTrip(r)
}

func (s *transmission) again(t *testing.T) string {
	t.Helper()
	return read(t)(s.send(t.Context()))
}

func read(t *testing.T) func(*http.Response, error) string {
	return func(response *http.Response, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		said, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(said)
	}
}

// sent asks the first coordinator for budgets, by plain HTTP with a signer of the test's.
func sent(t *testing.T, r *harness.Room, signer authn.Signer, change func([]byte) []byte) (*transmission, string) {
	t.Helper()
	s := r.Mesh.State()
	transport := &http.Transport{TLSClientConfig: marble.ClientConfig(s.RootCertificate, marble.Coordinator)}
	t.Cleanup(transport.CloseIdleConnections)
	keep := &transmission{to: transport, change: change}
	body := fmt.Sprintf(`{"collaboration":%q}`, r.ID())
	url := "https://" + s.Coordinators[0].API + "/concordat.v1.AnalystService/Budget"
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	return keep, read(t)(signer.RoundTripper(keep).RoundTrip(request))
}
