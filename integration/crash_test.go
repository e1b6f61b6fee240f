package integration_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"concordat.dev/integration/harness"
	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/ui/client"
)

// Sentinels stand in every row of the file, in its identifiers and in its values, and in nothing that may lie about in clear.
const (
	sentinelPerson = "SENTINELPERSON"
	sentinelValue  = "SENTINELVALUE"
)

// TestCrashLeavesNoPlaintext kills both workers in the middle of an ingest and in the middle of a query, and looks through everything that any process of
// the mesh has written: disks, logs, temporary files and the object store.
func TestCrashLeavesNoPlaintext(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	m := harness.Up(t)
	r := m.Agree(harness.StudyRoom(), func(b *document.Bundle) {
		harness.Generous(b)
		b.Policies["registry.events"].Columns["note"] = document.Column{Type: "varchar", Role: "dimension"}
	})
	file := sentinels(t, 1_500_000)
	u := r.Uploading("registry.events", file)
	u.PartSize = 8 << 20
	killed := false
	u.Phase = func(phase string) {
		if phase == "ingest" && !killed {
			killed = true
			looks := 0
			until(t, func() bool { // rows are in memory, some perhaps sealed; reading them all takes much longer
				looks++
				return looks > 40 || len(sealedObjects(t, m)) > 0
			})
			m.Kill("worker-1")
			m.Kill("worker-2")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	_, err := u.Run(ctx)
	cancel()
	if !killed || err == nil {
		t.Fatalf("no ingest was interrupted: killed %v, %v", killed, err)
	}
	searched(t, "after the death in ingest", m.Home, temporary, u.Home)

	m.Return("worker-1")
	m.Return("worker-2")
	u.Phase = nil
	report, err := u.Run(t.Context())
	if err != nil || !harness.Accepted(t, report) {
		t.Fatal(err)
	}
	searched(t, "after the upload", m.Home, temporary, u.Home)

	r.As(harness.Analyst)
	answered := make(chan struct{})
	asking, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		defer close(answered)
		_, _ = r.Query(asking, harness.Analyst, client.Question{SQL: "SELECT note, count(DISTINCT id) AS n FROM registry.events GROUP BY note"}) // no worker is left to answer
	}()
	until(t, func() bool {
		select {
		case <-answered: // it was faster than we look; the rows are in memory all the same
			return true
		default:
			return slices.ContainsFunc(m.Ask().GetWorkers(), func(w *concordatv1.Worker) bool { return w.GetRunning() > 0 })
		}
	})
	m.Kill("worker-1")
	m.Kill("worker-2")
	stop()
	<-answered
	searched(t, "after the death in a query", m.Home, temporary, u.Home)
	m.Return("worker-1")
	m.Return("worker-2")
	r.Released("SELECT event, count(DISTINCT id) AS n FROM registry.events GROUP BY event")
	searched(t, "after a query", m.Home, temporary, u.Home)
}

// until waits for something that comes soon.
func until(t *testing.T, there func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); !there(); {
		if time.Now().After(end) {
			t.Fatal("it does not come")
		}
		<-tick.C
	}
}

// searched fails where one of the sentinels stands in a file below the folders, whatever the file is.
func searched(t *testing.T, when string, folders ...string) {
	t.Helper()
	files, size := 0, 0
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil //nolint:nilerr // it went away while we looked
			}
			raw, err := os.ReadFile(path) //nolint:gosec // below the test's own folders
			if os.IsNotExist(err) {
				return nil
			}
			if err != nil {
				return err
			}
			files, size = files+1, size+len(raw)
			for _, s := range []string{sentinelPerson, sentinelValue} {
				if bytes.Contains(raw, []byte(s)) || bytes.Contains(raw, []byte(strings.ToLower(s))) {
					t.Errorf("%s: %s holds %s", when, path, s)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if size < 1<<20 {
		t.Errorf("%s: only %d bytes in %d files were looked through", when, size, files)
	}
}

func sentinels(t *testing.T, rows int) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("id,days,event,note\n")
	for i := range rows {
		fmt.Fprintf(&b, "%s%d,%d,htn,%s%d\n", sentinelPerson, i/2, i%7000, sentinelValue, i%50)
	}
	return harness.File(t, "events.csv", b.String())
}
