package admit

import (
	"fmt"

	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
)

// Draft opens documents that nobody signed, to judge texts by them. They have to hold together as signed ones do, keys and mesh apart; they
// give no authority, and no call that touches data takes them.
func Draft(d *concordatv1.Documents) (*document.Bundle, error) {
	bundle, err := document.OpenSigned(d.GetManifest(), d.GetPolicies())
	if err != nil {
		return nil, fmt.Errorf("draft: %w", err)
	}
	if problems := bundle.Validate(document.Draft); len(problems) > 0 {
		return nil, fmt.Errorf("draft: %s", problems[0])
	}
	return bundle, nil
}
