package ingest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"concordat.dev/protocol/upload"
)

// piece is some of a file that can be read apart from the rest: work makes a block of it. Text is the buffer that may be used again after that.
type piece struct {
	work func(*parser) *block
	text []byte
}

// pieces gives a file piece by piece to yield, until that says false; nil at the end of the file.
type pieces func(yield func(piece) bool) error

// file opens a file and finds its columns.
func (p *pass) file(ctx context.Context, open Source) (pieces, io.Closer, error) {
	file, err := open(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("open the file of %s: %w", p.options.Policy.Dataset, err)
	}
	each, err := p.pieces(ctx, file)
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return each, file, nil
}

func (p *pass) pieces(ctx context.Context, file io.ReadCloser) (pieces, error) {
	if p.options.Format == upload.Parquet { // where it lies in parts, its end is read first
		return p.parquet(ctx, file)
	}
	in := &stored{r: file}
	each, err := p.stream(ctx, file, in)
	if err != nil {
		return nil, in.blame(err)
	}
	return func(yield func(piece) bool) error { return in.blame(each(yield)) }, nil
}

// stream finds how the file is to be read from its beginning to its end.
func (p *pass) stream(ctx context.Context, file io.Reader, in *stored) (pieces, error) {
	b, err := unpack(in, p.options.MaxBytes)
	if err != nil {
		return nil, err
	}
	start, err := b.Peek(peekBytes)
	if err != nil && !errors.Is(err, io.EOF) && len(start) == 0 {
		return nil, fmt.Errorf("read: %w", err)
	}
	if len(start) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrFormat)
	}
	if other := upload.Foreign(start); other != "" {
		return nil, fmt.Errorf("%w: %s", ErrFormat, other)
	}
	found, format := formatOf(start), p.options.Format
	if format == "" {
		format = found
	}
	if binary := found == upload.Parquet || found == upload.Arrow; format != found && (binary || format == upload.Arrow) {
		return nil, fmt.Errorf("%w: it is said to be %s, but begins like %s", ErrFormat, format, found)
	}
	switch format {
	case upload.Parquet:
		return p.parquet(ctx, file)
	case upload.Arrow:
		return p.arrow(b)
	case upload.JSONLines:
		return p.text(b, 0, p.json)
	}
	return p.text(b, quoteOf(p.options.Dialect), p.csv)
}

// text cuts text into stretches; read finds the columns in the first one and says where the rows begin and how a stretch of them is read.
func (p *pass) text(b *bufio.Reader, quote byte, read func(first []byte) (rows int, parse func(*parser, []byte) *block, err error)) (pieces, error) {
	r, err := utf8Text(b, p.options.Dialect.Encoding)
	if err != nil {
		return nil, err
	}
	cut := &cutter{r: r, quote: quote}
	first, err := cut.next(newBuffer())
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: it is empty", ErrFormat)
	} else if errors.Is(err, errLongRecord) {
		return nil, fmt.Errorf("%w: its beginning: %w", ErrFormat, err)
	} else if err != nil {
		return nil, err
	}
	from, parse, err := read(first)
	if err != nil {
		return nil, err
	}
	return func(yield func(piece) bool) error {
		for text := padded(first[from:]); ; {
			stretch := text
			if !yield(piece{work: func(w *parser) *block { return parse(w, stretch) }, text: stretch}) {
				return nil
			}
			var buf []byte
			select {
			case buf = <-p.free:
			default:
				buf = newBuffer()
			}
			var err error
			if text, err = cut.next(buf); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
		}
	}, nil
}

// csv finds the columns by the header, or by the names that came with the file.
func (p *pass) csv(first []byte) (int, func(*parser, []byte) *block, error) {
	d := p.options.Dialect
	var l *layout
	var header []string
	var n int
	var err error
	if line, _, _ := bytes.Cut(first, []byte("\n")); bareReturn(line, quoteOf(d)) {
		return 0, nil, fmt.Errorf("%w: a carriage return stands inside its first line; lines have to end with LF or CRLF: save it so", ErrFormat)
	}
	if d.NoHeader {
		l, err = match(p.options.Fields, p.shape)
		header = clip(p.options.Fields)
		if err == nil {
			l.delimiter = ','
			if d.Delimiter != "" {
				l.delimiter = d.Delimiter[0]
			}
		}
	} else {
		l, header, n, err = readHeader(first, p.shape, d)
	}
	if err = p.found(header, l, err); err != nil {
		return 0, nil, err
	}
	l.quote = quoteOf(d)
	return n, func(w *parser, text []byte) *block { return w.csv(l, text) }, nil
}

// bareReturn says whether a line holds a carriage return outside quotes that isn't part of its end: then the line is many.
func bareReturn(line []byte, quote byte) bool {
	at := bytes.IndexByte(line, '\r')
	return at >= 0 && at < len(line)-1 && (quote == 0 || bytes.Count(line[:at], []byte{quote})%2 == 0)
}

// found notes in the report which columns the first file has.
func (p *pass) found(header []string, l *layout, err error) error {
	if p.fileNumber == 0 {
		p.report.Header = append(p.report.Header, header...)
		if err == nil {
			p.report.Ignored = append(p.report.Ignored, l.ignored...)
		}
	}
	return err
}

func quoteOf(d upload.Dialect) byte {
	switch d.Quote {
	case "":
		return '"'
	case upload.NoQuote:
		return 0
	}
	return d.Quote[0]
}

// read has the pieces of one file read in parallel, and takes the blocks in order.
func (p *pass) read(ctx context.Context, each pieces) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	jobs, order := make(chan *job, p.options.Parallel), make(chan *job, p.options.Parallel)
	running.Go(func() { feed(ctx, each, jobs, order) })
	for range p.options.Parallel {
		worker := &parser{shape: p.shape, reading: readingOf(p.options.Dialect), show: p.options.ShowValues, room: 64}
		if p.options.Tokenizer != nil {
			worker.tokenizer = p.options.Tokenizer.Clone()
		}
		if p.shape.then >= 0 {
			worker.second = p.options.Second.Clone()
		}
		running.Go(func() {
			for j := range jobs {
				j.done <- j.work(worker)
			}
		})
	}
	return p.take(ctx, order)
}

// feed sends the pieces to the parsers and, in order, to take. An error travels as the last job.
func feed(ctx context.Context, each pieces, jobs, order chan<- *job) {
	defer close(jobs)
	defer close(order)
	err := guarded(func() error {
		return each(func(next piece) bool {
			j := &job{piece: next, done: make(chan *block, 1)}
			select {
			case order <- j:
			case <-ctx.Done():
				return false
			}
			select {
			case jobs <- j:
			case <-ctx.Done():
				return false
			}
			return true
		})
	})
	if err == nil {
		return
	}
	select {
	case order <- &job{err: err}:
	case <-ctx.Done():
	}
}

// guarded makes an error of a panic: readers of binary formats panic on some files.
func guarded(work func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: the reader gave up: %v", ErrFormat, p)
		}
	}()
	return work()
}

// random gives a file that can be read at any place, and its size.
func random(file io.Reader) (io.ReaderAt, int64, error) {
	switch f := file.(type) {
	case *os.File:
		info, err := f.Stat()
		if err != nil {
			return nil, 0, err
		}
		return f, info.Size(), nil
	case Random:
		n, err := f.Size()
		return f, n, err
	}
	return nil, 0, errors.New("a Parquet file must be readable at any place")
}
