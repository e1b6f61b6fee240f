package bundle_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"concordat.dev/protocol/document"
	"concordat.dev/protocol/receipt"
	"concordat.dev/protocol/receipt/bundle"
	"concordat.dev/protocol/receipt/receipttest"
)

// commands are the shell blocks of VERIFY.md, just as a reader would paste them.
func commands(t *testing.T, page []byte) string {
	t.Helper()
	var out strings.Builder
	inside := false
	for line := range strings.Lines(string(page)) {
		switch {
		case line == "```sh\n":
			inside = true
		case line == "```\n":
			inside = false
		case inside:
			out.WriteString(line)
		}
	}
	return out.String()
}

// check runs VERIFY.md's commands in a folder of these files, after spoiling some.
func check(t *testing.T, files map[string][]byte, spoil func(dir string)) (string, error) {
	t.Helper()
	for _, tool := range []string{"openssl", "ssh-keygen", "sha256sum"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	dir := t.TempDir()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if spoil != nil {
		spoil(dir)
	}
	c := exec.Command("sh", "-eu", "-c", commands(t, files["VERIFY.md"]))
	c.Dir, c.Env = dir, append(os.Environ(), "LC_ALL=C")
	out, err := c.CombinedOutput()
	return string(out), err
}

// world has what a receipt can have: two witnesses, a participant that signs by ssh-keygen, one that signs by a passkey.
func world(t *testing.T) receipt.Receipt {
	t.Helper()
	w := receipttest.New(t)
	a, b := receipttest.NewWitness(t, "a.example"), receipttest.NewWitness(t, "b.example")
	w.Bundle.Manifest.Witnesses = &document.Witnesses{Keys: []string{a.VKey(), b.VKey()}, Quorum: 2}
	w.Cosign = append(w.Cosign, a, b)
	w.SSH(t)
	w.Passkey(t)
	w.SGX(t, nil)
	r, o := w.Receipt(t)
	if report := receipt.Verify(r, o); !report.OK() {
		t.Fatal(report)
	}
	return r
}

func files(t *testing.T, r receipt.Receipt) map[string][]byte {
	t.Helper()
	f, err := bundle.Files(r)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestOpenSSLAndSSHKeygenAgree(t *testing.T) {
	plain, _ := receipttest.New(t).Receipt(t)
	secret := plain
	secret.SQL = ""
	for name, r := range map[string]receipt.Receipt{"in simulation": plain, "without text": secret, "with all there is": world(t)} {
		out, err := check(t, files(t, r), nil)
		if err != nil || !strings.Contains(out, "all signatures and digests of this receipt hold") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	for _, leaves := range []int{0, 3, 4} { // alone on its side of the tree, inside, and last but two
		w := receipttest.New(t)
		w.Leaves = leaves
		r, _ := w.Receipt(t)
		if out, err := check(t, files(t, r), nil); err != nil {
			t.Errorf("leaf %d: %v\n%s", leaves, err, out)
		}
	}
}

// Whichever file is changed, the commands stop. Evidence, MarbleRun's manifest and the whole receipt are there for other tools.
func TestTamperedBundle(t *testing.T) {
	t.Parallel()
	all := files(t, world(t))
	for name, b := range all {
		if slices.Contains([]string{"VERIFY.md", "receipt.json", "marblerun.json", "evidence-1.bin", "evidence-1.collateral.json"}, name) {
			continue
		}
		if strings.Contains(name, "-2") || strings.Contains(name, "proof-00") {
			continue // another of a kind
		}
		at := len(b) / 2
		if name == "checkpoint.txt" {
			at = bytes.IndexByte(b, '\n') + 1 // the size
		}
		out, err := check(t, all, func(dir string) {
			changed := bytes.Clone(b)
			changed[at] ^= 1
			if err := os.WriteFile(filepath.Join(dir, name), changed, 0o600); err != nil {
				t.Fatal(err)
			}
		})
		if err == nil {
			t.Errorf("%s: byte %d changed, and the commands say:\n%s", name, at, out)
		}
	}
}

// Each receipt fails verification; what of it is a matter of signatures and digests, the commands must see too.
func TestTamperedReceipt(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*receipt.Receipt, receipt.Receipt){
		"result": func(r *receipt.Receipt, _ receipt.Receipt) {
			r.Result = bytes.Replace(r.Result, []byte("120"), []byte("121"), 1)
		},
		"SQL":                 func(r *receipt.Receipt, _ receipt.Receipt) { r.SQL += " " },
		"body of another":     func(r *receipt.Receipt, other receipt.Receipt) { r.Body = other.Body },
		"root of another":     func(r *receipt.Receipt, other receipt.Receipt) { r.Root = other.Root },
		"grant of another":    func(r *receipt.Receipt, other receipt.Receipt) { r.Grant = other.Grant },
		"approval of another": func(r *receipt.Receipt, other receipt.Receipt) { r.Approvals[0] = other.Approvals[0] },
		"manifest of another": func(r *receipt.Receipt, other receipt.Receipt) { r.Manifest = other.Manifest },
		"log of another":      func(r *receipt.Receipt, other receipt.Receipt) { r.Checkpoint = other.Checkpoint },
		"index":               func(r *receipt.Receipt, _ receipt.Receipt) { r.Index-- },
		"salt":                func(r *receipt.Receipt, _ receipt.Receipt) { r.Salt[0] ^= 1 },
		"proof":               func(r *receipt.Receipt, _ receipt.Receipt) { r.Proof = r.Proof[1:] },
		"worker by coordinator": func(r *receipt.Receipt, _ receipt.Receipt) {
			r.Body.Chain = r.Grant.Keys.Chain
		},
	} {
		r, _ := receipttest.New(t).Receipt(t)
		other, _ := receipttest.New(t).Receipt(t)
		change(&r, other)
		f, err := bundle.Files(r)
		if err != nil {
			continue // not even that
		}
		if out, err := check(t, f, nil); err == nil {
			t.Errorf("%s: the commands say:\n%s", name, out)
		}
	}
}

// Nothing that a receipt says is run by its reader: names of a forged one do not reach the page.
func TestForgedNamesAreNotRun(t *testing.T) {
	r, _ := receipttest.New(t).Receipt(t)
	const evil = "$(touch pwned)"
	r.SQL = evil
	r.Manifest = bytes.ReplaceAll(r.Manifest, []byte("nafld-outcomes"), []byte(evil))
	r.Approvals[0].Payload = []byte(evil)
	if page := files(t, r)["VERIFY.md"]; bytes.Contains(page, []byte("pwned")) {
		t.Errorf("VERIFY.md holds text of the receipt:\n%s", page)
	}
	for name, bad := range map[string]func(*receipt.Receipt){
		"key id":  func(r *receipt.Receipt) { r.Approvals[0].Signatures[0].KeyID = evil },
		"size":    func(r *receipt.Receipt) { r.Checkpoint = strings.Replace(r.Checkpoint, "\n8\n", "\n"+evil+"\n", 1) },
		"origin":  func(r *receipt.Receipt) { r.Checkpoint = evil + r.Checkpoint },
		"no mesh": func(r *receipt.Receipt) { r.Manifest = []byte("{}") },
	} {
		r, _ := receipttest.New(t).Receipt(t)
		bad(&r)
		if _, err := bundle.Files(r); err == nil {
			t.Errorf("%s: taken apart", name)
		}
	}
}
