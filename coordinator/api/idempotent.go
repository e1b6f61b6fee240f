package api

import (
	"net/http"

	"concordat.dev/protocol/authn"
)

// idempotent gives a request that has no idempotency key one of its own: the nonce that its person signed. Each coordinator remembers for itself
// which requests it took; one that is sent again to another coordinator meets this key there.
func idempotent(given string, h http.Header) string {
	if nonce := h.Get(authn.HeaderNonce); given == "" && nonce != "" {
		return "request " + nonce
	}
	return given
}
