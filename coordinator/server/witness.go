package server

import (
	"fmt"
	"net/url"

	"concordat.dev/protocol/witness"
)

// Witness is where a witness takes checkpoints. Which ones have to cosign, manifests say.
type Witness struct {
	Key string `yaml:"key"` // its verifier key, NAME+HASH+KEY
	URL string `yaml:"url"` // what C2SP tlog-witness calls the submission prefix
}

func (w Witness) check() error {
	if _, err := witness.Parse(w.Key); err != nil {
		return err
	}
	u, err := url.Parse(w.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%q is not the http or https URL of a witness", w.URL)
	}
	return nil
}

func (c Config) witnesses() map[string]string {
	out := map[string]string{}
	for _, w := range c.Witnesses {
		out[w.Key] = w.URL
	}
	return out
}
