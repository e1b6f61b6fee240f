package witness_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/key"
	protocol "concordat.dev/protocol/witness"
	"concordat.dev/ui/witness"
)

const ledger = "00112233445566778899aabbccddeeff"

// ledgerLog is a log with its key. Forked ones differ from leaf 3 on.
type ledgerLog struct {
	t      testing.TB
	key    key.Private
	hashes []tlog.Hash
}

func newLog(t testing.TB, size int64, forked bool) *ledgerLog {
	t.Helper()
	k, err := key.FromSeed(bytes.Repeat([]byte{1}, 32))
	must(t, err)
	l := &ledgerLog{t: t, key: k}
	for i := range size {
		body := fmt.Append(nil, i, forked && i >= 3)
		more, err := tlog.StoredHashes(i, checkpoint.Leaf(nil, body), l)
		must(t, err)
		l.hashes = append(l.hashes, more...)
	}
	return l
}

func (l *ledgerLog) ReadHashes(at []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range at {
		out = append(out, l.hashes[i])
	}
	return out, nil
}

func (l *ledgerLog) vkey() string {
	text, err := checkpoint.LogKey(ledger, l.key.Public())
	must(l.t, err)
	return text
}

type signer struct {
	note.Verifier
	key key.Private
}

func (s signer) Sign(msg []byte) ([]byte, error) { return s.key.Sign(msg), nil }

func (l *ledgerLog) request(old, size int64) protocol.Request {
	root, err := tlog.TreeHash(size, l)
	must(l.t, err)
	v, err := checkpoint.LogVerifier(ledger, l.key.Public())
	must(l.t, err)
	signed, err := note.Sign(&note.Note{Text: checkpoint.Text(ledger, size, root)}, signer{v, l.key})
	must(l.t, err)
	r := protocol.Request{Old: old, Checkpoint: signed}
	if old > 0 && old < size {
		r.Proof, err = tlog.ProveTree(size, old, l)
		must(l.t, err)
	}
	return r
}

func create(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "witness")
	must(t, witness.Create(dir, "clinic.example/witness"))
	return dir
}

func open(t testing.TB, dir string, logs ...string) *witness.Witness {
	t.Helper()
	w, err := witness.Open(dir, logs, time.Now)
	must(t, err)
	t.Cleanup(func() { _ = w.Close() }) // again, where a test closed it
	return w
}

func post(w *witness.Witness, body []byte) (int, string) {
	out := httptest.NewRecorder()
	w.Handler().ServeHTTP(out, httptest.NewRequestWithContext(context.Background(), http.MethodPost, protocol.Path, bytes.NewReader(body)))
	return out.Code, out.Body.String()
}

func TestConversation(t *testing.T) {
	l, fork, other := newLog(t, 20, false), newLog(t, 20, true), newLog(t, 20, false)
	other.key, _ = key.FromSeed(bytes.Repeat([]byte{2}, 32))
	dir := create(t)
	w := open(t, dir, l.vkey())
	badProof := l.request(5, 9)
	badProof.Proof[0][0] ^= 1
	idle := l.request(5, 5)
	idle.Proof = []tlog.Hash{{}}
	unknown := l.request(0, 5)
	unknown.Checkpoint = bytes.Replace(unknown.Checkpoint, []byte(ledger), []byte(strings.Repeat("0", 32)), 1)
	for _, step := range []struct {
		name string
		body []byte
		want int
		size string
	}{
		{"garbage", []byte("hello"), 400, ""},
		{"another log", unknown.Marshal(), 404, ""},
		{"another key", other.request(0, 5).Marshal(), 403, ""},
		{"unsigned", bytes.Replace(l.request(0, 5).Marshal(), []byte("\n5\n"), []byte("\n6\n"), 1), 403, ""},
		{"not empty yet it says", l.request(3, 5).Marshal(), 409, "0\n"},
		{"first", l.request(0, 5).Marshal(), 200, ""},
		{"again", l.request(5, 5).Marshal(), 200, ""},
		{"proof between equal sizes", idle.Marshal(), 400, ""},
		{"fork of the same size", fork.request(5, 5).Marshal(), 409, "5\n"},
		{"old size is wrong", l.request(4, 9).Marshal(), 409, "5\n"},
		{"from nothing", l.request(0, 9).Marshal(), 409, "5\n"},
		{"rollback", l.request(0, 4).Marshal(), 409, "5\n"},
		{"rollback that admits it", l.request(5, 4).Marshal(), 400, ""},
		{"bad proof", badProof.Marshal(), 422, ""},
		{"fork", fork.request(5, 9).Marshal(), 422, ""},
		{"growth", l.request(5, 9).Marshal(), 200, ""},
	} {
		code, body := post(w, step.body)
		if code != step.want || step.size != "" && body != step.size {
			t.Errorf("%s: HTTP %d %q, want %d %q", step.name, code, body, step.want, step.size)
		}
		if code != 200 {
			continue
		}
		r, err := protocol.ParseRequest(step.body)
		must(t, err)
		got, err := checkpoint.Open(string(r.Checkpoint)+body, ledger, l.key.Public(), []string{w.Key()})
		must(t, err)
		if at, ok := got.Time(); !ok || time.Since(at) > time.Minute || time.Since(at) < -time.Second {
			t.Errorf("%s: cosigned at %v", step.name, at)
		}
	}
	must(t, w.Close())
	if code, body := post(open(t, dir, l.vkey()), l.request(0, 4).Marshal()); code != 409 || body != "9\n" {
		t.Errorf("after a restart it has forgotten: %d %q", code, body)
	}
}

