package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

// stretchBytes is how much text is parsed at once, and so the longest record.
const stretchBytes = 1 << 20

var errLongRecord = errors.New("a record is longer than 1 MiB; perhaps a quote isn't closed")

// plain undoes gzip, drops a byte order mark and refuses UTF-16.
func plain(r io.Reader, limit int64) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	if magic, _ := b.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) { // an error comes again with Read
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("%w: gzip: %w", ErrFormat, err)
		}
		b = bufio.NewReaderSize(z, 1<<16)
	}
	switch mark, _ := b.Peek(3); {
	case bytes.HasPrefix(mark, []byte{0xef, 0xbb, 0xbf}):
		if _, err := b.Discard(3); err != nil {
			return nil, err
		}
	case bytes.HasPrefix(mark, []byte{0xff, 0xfe}), bytes.HasPrefix(mark, []byte{0xfe, 0xff}):
		return nil, fmt.Errorf("%w: it is UTF-16; save it as UTF-8", ErrFormat)
	}
	if limit > 0 {
		return &limited{b, limit}, nil
	}
	return b, nil
}

// limited stops a file that unpacks to more than it may.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, fmt.Errorf("%w: it unpacks to more bytes than are allowed", ErrFormat)
	}
	return n, err
}

// cutter cuts text into stretches of whole records.
type cutter struct {
	r    io.Reader
	rest []byte // begins a record
	end  bool
}

// next fills buf (of capacity stretchBytes+1+padding) with records and gives it back; io.EOF when there are no more.
func (c *cutter) next(buf []byte) ([]byte, error) {
	buf = append(buf[:0], c.rest...)
	c.rest = c.rest[:0]
	for !c.end && len(buf) < stretchBytes {
		n, err := c.r.Read(buf[len(buf):stretchBytes])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			c.end = true
		} else if err != nil {
			return nil, fmt.Errorf("read: %w", err)
		}
	}
	if c.end {
		if len(buf) == 0 {
			return nil, io.EOF
		}
		if buf[len(buf)-1] != '\n' {
			buf = append(buf, '\n')
		}
		return buf, nil
	}
	n := boundary(buf)
	if n == 0 {
		return nil, errLongRecord
	}
	c.rest = append(c.rest, buf[n:]...)
	return buf[:n], nil
}

// boundary is the position after the last line end outside quotes, 0 when there is none: an even number of quotes comes before it.
func boundary(b []byte) int {
	quotes := bytes.Count(b, []byte{'"'})
	for end := len(b); ; {
		n := bytes.LastIndexByte(b[:end], '\n')
		if n < 0 {
			return 0
		}
		if quotes -= bytes.Count(b[n:end], []byte{'"'}); quotes%2 == 0 {
			return n + 1
		}
		end = n
	}
}
