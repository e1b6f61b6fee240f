package cli

import (
	"fmt"
	"strings"

	"concordat.dev/protocol/witness"
	"concordat.dev/ui/mesh"
	"concordat.dev/ui/present"
)

// logStatus is how the ledger's log stands, as the leader has it.
type logStatus struct {
	Size        uint64          `json:"size"`
	Cosigned    uint64          `json:"cosigned"` // size of the newest checkpoint with a quorum, 0 where none is demanded
	Witnesses   []witnessStatus `json:"witnesses,omitempty"`
	Unprotected []string        `json:"unprotected,omitempty"` // collaborations
	Recovered   []uint64        `json:"recovered,omitempty"`   // sizes of the log from which the ledger went on by signed recoveries
}

type witnessStatus struct {
	Key   string `json:"key"`
	Size  uint64 `json:"size"`
	Fault string `json:"fault,omitempty"`
}

// ledgerStatus is what the leader says, or another coordinator while none leads; nil if nobody answers.
func ledgerStatus(r mesh.Report) *logStatus {
	var out *logStatus
	for _, c := range r.Coordinators {
		s := c.Status
		if s == nil || out != nil && s.GetLeader() != s.GetNode() {
			continue
		}
		out = &logStatus{Size: s.GetLogSize(), Cosigned: s.GetCosignedSize(), Unprotected: s.GetUnprotected()}
		for _, w := range s.GetWitnesses() {
			out.Witnesses = append(out.Witnesses, witnessStatus{w.GetKey(), w.GetSize(), w.GetFault()})
		}
		for _, again := range c.Self.GetRecoveries() {
			out.Recovered = append(out.Recovered, again.GetSize())
		}
	}
	return out
}

func (a *app) statusLog(s *logStatus) {
	if s == nil {
		return
	}
	fmt.Fprintf(a.Out, "log             %s", present.Count(int64(s.Size), "entry"))
	if s.Cosigned > 0 {
		fmt.Fprintf(a.Out, ", %d cosigned", s.Cosigned)
	}
	fmt.Fprintln(a.Out)
	for _, w := range s.Witnesses {
		name, _, _ := strings.Cut(w.Key, "+")
		says := fmt.Sprintf("cosigned %d", w.Size)
		switch {
		case w.Fault != "":
			says = w.Fault
		case w.Size == 0:
			says = "not asked yet"
		}
		fmt.Fprintf(a.Out, "witness         %s: %s\n", name, says)
	}
	for _, c := range s.Unprotected {
		fmt.Fprintf(a.Out, "%-15s ledger not rollback-protected: its manifest demands no witness\n", c)
	}
}

// parseWitnesses reads VERIFIERKEY=URL.
func parseWitnesses(all []string) ([]mesh.Witness, error) {
	var out []mesh.Witness
	for _, text := range all {
		key, url, ok := strings.Cut(text, "=")
		if _, err := witness.Parse(key); err != nil || !ok || url == "" {
			return nil, usagef("up: --witness %q is not VERIFIERKEY=URL: `concordat witness key` prints the key", text)
		}
		out = append(out, mesh.Witness{Key: key, URL: url})
	}
	return out, nil
}
