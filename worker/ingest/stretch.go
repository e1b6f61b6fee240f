package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// stretchBytes is how much text is parsed at once, and so the longest record.
const stretchBytes = 1 << 20

var errLongRecord = errors.New("a record is longer than 1 MiB; perhaps a quote isn't closed, or quotes are ordinary characters, which the dialect has to say")

// cutter cuts text into stretches of whole records.
type cutter struct {
	r     io.Reader
	quote byte   // 0: records end with each line
	rest  []byte // begins a record
	end   bool
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
	n := boundary(buf, c.quote)
	if n == 0 {
		return nil, errLongRecord
	}
	c.rest = append(c.rest, buf[n:]...)
	return buf[:n], nil
}

// boundary is the position after the last line end outside quotes, 0 when there is none: an even number of quotes comes before it.
func boundary(b []byte, quote byte) int {
	if quote == 0 {
		return bytes.LastIndexByte(b, '\n') + 1
	}
	quotes := bytes.Count(b, []byte{quote})
	for end := len(b); ; {
		n := bytes.LastIndexByte(b[:end], '\n')
		if n < 0 {
			return 0
		}
		if quotes -= bytes.Count(b[n:end], []byte{quote}); quotes%2 == 0 {
			return n + 1
		}
		end = n
	}
}
