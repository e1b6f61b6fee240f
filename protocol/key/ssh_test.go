package key_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"concordat.dev/protocol/key"
)

const namespace = "test@concordat.dev"

func TestSSHFormOfAKey(t *testing.T) {
	p := newKey(t)
	ssh := p.AsSSH().Public()
	pub, err := key.ParsePublic(ssh.String())
	if err != nil || pub != ssh || !pub.SSH() || !strings.HasPrefix(pub.String(), "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI") {
		t.Fatal(pub, err)
	}
	if plain := p.Public(); pub == plain || !pub.Same(plain) || pub.Same(newKey(t).Public()) {
		t.Fatal("forms of one key differ as values and are the same key")
	}
	if !pub.Verify([]byte("m"), p.Sign([]byte("m"))) {
		t.Fatal("a plain signature does not verify")
	}
	for name, bad := range map[string]string{
		"comment": ssh.String() + " me@example", "cut": ssh.String()[:40], "other type": strings.Replace(ssh.String(), "AAAAC3NzaC1lZDI1", "AAAAC3NzaC1lZDI2", 1),
		"space": "ssh-ed25519  " + ssh.String()[12:], "empty": "ssh-ed25519 ", "rsa": "ssh-rsa AAAA",
	} {
		if _, err := key.ParsePublic(bad); err == nil {
			t.Errorf("%s: accepted %q", name, bad)
		}
	}
}

func TestSSHSignature(t *testing.T) {
	p := newKey(t).AsSSH()
	blob := p.SignSSH(namespace, []byte("m"))
	pub, unarmored, err := key.ParseSSHSignature(key.ArmorSSH(blob))
	if err != nil || pub != p.Public() || !bytes.Equal(unarmored, blob) {
		t.Fatal(pub, err)
	}
	if !pub.VerifySSH(namespace, []byte("m"), blob) {
		t.Fatal("does not verify")
	}
	if pub.VerifySSH("other@concordat.dev", []byte("m"), blob) || pub.VerifySSH(namespace, []byte("n"), blob) || newKey(t).Public().VerifySSH(namespace, []byte("m"), blob) {
		t.Fatal("verifies for another namespace, message or key")
	}
	for i := range blob {
		changed := bytes.Clone(blob)
		changed[i] ^= 1
		if pub.VerifySSH(namespace, []byte("m"), changed) {
			t.Fatalf("byte %d of the signature is loose", i)
		}
	}
	if pub.VerifySSH(namespace, []byte("m"), append(blob, 0)) {
		t.Fatal("a tail is accepted")
	}
}

// Both directions with OpenSSH's own program: what it makes we accept, what we make it accepts.
func TestOpenSSHAgrees(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("ssh-keygen is not installed")
	}
	dir := t.TempDir()
	run := func(stdin string, args ...string) error {
		c := exec.Command("ssh-keygen", args...)
		c.Dir, c.Stdin = dir, strings.NewReader(stdin)
		out, err := c.CombinedOutput()
		t.Logf("ssh-keygen %s: %s", strings.Join(args, " "), out)
		return err
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(run("", "-t", "ed25519", "-N", "", "-C", "me@example", "-f", "id"))
	must(os.WriteFile(filepath.Join(dir, "m"), []byte("message"), 0o600))
	must(run("", "-Y", "sign", "-f", "id", "-n", namespace, "m"))
	text, err := os.ReadFile(filepath.Join(dir, "id.pub"))
	must(err)
	words := strings.Fields(string(text))
	pub, err := key.ParsePublic(words[0] + " " + words[1])
	must(err)
	armored, err := os.ReadFile(filepath.Join(dir, "m.sig"))
	must(err)
	named, blob, err := key.ParseSSHSignature(armored)
	must(err)
	if named != pub || !pub.VerifySSH(namespace, []byte("message"), blob) || !bytes.Equal(key.ArmorSSH(blob), armored) {
		t.Fatal("what ssh-keygen signed does not verify, or has another armor")
	}

	private, err := key.Load(filepath.Join(dir, "id"))
	must(err)
	if private.Public() != pub {
		t.Fatalf("loaded %s, want %s", private.Public(), pub)
	}
	must(os.WriteFile(filepath.Join(dir, "signers"), []byte("me@example "+pub.String()+"\n"), 0o600))
	must(os.WriteFile(filepath.Join(dir, "ours.sig"), key.ArmorSSH(private.SignSSH(namespace, []byte("ours"))), 0o600))
	verify := []string{"-Y", "verify", "-f", "signers", "-I", "me@example", "-n", namespace, "-s", "ours.sig"}
	must(run("ours", verify...))
	if run("other", verify...) == nil {
		t.Fatal("ssh-keygen accepts our signature for another message")
	}

	must(run("", "-p", "-N", "secret", "-f", "id"))
	if _, err := key.Load(filepath.Join(dir, "id")); err == nil || !strings.Contains(err.Error(), "passphrase") {
		t.Errorf("with a passphrase: %v", err)
	}
	must(run("", "-t", "ecdsa", "-N", "", "-f", "ec"))
	if _, err := key.Load(filepath.Join(dir, "ec")); err == nil || !strings.Contains(err.Error(), "not ed25519") {
		t.Errorf("an ECDSA key: %v", err)
	}
	must(run("", "-Y", "sign", "-f", "ec", "-n", namespace, "signers"))
	armored, err = os.ReadFile(filepath.Join(dir, "signers.sig"))
	must(err)
	if _, _, err := key.ParseSSHSignature(armored); err == nil {
		t.Error("took a signature of an ECDSA key")
	}
}
