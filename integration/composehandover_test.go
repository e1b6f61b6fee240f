package integration_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"concordat.dev/integration/harness"
	"concordat.dev/protocol/document"
	"concordat.dev/ui/demo"
)

// The demo's manifest as it is amended here: the next version, and a part of it anew.
var (
	versionLine   = regexp.MustCompile(`(?m)^version:[ \t]*(\d+)`)
	witnessesLine = regexp.MustCompile(`(?m)^witnesses:.*\n(?:[ -].*\n)*`) // with the lines of a block below it
)

// manifest is the file of the demo's room.
func (d deployed) manifest() string {
	return filepath.Join(d.home, "demo", "room", document.ManifestFile)
}

// amend changes the demo's manifest, and has all organisations sign it.
func (d deployed) amend(change func(text string) string) {
	d.t.Helper()
	text, err := os.ReadFile(d.manifest())
	if err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(d.manifest(), []byte(change(string(text))), 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.signed()
}

// signed proposes the demo's manifest as it stands in its folder, and has each organisation compare it with that and sign.
func (d deployed) signed() {
	d.t.Helper()
	room := filepath.Dir(d.manifest())
	d.concordat("manifest", "propose", room, "--key", d.key(demo.Organisations[0].ID))
	for _, o := range demo.Organisations {
		d.concordat("manifest", "sign", "--key", d.key(o.ID), "--dir", room, "--yes")
	}
}

func (d deployed) key(id string) string { return filepath.Join(d.home, "keys", id+".key") }

// next is the manifest's text under the next version's number.
func next(text string) string {
	return versionLine.ReplaceAllStringFunc(text, func(line string) string {
		n, _ := strconv.Atoi(versionLine.FindStringSubmatch(line)[1])
		return "version: " + strconv.Itoa(n+1)
	})
}

// handOver starts the images of another build as another project beside this one, and hands the ledger over to it, with the data that lie in the
// volume of this project's object store. From then on d is that mesh.
func (d *deployed) handOver() {
	old, before, entries := *d, d.State(), d.Ask().GetLogSize()
	heir := old
	heir.project, heir.built = old.project+"-next", harness.NextBuild(d.t, false)
	heir.compose = append(old.compose[:len(old.compose):len(old.compose)], "-f", "docker-compose.yml", "-f", filepath.Join("deploy", "compose", "succeeds.yaml"))
	heir.env = append(old.env[:len(old.env):len(old.env)], "CONCORDAT_TAG="+heir.project, "CONCORDAT_SUCCEEDS="+old.project)
	heir.env = append(heir.env, ports(d.t)...)
	heir.images()
	d.whole.Cleanup(func() { heir.takeDown(d.whole) })
	heir.up("marblerun", "store", "worker-1", "worker-2") // its coordinators say that they are not ready, for want of a ledger

	root, addresses := heir.root(), []string{}
	for i := range 3 {
		addresses = append(addresses, "--to-coordinator", heir.published("coordinator-"+strconv.Itoa(i+1), "7300"))
	}
	hand := append([]string{"mesh", "handover", "--to-root", root, "--key", old.key(demo.Organisations[0].ID)}, addresses...)
	d.until("the new mesh waits for the ledger", func() bool {
		return harness.Command(d.t, d.bin, d.home, append(hand, "--draft", filepath.Dir(old.manifest()))...).Code == 0
	})
	old.concordat("mesh", "verify", filepath.Dir(old.manifest()), "--coordinator", addresses[1], "--marblerun", heir.published("marblerun", "4433"))
	old.signed()
	old.concordat(hand...)
	old.composed("down", "-t", "20")

	heir.adopt()
	after := heir.State()
	if after.Ledger != before.Ledger || after.RootCertificate == before.RootCertificate || after.MarbleRunManifest == before.MarbleRunManifest {
		d.t.Errorf("ledger %s under root %s and manifest %s, was %s under %s and %s",
			after.Ledger, after.RootCertificate, after.MarbleRunManifest, before.Ledger, before.RootCertificate, before.MarbleRunManifest)
	}
	heir.checkImages()
	heir.ask(65)
	if now := heir.Ask().GetLogSize(); now <= entries {
		d.t.Errorf("the log has %d entries, had %d", now, entries)
	}
	heir.concordat("log", "verify")
	*d = heir
}
