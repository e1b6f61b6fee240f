package server_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"concordat.dev/protocol/statement"
)

// TestDestroyedWhileACoordinatorWasDown has an organisation leave and another revoke while one of three coordinators is down, its disk full of
// what is destroyed. Once it is back no file of any of the three holds a piece of the log as it was, nor a torn snapshot.
func TestDestroyedWhileACoordinatorWasDown(t *testing.T) {
	const away = 2
	m := ready(t, 1, nil)
	form := m.manifest(1, nil)
	var wraps [][]byte
	for _, id := range []string{"clinic.patients", "registry.events"} {
		wrap := m.nodes[0].State().Dataset(room, id).Versions[0].Wrap
		wraps = append(wraps, []byte(base64.StdEncoding.EncodeToString(wrap)))
	}
	must(t, m.nodes[away].Sync(m.ctx()))
	m.stop(away)
	torn := filepath.Join(m.configs[away].DataDir, "snapshots", "1-2-3.tmp")
	must(t, os.MkdirAll(torn, 0o700))
	must(t, os.WriteFile(filepath.Join(torn, "state.bin"), bytes.Repeat([]byte("torn"), 1<<10), 0o600))
	var before [][]byte
	for _, c := range m.configs {
		held := pieces(t, c.DataDir)
		if len(held) < 8 {
			t.Fatalf("%s: only %d pieces of a log", c.DataDir, len(held))
		}
		before = append(before, held...)
	}

	must(t, m.tell("registry", form, statement.Leave, nil))
	must(t, m.tell("clinic", form, statement.Revoke, nil))
	m.start(away)
	for i, n := range m.nodes {
		must(t, n.Sync(m.ctx()))
		m.compacted(i, n)
		write, err := n.State().Snapshot()
		must(t, err)
		var state bytes.Buffer
		must(t, write(&state))
		for _, wrap := range wraps {
			if bytes.Contains(state.Bytes(), wrap) {
				t.Errorf("coordinator %d keeps a wrap", i)
			}
		}
		for _, now := range pieces(t, m.configs[i].DataDir) {
			if slices.ContainsFunc(before, func(piece []byte) bool { return bytes.Equal(piece, now) }) {
				t.Fatalf("coordinator %d: its disk holds a piece of what it held before", i)
			}
		}
	}
}

// pieces are bytes of a coordinator's log and snapshots as they lie on the disk, one of each KiB.
func pieces(t *testing.T, dir string) (out [][]byte) {
	t.Helper()
	const every, length = 1 << 10, 48
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil // it went away while we looked
		}
		if err != nil || d.IsDir() || filepath.Ext(path) != ".wal" && filepath.Base(path) != "state.bin" {
			return err
		}
		content, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		for at := every; at+length < len(content); at += every {
			if piece := content[at : at+length]; !bytes.Contains(piece, make([]byte, length/2)) { // written at all
				out = append(out, bytes.Clone(piece))
			}
		}
		return err
	}))
	return out
}
