package server

import (
	"fmt"
	"os"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/receipt"
	"concordat.dev/worker/noise"
)

// worker is what receipts say of this program and of the mesh that admitted it. The collateral is read each time, since whoever runs the
// machine has to renew it every month; Intel signed it, so it can be withheld and not forged.
func (s *Server) worker() (receipt.Worker, error) {
	w := receipt.Worker{Version: version, Noise: noise.Version, MarbleRun: s.identity.Manifest}
	if len(w.MarbleRun) > 0 {
		m, err := s.identity.Measurements()
		if err != nil {
			return w, err
		}
		w.Measure = m.Worker
	}
	if len(s.identity.Quote) == 0 {
		return w, nil
	}
	e := evidence.Evidence{Kind: evidence.SGX, Report: s.identity.Quote}
	if s.cfg.Collateral != "" {
		raw, err := os.ReadFile(s.cfg.Collateral)
		if err != nil {
			return w, fmt.Errorf("read the collateral: %w", err)
		}
		if e.Collateral, err = canon.Transform(raw); err != nil {
			return w, fmt.Errorf("%s: %w", s.cfg.Collateral, err)
		}
	}
	w.Evidence = []evidence.Evidence{e}
	return w, nil
}
