package listen

import (
	"io"
	"net/http"
	"time"
)

// Pace is how fast a body has to arrive: after Grace, at Rate bytes a second on average.
type Pace struct {
	Grace time.Duration
	Rate  int64
}

// People is the pace of clients of people: a slow line is slow, and a line on which nothing comes is none.
var People = Pace{Grace: 30 * time.Second, Rate: 8 << 10}

// deadlineEvery is after how many bytes the deadline is moved on.
const deadlineEvery = 256 << 10

// Steady ends requests whose bodies come more slowly than the pace: without it, strangers keep connections and memory for nothing.
func Steady(p Pace, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &steadyBody{ReadCloser: r.Body, pace: p, started: time.Now(), set: http.NewResponseController(w).SetReadDeadline}
		}
		next.ServeHTTP(w, r)
	})
}

type steadyBody struct {
	io.ReadCloser
	pace    Pace
	started time.Time
	read    int64
	next    int64 // at so many bytes the deadline is moved on
	set     func(time.Time) error
}

// Read implements io.Reader.
func (b *steadyBody) Read(p []byte) (int, error) {
	if b.read >= b.next {
		b.next = b.read + deadlineEvery
		_ = b.set(b.started.Add(b.pace.Grace + time.Duration(b.next/b.pace.Rate)*time.Second)) // a server without deadlines has none
	}
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if err != nil {
		_ = b.set(time.Time{}) // what follows is the handler's time
	}
	return n, err
}
