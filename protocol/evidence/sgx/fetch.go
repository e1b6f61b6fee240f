package sgx

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-tdx-guest/pcs"

	"concordat.dev/protocol/evidence"
)

// Service is Intel's Provisioning Certification Service, or a cache of it (PCCS) with the same paths.
type Service struct {
	// URL is for instance https://localhost:8081; empty: Intel's.
	URL    string
	Client *http.Client // nil: http.DefaultClient
}

const (
	intelURL     = "https://api.trustedservices.intel.com"
	intelRootCRL = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
	apiPath      = "/sgx/certification/v4"
)

// Fetch asks for the collateral of the processor that made a quote. It verifies nothing.
func (s Service) Fetch(ctx context.Context, quote []byte) (*Collateral, error) {
	q, err := parseQuote(quote)
	if err != nil {
		return nil, err
	}
	exts, err := pcs.PckCertificateExtensions(q.chain[0])
	if err != nil {
		return nil, malformed("PCK certificate: %v", err)
	}
	ca := "platform"
	if q.chain[1].Subject.CommonName == nameProcessor {
		ca = "processor"
	}
	base, root := s.URL, s.URL+apiPath+"/rootcacrl"
	if base == "" {
		base, root = intelURL, intelRootCRL
	}
	c := new(Collateral)
	var chain string
	for _, part := range []struct {
		url   string
		into  *[]byte
		chain *string
	}{
		{base + apiPath + "/tcb?fmspc=" + exts.FMSPC, &c.TCBInfo, &chain},
		{base + apiPath + "/qe/identity", &c.QEIdentity, nil},
		{base + apiPath + "/pckcrl?encoding=der&ca=" + ca, &c.PCKCRL, nil},
		{root, &c.RootCRL, nil},
	} {
		if *part.into, err = s.get(ctx, part.url, part.chain); err != nil {
			return nil, fmt.Errorf("fetch collateral: %w", err)
		}
	}
	if der, err := hex.DecodeString(strings.TrimSpace(string(c.RootCRL))); err == nil { // caches give it in hex
		c.RootCRL = der
	}
	pem, err := url.QueryUnescape(chain)
	if err != nil {
		return nil, malformed("issuer chain: %v", err)
	}
	c.Chain = []byte(pem)
	return c, nil
}

func (s Service) get(ctx context.Context, from string, chain *string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	client := s.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: HTTP %d", from, resp.StatusCode)
	}
	if chain != nil {
		*chain = resp.Header.Get("TCB-Info-Issuer-Chain")
	}
	return io.ReadAll(io.LimitReader(resp.Body, evidence.MaxCollateral))
}
