package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"concordat.dev/protocol/upload"
)

const (
	// peekBytes is how much of a file tells its format.
	peekBytes = 1 << 10
	// maxInflation is how many times its packed size a text may have, beyond a first allowance: real rows come nowhere near.
	maxInflation   = 500
	freeInflation  = 256 << 20
	maxZstdWindow  = 128 << 20
	gzipMagic      = "\x1f\x8b"
	zstdMagic      = "\x28\xb5\x2f\xfd"
	parquetMagic   = "PAR1"
	arrowFileMagic = "ARROW1\x00\x00"
	arrowMark      = "\xff\xff\xff\xff" // begins each message of a stream
)

// unpack undoes gzip and zstd. The reader it gives can be peeked into.
func unpack(r io.Reader, limit int64) (*bufio.Reader, error) {
	packed := &counter{r: r}
	b := bufio.NewReaderSize(packed, 1<<16)
	var in io.Reader
	how := ""
	switch magic, _ := b.Peek(4); { // an error comes again with Read
	case bytes.HasPrefix(magic, []byte(gzipMagic)):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, unpacking("gzip", err)
		}
		in, how = z, "gzip"
	case bytes.HasPrefix(magic, []byte(zstdMagic)):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecoderMaxMemory(maxZstdWindow))
		if err != nil {
			return nil, unpacking("zstd", err)
		}
		in, how = z.IOReadCloser(), "zstd"
	default:
		if limit <= 0 {
			return b, nil
		}
		in, packed = b, nil
	}
	return bufio.NewReaderSize(&limited{r: in, how: how, packed: packed, limit: limit}, 1<<16), nil
}

func unpacking(how string, err error) error {
	return fmt.Errorf("%w: %s: %w; it was cut off or damaged, or has something behind its end: pack it again", ErrFormat, how, err)
}

// stored is a file as it comes from where it is kept, and remembers that it did not come: no reader of a format is to blame then.
type stored struct {
	r   io.Reader
	err error
}

func (s *stored) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func (s *stored) blame(err error) error {
	if err != nil && s.err != nil {
		return fmt.Errorf("read: %w", s.err)
	}
	return err
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// limited stops a file that unpacks to more than it may.
type limited struct {
	r      io.Reader
	how    string   // it is packed
	packed *counter // nil: it isn't packed
	limit  int64    // 0 is none
	n      int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	l.n += int64(n)
	if l.limit > 0 && l.n > l.limit {
		return 0, fmt.Errorf("%w: it unpacks to more bytes than are allowed", ErrFormat)
	}
	if l.packed != nil && l.n > freeInflation && l.n/maxInflation > l.packed.n {
		return 0, fmt.Errorf("%w: it unpacks to more than %d times its size; send it unpacked", ErrFormat, maxInflation)
	}
	if err != nil && !errors.Is(err, io.EOF) && l.packed != nil {
		err = unpacking(l.how, err)
	}
	return n, err
}

// utf8Text drops a byte order mark and brings text of another encoding to UTF-8.
func utf8Text(b *bufio.Reader, encoding string) (io.Reader, error) {
	mark, _ := b.Peek(3)
	little, big := bytes.HasPrefix(mark, []byte{0xff, 0xfe}), bytes.HasPrefix(mark, []byte{0xfe, 0xff})
	switch {
	case (little || big) && (encoding == "" || encoding == upload.UTF16):
		return &undecoded{r: unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder().Reader(b)}, nil
	case little || big:
		return nil, fmt.Errorf("%w: it is UTF-16, not %s", ErrFormat, encoding)
	case encoding == upload.UTF16:
		return nil, fmt.Errorf("%w: UTF-16 without a byte order mark; save it as UTF-8", ErrFormat)
	case encoding == upload.Windows1252:
		return &undecoded{r: charmap.Windows1252.NewDecoder().Reader(b)}, nil
	}
	if bytes.HasPrefix(mark, []byte{0xef, 0xbb, 0xbf}) {
		if _, err := b.Discard(3); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// undecoded spoils U+FFFD, which decoders write for what is no character of their encoding: a value that is kept has no byte that was made up.
type undecoded struct {
	r    io.Reader
	seen int // bytes of its encoding, EF BF BD, that came last
}

func (u *undecoded) Read(p []byte) (int, error) {
	const replacement = "\ufffd"
	n, err := u.r.Read(p)
	for i, c := range p[:n] {
		switch c {
		case replacement[u.seen]:
			u.seen++
		case replacement[0]:
			u.seen = 1
		default:
			u.seen = 0
		}
		if u.seen == len(replacement) {
			p[i], u.seen = 0xff, 0
		}
	}
	return n, err
}

// formatOf tells a format by the first bytes of a file, after unpacking.
func formatOf(start []byte) string {
	switch {
	case bytes.HasPrefix(start, []byte(parquetMagic)):
		return upload.Parquet
	case bytes.HasPrefix(start, []byte(arrowFileMagic)), bytes.HasPrefix(start, []byte(arrowMark)):
		return upload.Arrow
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(start, []byte{0xef, 0xbb, 0xbf}), " \t\r\n")
	if bytes.HasPrefix(text, []byte("{")) {
		return upload.JSONLines
	}
	return upload.CSV
}
