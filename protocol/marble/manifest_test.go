package marble_test

import (
	"errors"
	"strings"
	"testing"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/marble"
)

func TestManifestIsAFunctionOfItsMeasurements(t *testing.T) {
	m := marble.Measurements{Coordinator: strings.Repeat("a1", 32), Worker: strings.Repeat("b2", 32)}
	raw, err := marble.Manifest(m)
	if err != nil {
		t.Fatal(err)
	}
	// Participants sign this digest: other bytes for the same measurements would be another mesh.
	if got, want := canon.Sum(raw), canon.Digest("sha256:1c933f6c7dd15c34b3ede4d8796ccd8d4e4512d596b896f3781f47677fe56156"); got != want {
		t.Errorf("digest %s, want %s of\n%s", got, want, raw)
	}
	back, err := marble.ReadManifest(raw)
	if err != nil || back != m {
		t.Fatalf("read back %+v, %v", back, err)
	}

	text := string(raw)
	for name, bad := range map[string]string{
		"user":                 strings.Replace(text, `"Secrets"`, `"Users":{"eve":{"Certificate":"x"}},"Secrets"`, 1),
		"recovery key":         strings.Replace(text, `"Secrets"`, `"RecoveryKeys":{"eve":"x"},"Secrets"`, 1),
		"secret of the other":  strings.Replace(text, ".Secrets.worker_root", ".Secrets.coordinator_root", 1),
		"debug enclave":        strings.Replace(text, `"UniqueID":`, `"Debug":true,"UniqueID":`, 1),
		"signer instead of id": strings.Replace(text, "UniqueID", "SignerID", 1),
		"seal mode":            strings.Replace(text, "UniqueKey", "Disabled", 1),
		"white space":          text + "\n",
		"empty":                "{}",
		"not JSON":             "manifest",
	} {
		if bad == text {
			t.Fatalf("%s: the case changes nothing", name)
		}
		if _, err := marble.ReadManifest([]byte(bad)); !errors.Is(err, marble.ErrManifest) {
			t.Errorf("%s: got %v, want ErrManifest", name, err)
		}
	}
}

func TestManifestRefusesWhatIsNoMeasurement(t *testing.T) {
	for _, bad := range []string{"", "sha256:" + strings.Repeat("a", 64), strings.Repeat("A", 64), strings.Repeat("a", 63)} {
		if _, err := marble.Manifest(marble.Measurements{Coordinator: strings.Repeat("a", 64), Worker: bad}); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}
