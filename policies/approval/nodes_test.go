package approval_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"concordat.dev/policies/approval"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/membership"
)

func TestWhoDecidesAboutCoordinators(t *testing.T) {
	keys := map[string]key.Private{}
	public := func(who string) string {
		if _, ok := keys[who]; !ok {
			k, err := key.Generate()
			if err != nil {
				t.Fatal(err)
			}
			keys[who] = k
		}
		return keys[who].Public().String()
	}
	room := &document.Manifest{Collaboration: "room", Participants: []document.Participant{
		{ID: "clinic", Keys: []string{public("clinic"), public("clinic2"), public("clinic3")}, Threshold: 2}, {ID: "registry", Keys: []string{public("registry")}},
	}}
	hall := &document.Manifest{Collaboration: "hall", Participants: []document.Participant{{ID: "clinic", Keys: []string{public("clinic")}}, {ID: "press", Keys: []string{public("press")}}}}
	founders := []string{public("founder")}
	for name, c := range map[string]struct {
		e       approval.Electorate
		signers string
		missing string
	}{
		"nobody":                         {approval.Electorate{InForce: []approval.Standing{{Manifest: room}}, Founders: founders}, "", "room/clinic room/registry"},
		"one key of two":                 {approval.Electorate{InForce: []approval.Standing{{Manifest: room}}}, "clinic registry", "room/clinic"},
		"all":                            {approval.Electorate{InForce: []approval.Standing{{Manifest: room}}}, "clinic clinic3 registry", ""},
		"a founder is nobody then":       {approval.Electorate{InForce: []approval.Standing{{Manifest: room}}, Founders: founders}, "founder", "room/clinic room/registry"},
		"every collaboration":            {approval.Electorate{InForce: []approval.Standing{{Manifest: room}, {Manifest: hall}}}, "clinic clinic2 registry", "hall/press"},
		"who left has no say":            {approval.Electorate{InForce: []approval.Standing{{Manifest: room, Left: []string{"clinic"}}}}, "registry", ""},
		"before any manifest, a founder": {approval.Electorate{Founders: founders}, "founder", ""},
		"before any manifest, nobody":    {approval.Electorate{Founders: founders}, "clinic", "a founder"},
		"all have left":                  {approval.Electorate{InForce: []approval.Standing{{Manifest: hall, Left: []string{"clinic", "press"}}}, Founders: founders}, "press", "a founder"},
	} {
		var signers []key.Public
		for _, who := range strings.Fields(c.signers) {
			signers = append(signers, keys[who].Public())
		}
		if got := c.e.Missing(signers); strings.Join(got, " ") != c.missing {
			t.Errorf("%s: missing %v, want %s", name, got, c.missing)
		}
	}
	public("node")
	said := membership.Statement{Action: membership.Remove, Ledger: strings.Repeat("a", 32), Number: 1, Node: &membership.Node{Key: keys["node"].Public()}}
	e, err := membership.Sign(said, keys["founder"], keys["press"])
	if err != nil {
		t.Fatal(err)
	}
	electorate := approval.Electorate{InForce: []approval.Standing{{Manifest: hall}}, Founders: founders}
	if _, signers, err := electorate.Verify(e); err != nil || !slices.Equal(signers, []key.Public{keys["press"].Public()}) {
		t.Errorf("%v %v", signers, err)
	}
	e.Signatures = e.Signatures[:1]
	if _, _, err := electorate.Verify(e); !errors.Is(err, approval.ErrSigner) {
		t.Errorf("a founder where manifests are in force: %v", err)
	}
}
