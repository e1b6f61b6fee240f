package listen_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"concordat.dev/coordinator/listen"
)

// A body that stalls ends with an error, over both protocols.
func TestABodyThatStallsEnds(t *testing.T) {
	for _, two := range []bool{false, true} {
		ended := make(chan error, 1)
		s := httptest.NewUnstartedServer(listen.Steady(listen.Pace{Grace: 50 * time.Millisecond, Rate: 1 << 30}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			ended <- err
		})))
		s.EnableHTTP2 = two
		s.StartTLS()
		body, hold := io.Pipe()
		go func() { _, _ = hold.Write([]byte("x")) }()
		go func() {
			if r, err := s.Client().Post(s.URL, "text/plain", body); err == nil {
				_ = r.Body.Close()
			}
		}()
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("HTTP/2 %t: %v", two, err)
		}
		_ = hold.Close()
		s.Close()
	}
}

// deadlines notes what a server's connection was told.
type deadlines struct {
	http.ResponseWriter
	set []time.Time
}

// SetReadDeadline is that of http.ResponseController.
func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return nil
}

// Who sends steadily has as long as it takes, and once all is there no deadline is left that would end the request.
func TestASteadyBodyMovesItsDeadlineOn(t *testing.T) {
	const size = 1 << 20
	w := &deadlines{ResponseWriter: httptest.NewRecorder()}
	r := httptest.NewRequest(http.MethodPut, "/", strings.NewReader(strings.Repeat("x", size)))
	listen.Steady(listen.Pace{Grace: time.Second, Rate: 1 << 10}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); n != size || err != nil {
			t.Error(n, err)
		}
	})).ServeHTTP(w, r)
	last := len(w.set) - 1
	if last < 4 || !w.set[last].IsZero() {
		t.Fatalf("%d deadlines, the last %v", len(w.set), w.set[last])
	}
	if first, end := w.set[0], w.set[last-1]; end.Sub(first) < size/(1<<10)*time.Second/2 {
		t.Errorf("from %v to %v", first, end)
	}
}