func TestOneOfManyAtOnceExtendsEachSize(t *testing.T) {
	l, fork := newLog(t, 20, false), newLog(t, 20, true)
	w := open(t, create(t), l.vkey())
	if code, _ := post(w, l.request(0, 2).Marshal()); code != 200 {
		t.Fatal(code)
	}
	codes := make([]int, 20)
	var all sync.WaitGroup
	for i := range codes {
		from := l
		if i%2 == 1 {
			from = fork
		}
		body := from.request(2, 10).Marshal()
		all.Go(func() { codes[i], _ = post(w, body) })
	}
	all.Wait()
	accepted := 0
	for _, c := range codes {
		if c == 200 {
			accepted++
		} else if c != 409 {
			t.Errorf("HTTP %d", c)
		}
	}
	if accepted != 1 {
		t.Errorf("%d of two logs were cosigned from one size", accepted)
	}
}

// TestNothingLeavesBeforeItIsStored takes the folder away: without storing there is no cosignature, and what was seen before stays.
func TestNothingLeavesBeforeItIsStored(t *testing.T) {
	l := newLog(t, 20, false)
	dir := create(t)
	w := open(t, dir, l.vkey())
	if code, _ := post(w, l.request(0, 5).Marshal()); code != 200 {
		t.Fatal(code)
	}
	away := dir + ".away"
	must(t, os.Rename(dir, away))
	if code, body := post(w, l.request(5, 9).Marshal()); code != 500 || strings.Contains(body, "—") {
		t.Errorf("HTTP %d %q", code, body)
	}
	must(t, os.Rename(away, dir))
	if code, body := post(w, l.request(4, 9).Marshal()); code != 409 || body != "5\n" {
		t.Errorf("it believes to have stored: HTTP %d %q", code, body)
	}
}

func TestFolder(t *testing.T) {
	l := newLog(t, 20, false)
	dir := create(t)
	if err := witness.Create(dir, "other.example"); err == nil {
		t.Error("made a second witness in one folder")
	}
	if err := witness.Create(filepath.Join(t.TempDir(), "x"), "two words"); err == nil {
		t.Error("made a witness without a proper name")
	}
	info, err := os.Stat(filepath.Join(dir, "witness.key"))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("key of mode %v", info.Mode())
	}
	w := open(t, dir, l.vkey())
	if second, err := witness.Open(dir, nil, time.Now); err == nil {
		t.Errorf("two processes run %s", second.Key())
	}
	if code, _ := post(w, l.request(0, 5).Marshal()); code != 200 {
		t.Fatal(code)
	}
	if key, seen, err := witness.Check(dir, []string{l.vkey()}, time.Now); err != nil || key != w.Key() || len(seen) != 1 || seen[0].Size != 5 {
		t.Errorf("a check while it runs says %s, %+v: %v", key, seen, err)
	}
	must(t, w.Close())
	files, err := filepath.Glob(filepath.Join(dir, "*.checkpoint"))
	must(t, err)
	kept, err := os.ReadFile(files[0])
	must(t, err)
	for name, content := range map[string][]byte{"damaged": bytes.Replace(kept, []byte("\n5\n"), []byte("\n3\n"), 1), "empty": nil} {
		must(t, os.WriteFile(files[0], content, 0o600))
		if w, err := witness.Open(dir, []string{l.vkey()}, time.Now); err == nil {
			t.Errorf("%s: opened", name)
			must(t, w.Close())
		}
		if _, _, err := witness.Check(dir, []string{l.vkey()}, time.Now); err == nil {
			t.Errorf("%s: a check says nothing", name)
		}
	}
	for name, logs := range map[string][]string{"no key": {"log"}, "twice": {l.vkey(), l.vkey()}} {
		if w, err := witness.Open(create(t), logs, time.Now); err == nil {
			t.Errorf("%s: opened", name)
			must(t, w.Close())
		}
	}
}

func TestAbout(t *testing.T) {
	l := newLog(t, 20, false)
	w := open(t, create(t), l.vkey())
	post(w, l.request(0, 5).Marshal())
	server := httptest.NewServer(w.Handler())
	defer server.Close()
	res, err := server.Client().Get(server.URL)
	must(t, err)
	body, err := io.ReadAll(res.Body)
	must(t, err)
	must(t, res.Body.Close())
	if want := w.Key() + "\nconcordat.dev/ledger/" + ledger + " 5\n"; string(body) != want {
		t.Errorf("%q, want %q", body, want)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
