package receipt

import (
	"fmt"
	"slices"
	"strings"

	"concordat.dev/protocol/grant"
)

// Status is the outcome of one check.
type Status string

// Proved follows from signatures and digests; Claimed was only said by somebody; Failed is wrong or missing.
const (
	Proved  Status = "proved"
	Claimed Status = "claimed"
	Failed  Status = "FAILED"
)

// Check is one link of the chain. Name is one of the Check constants.
type Check struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Detail string `json:"detail"`
}

// Report is what Verify found. Release and Grant are only as good as the checks say.
type Report struct {
	Mode    string      `json:"mode"` // simulation | sgx | "" when not even the manifest could be read
	Checks  []Check     `json:"checks"`
	Release Release     `json:"-"`
	Grant   grant.Grant `json:"-"`
}

// OK says that no check failed.
func (r Report) OK() bool {
	return len(r.Checks) > 0 && !slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Status == Failed })
}

func (r Report) failed(name string) bool {
	return slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Name == name && c.Status == Failed })
}

// String prints the mode first, then a line for each check, then the verdict.
func (r Report) String() string {
	var b strings.Builder
	mode := r.Mode
	if mode == "" {
		mode = "unknown"
	}
	fmt.Fprintf(&b, "mode: %s\n", mode)
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "%-8s %-12s %s\n", c.Status, c.Name, c.Detail)
	}
	if r.OK() {
		b.WriteString("receipt verified\n")
	} else {
		b.WriteString("receipt NOT verified\n")
	}
	return b.String()
}
