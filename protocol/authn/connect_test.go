package authn_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"concordat.dev/protocol/authn"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/key"
)

// analyst streams back who asked.
type analyst struct {
	concordatv1connect.UnimplementedAnalystServiceHandler
}

func (analyst) Query(ctx context.Context, r *connect.Request[concordatv1.QueryRequest], s *connect.ServerStream[concordatv1.QueryEvent]) error {
	who := "nobody"
	if k, ok := authn.Key(ctx); ok {
		who = k.String()
	}
	for _, phase := range []string{who, r.Msg.GetSql()} {
		if err := s.Send(&concordatv1.QueryEvent{Event: &concordatv1.QueryEvent_Phase{Phase: phase}}); err != nil {
			return err
		}
	}
	return nil
}

func (analyst) Budget(ctx context.Context, r *connect.Request[concordatv1.BudgetRequest]) (*connect.Response[concordatv1.BudgetResponse], error) {
	k, _ := authn.Key(ctx)
	return connect.NewResponse(&concordatv1.BudgetResponse{Budgets: []byte(k.String() + r.Msg.GetCollaboration())}), nil
}

func serve(t *testing.T, http2, anonymous bool) (*httptest.Server, *http.Client) {
	t.Helper()
	v := authn.NewVerifier(authn.Config{Audience: ledger, Now: time.Now, Anonymous: anonymous})
	mux := http.NewServeMux()
	mux.Handle(concordatv1connect.NewAnalystServiceHandler(analyst{}))
	s := httptest.NewUnstartedServer(v.Handler(mux))
	s.EnableHTTP2 = http2
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, s.Client()
}

func TestConnect(t *testing.T) {
	k := newKey(t)
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		for protocol, options := range map[string][]connect.ClientOption{
			"connect": nil, "compressed": {connect.WithSendGzip()}, "gRPC-Web": {connect.WithGRPCWeb()}, "JSON": {connect.WithProtoJSON()},
		} {
			t.Run(name+" "+protocol, func(t *testing.T) {
				s, h := serve(t, http2, false)
				h.Transport = authn.Signer{Key: k, Audience: ledger, Now: time.Now}.RoundTripper(h.Transport)
				c := concordatv1connect.NewAnalystServiceClient(h, s.URL, options...)
				sql := strings.Repeat("SELECT 1; ", 5000)
				stream, err := c.Query(t.Context(), connect.NewRequest(&concordatv1.QueryRequest{Sql: sql}))
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for stream.Receive() {
					got = append(got, stream.Msg().GetPhase())
				}
				if err := stream.Err(); err != nil || len(got) != 2 || got[0] != k.Public().String() || got[1] != sql {
					t.Fatal(len(got), err)
				}
				b, err := c.Budget(t.Context(), connect.NewRequest(&concordatv1.BudgetRequest{Collaboration: "x"}))
				if err != nil || string(b.Msg.GetBudgets()) != k.Public().String()+"x" {
					t.Fatal(b, err)
				}
			})
		}
	}
}

func TestConnectRefuses(t *testing.T) {
	ask := func(s *httptest.Server, h *http.Client) (string, error) {
		stream, err := concordatv1connect.NewAnalystServiceClient(h, s.URL).Query(t.Context(), connect.NewRequest(&concordatv1.QueryRequest{Sql: "x"}))
		if err != nil {
			return "", err
		}
		first := ""
		if stream.Receive() {
			first = stream.Msg().GetPhase()
		}
		return first, stream.Err()
	}
	s, h := serve(t, true, false)
	if _, err := ask(s, h); connect.CodeOf(err) != connect.CodeUnauthenticated || !strings.Contains(err.Error(), authn.ErrUnsigned.Error()) {
		t.Errorf("unsigned: %v", err)
	}
	h.Transport = authn.Signer{Key: newKey(t), Audience: strings.Repeat("f", 32), Now: time.Now}.RoundTripper(h.Transport)
	if _, err := ask(s, h); connect.CodeOf(err) != connect.CodeUnauthenticated || !strings.Contains(err.Error(), authn.ErrAudience.Error()) {
		t.Errorf("other ledger: %v", err)
	}
	s, h = serve(t, false, true)
	if who, err := ask(s, h); err != nil || who != "nobody" {
		t.Errorf("anonymous: %q, %v", who, err)
	}
	h.Transport = authn.Signer{Key: newKey(t), Audience: strings.Repeat("f", 32), Now: time.Now}.RoundTripper(h.Transport)
	if _, err := ask(s, h); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("a wrong signature where none is needed: %v", err)
	}
}

func TestKeyOfContext(t *testing.T) {
	if _, ok := authn.Key(t.Context()); ok {
		t.Error("a key out of nothing")
	}
	k := newKey(t).Public()
	if got, ok := authn.Key(authn.WithKey(t.Context(), k)); !ok || got != k || got == (key.Public{}) {
		t.Error(got, ok)
	}
}
