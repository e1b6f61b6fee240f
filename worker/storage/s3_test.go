package storage

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// flaky stands before an S3 server and fails requests as networks and servers do.
type flaky struct {
	server http.Handler
	fail   atomic.Int64 // so many requests fail from now on
	how    func(w http.ResponseWriter, r *http.Request, server http.Handler)
	asked  atomic.Int64
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.asked.Add(1)
	if f.fail.Add(-1) >= 0 {
		f.how(w, r, f.server)
		return
	}
	f.server.ServeHTTP(w, r)
}

func busy(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	http.Error(w, "<Error><Code>SlowDown</Code></Error>", http.StatusServiceUnavailable)
}

// cut sends half of what the server says, and hangs up.
func cut(w http.ResponseWriter, r *http.Request, server http.Handler) {
	recorded := httptest.NewRecorder()
	server.ServeHTTP(recorded, r)
	for name, values := range recorded.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(recorded.Code)
	_, _ = w.Write(recorded.Body.Bytes()[:recorded.Body.Len()/2]) // the client sees to it
	panic(http.ErrAbortHandler)
}

func s3(t *testing.T) (*Store, *flaky) {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("room"); err != nil {
		t.Fatal(err)
	}
	f := &flaky{server: gofakes3.New(backend).Server(), how: busy}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	t.Setenv("AWS_MAX_ATTEMPTS", "1") // ours alone are tested; the SDK's pauses are longer
	store, err := Open(t.Context(), "s3://room?region=us-east-1&use_path_style=true&endpoint="+server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store, f
}

func TestS3(t *testing.T) {
	store, _ := s3(t)
	checkStore(t, store)
}

func checkStore(t *testing.T, store *Store) {
	t.Helper()
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // 16 MiB goes in parts
	for key, body := range map[string][]byte{"a/1": []byte("one"), "a/2": {}, "b/1": big} {
		if err := store.Put(t.Context(), key, body); err != nil {
			t.Fatal(err)
		}
		got, err := store.Get(t.Context(), key, int64(len(body)))
		if err != nil || !bytes.Equal(got, body) {
			t.Fatalf("%s: %d bytes, %v", key, len(got), err)
		}
	}
	if _, err := store.Get(t.Context(), "b/1", 10); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	if _, err := store.Get(t.Context(), "c", 10); !errors.Is(err, ErrMissing) {
		t.Error(err)
	}
	if keys, err := store.List(t.Context(), "a/"); err != nil || strings.Join(keys, " ") != "a/1 a/2" {
		t.Error(keys, err)
	}
	if err := store.Delete(t.Context(), "a/1", "a/none", "a/2", "b/1"); err != nil {
		t.Error(err)
	}
	if keys, err := store.List(t.Context(), ""); err != nil || len(keys) > 0 {
		t.Error(keys, err)
	}
}

func TestS3ThatFails(t *testing.T) {
	store, f := s3(t)
	body := bytes.Repeat([]byte("x"), 1<<20)
	f.fail.Store(attempts - 1)
	if err := store.Put(t.Context(), "k", body); err != nil {
		t.Fatal(err)
	}
	f.how = cut
	f.fail.Store(1)
	if got, err := store.Get(t.Context(), "k", 1<<20); err != nil || !bytes.Equal(got, body) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	f.how = busy
	f.fail.Store(1 << 30)
	if _, err := store.Get(t.Context(), "k", 1<<20); !errors.Is(err, ErrAway) || !strings.Contains(err.Error(), "read object k") {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := store.Put(ctx, "k", body); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	f.fail.Store(0)
	asked := f.asked.Load()
	if _, err := store.Get(t.Context(), "none", 1); !errors.Is(err, ErrMissing) || f.asked.Load() != asked+1 {
		t.Errorf("%v after %d requests", err, f.asked.Load()-asked)
	}
}

func TestSealedInS3(t *testing.T) {
	store, f := s3(t)
	here := room(t)
	here.store = store
	f.fail.Store(2)
	sealed := here.seal(t, 5000, 2000)
	f.fail.Store(2)
	if rows, err := here.read(t, sealed); err != nil || rows != 5000 || len(sealed.Objects) < 2 {
		t.Errorf("%d rows of %d objects, %v", rows, len(sealed.Objects), err)
	}
}

func TestAzureIsKnown(t *testing.T) {
	t.Setenv("AZURE_STORAGE_ACCOUNT", "account")
	t.Setenv("AZURE_STORAGE_KEY", "a2V5")
	store, err := Open(t.Context(), "azblob://room")
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}
