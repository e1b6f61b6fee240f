package mesh

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binaries is a folder with MarbleRun's own coordinator and the stand-ins of testdata/marble.
var binaries string

func TestMain(m *testing.M) {
	if home := os.Getenv("TEST_MESH_ATTACHED"); home != "" {
		os.Exit(attached(home)) // see TestAttachedMeshDiesWithItsSupervisor
	}
	code, err := withBinaries(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

func withBinaries(run func() int) (int, error) {
	dir, err := os.MkdirTemp("", "mesh")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binaries = dir
	for name, args := range map[string][]string{
		marbleRunBinary:   {"-C", "../../tools/marblerun", "github.com/edgelesssys/marblerun/cmd/coordinator"},
		coordinatorBinary: {"-C", ".", "-ldflags=-X main.build=coordinator", "./testdata/marble"},
		workerBinary:      {"-C", ".", "-ldflags=-X main.build=worker", "./testdata/marble"},
	} {
		args := append([]string{"build", args[0], args[1], "-trimpath", "-buildvcs=false", "-o", filepath.Join(dir, name)}, args[2:]...)
		cmd := exec.Command("go", args...)
		cmd.Env = append(os.Environ(), "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	return run(), nil
}
