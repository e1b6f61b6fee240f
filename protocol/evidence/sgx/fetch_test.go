package sgx_test

import (
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/evidence/sgx"
	"concordat.dev/protocol/evidence/sgx/sgxtest"
)

// A cache that answers as Intel's service does: what is fetched for a quote verifies it.
func TestFetch(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	p := sgxtest.New(t, at)
	quote := p.Quote(t, sgxtest.Enclave{})
	want := p.Collateral(t)
	mux := http.NewServeMux()
	answer := func(path string, body []byte) {
		mux.HandleFunc("GET /sgx/certification/v4/"+path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("TCB-Info-Issuer-Chain", url.QueryEscape(string(want.Chain)))
			if path == "tcb" && r.URL.Query().Get("fmspc") != "00906ea10000" || path == "pckcrl" && r.URL.RawQuery != "encoding=der&ca=platform" {
				http.NotFound(w, r)
				return
			}
			_, _ = w.Write(body)
		})
	}
	answer("tcb", want.TCBInfo)
	answer("pckcrl", want.PCKCRL)
	answer("rootcacrl", []byte(hex.EncodeToString(want.RootCRL)))
	server := httptest.NewServer(mux)
	defer server.Close()
	service := sgx.Service{URL: server.URL}
	if _, err := service.Fetch(t.Context(), quote); err == nil {
		t.Error("fetched though a part is missing")
	}
	answer("qe/identity", want.QEIdentity)
	got, err := service.Fetch(t.Context(), quote)
	if err != nil {
		t.Fatal(err)
	}
	v := p.Verifier()
	v.Collateral = got
	if _, err := v.Verify(evidence.Evidence{Kind: evidence.SGX, Report: quote}, at); err != nil {
		t.Error(err)
	}
	if _, err := service.Fetch(t.Context(), quote[:100]); err == nil {
		t.Error("fetched for what is no quote")
	}
}
