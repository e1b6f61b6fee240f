package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"concordat.dev/worker/token"
)

// pass is one reading of the file: stretches are parsed in parallel and taken in order.
type pass struct {
	options  Options
	shape    *shape
	sink     Sink
	limit    int64 // rows of one unit that stay
	units    *units
	counter  unitCounter             // counts the rows of units in place of units; nil where it can't
	excess   map[token.Token]*chosen // second pass: units above the limit
	overflow bool                    // first pass: a unit is above the limit
	links    *links                  // of the first pass, where rows have two identifiers
	one      map[token.Token]token.Token
	crowded  int64
	report   Report

	free       chan []byte // buffers of text to use again
	fileNumber int         // of the file in work, from 0
	fileRows   []int64     // rows read before each file
}

// job is a piece on its way; done brings its block.
type job struct {
	piece
	done chan *block
	err  error
}

func newPass(options Options, s *shape, sink Sink) *pass {
	p := &pass{options: options, shape: s, sink: sink, limit: options.Policy.MaxRows, units: newUnits()}
	if p.limit <= 0 {
		p.limit = DefaultMaxRows
	}
	if s.then >= 0 {
		p.links = newLinks()
	}
	p.report = Report{Dataset: options.Policy.Dataset, Columns: []ColumnReport{}, Header: []string{}, Ignored: []string{}, Errors: []RowError{}, ErrorCounts: map[string]int64{}}
	for i, name := range s.columns() {
		p.report.Columns = append(p.report.Columns, ColumnReport{Name: name, Type: s.types[i]})
	}
	return p
}

func (p *pass) run(ctx context.Context, files []Source) error {
	p.free = make(chan []byte, 4*p.options.Parallel)
	for i, open := range files {
		p.fileNumber, p.fileRows = i, append(p.fileRows, p.report.Read)
		if err := p.runFile(ctx, open); err != nil {
			if len(files) > 1 {
				return fmt.Errorf("file %d of %d: %w", i+1, len(files), err)
			}
			return err
		}
	}
	return nil
}

func (p *pass) runFile(ctx context.Context, open Source) error {
	var each pieces
	var file io.Closer
	err := guarded(func() (err error) {
		each, file, err = p.file(ctx, open)
		return err
	})
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // only read
	return p.read(ctx, each)
}

func newBuffer() []byte { return make([]byte, 0, stretchBytes+1+padding) }

// padded gives text that the scan may read beyond.
func padded(text []byte) []byte { return append(make([]byte, 0, len(text)+padding), text...) }

// take judges the blocks against one another, in the order of the file, and hands them on.
func (p *pass) take(ctx context.Context, order <-chan *job) error {
	for {
		var j *job
		var more bool
		select {
		case j, more = <-order:
		case <-ctx.Done():
			return ctx.Err()
		}
		if !more {
			return ctx.Err()
		}
		if errors.Is(j.err, errLongRecord) {
			return fmt.Errorf("%w: row %d: %w", ErrFormat, p.report.Read-p.fileRows[p.fileNumber]+1, j.err)
		} else if j.err != nil {
			return j.err
		}
		var b *block
		select {
		case b = <-j.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if cap(j.text) == stretchBytes+1+padding {
			select {
			case p.free <- j.text:
			default:
			}
		}
		if err := p.block(b); err != nil {
			return err
		}
	}
}

func (p *pass) block(b *block) error {
	if b.err != nil {
		return b.err
	}
	if p.report.Read+b.read >= math.MaxUint32 {
		return fmt.Errorf("%w: more than %d rows; split the dataset", ErrFormat, uint32(math.MaxUint32))
	}
	if b.by != nil {
		p.identified(b)
	}
	if b.tokens != nil {
		p.judge(b)
	}
	p.count(b)
	if p.options.ToleratedShare == 0 && p.rejected() {
		p.refused(b)
		return nil
	}
	if p.overflow || p.one == nil && p.links != nil && p.links.met || len(b.sources) == 0 {
		return nil
	}
	return p.sink.Write(b.batch(p.shape))
}

// warmTokens is how many places of tokens are read ahead: enough to keep memory busy, few enough to stay in the first cache.
const warmTokens = 64

// judge drops the rows that other rows rule out: duplicates of a unique dataset, and what a unit has above the limit.
func (p *pass) judge(b *block) {
	if p.counter != nil {
		return
	}
	var keep []bool
	drop := func(i int) {
		if keep == nil {
			keep = slices.Repeat([]bool{true}, len(b.tokens))
		}
		keep[i] = false
	}
	for i := range b.tokens {
		if i%warmTokens == 0 && p.excess == nil {
			p.units.warm(b.tokens[i:min(i+warmTokens, len(b.tokens))])
		}
		if p.excess != nil {
			if c := p.excess[b.tokens[i]]; c != nil && !c.next() {
				p.report.Dropped.Excess++
				drop(i)
			}
			continue
		}
		seen := p.units.at(b.tokens[i])
		if !p.options.Policy.Unit.Unique {
			*seen++
			p.overflow = p.overflow || int64(*seen) > p.limit
			continue
		}
		if *seen == 0 {
			*seen = uint32(p.report.Read) + uint32(b.sources[i])
			continue
		}
		p.report.Duplicates++
		b.dropped.Bad++
		b.kinds["duplicate"]++
		if p.report.Duplicates <= shownErrors {
			b.errors = append(b.errors, RowError{Row: int64(b.sources[i]), Column: p.options.Policy.Unit.Column, Kind: "duplicate",
				Cause: "the same unit as " + p.place(int64(*seen)) + ", and the policy says unique: true"})
		}
		drop(i)
	}
	if keep != nil {
		b.keep(keep)
	}
}

// place names a row by its number among the rows of all files.
func (p *pass) place(row int64) string {
	file := len(p.fileRows) - 1
	for p.fileRows[file] >= row {
		file--
	}
	if file > 0 {
		return fmt.Sprintf("row %d of file %d", row-p.fileRows[file], file+1)
	}
	return fmt.Sprintf("row %d", row)
}

func (p *pass) count(b *block) {
	r := &p.report
	slices.SortStableFunc(b.errors, func(x, y RowError) int { return int(x.Row - y.Row) })
	for _, e := range b.errors {
		if len(r.Errors) < shownErrors {
			e.Row += r.Read - p.fileRows[p.fileNumber]
			if p.fileNumber > 0 {
				e.File = p.fileNumber + 1
			}
			r.Errors = append(r.Errors, e)
		}
	}
	for kind, n := range b.kinds {
		r.ErrorCounts[kind] += n
	}
	for i := range b.counts {
		r.Columns[i].Nulls += b.counts[i].Nulls
		r.Columns[i].OutOfDomain += b.counts[i].OutOfDomain
		r.Columns[i].NotFinite += b.counts[i].NotFinite
		r.Columns[i].OutOfBounds += b.counts[i].OutOfBounds
	}
	r.Dropped.NoUnit += b.dropped.NoUnit
	r.Dropped.MalformedUnit += b.dropped.MalformedUnit
	r.Dropped.Bad += b.dropped.Bad
	r.Read += b.read
	r.Rows += int64(len(b.sources))
}

// rejected says whether too many of the rows so far are bad.
func (p *pass) rejected() bool { return p.report.Dropped.Bad > p.tolerated() }

func (p *pass) tolerated() int64 {
	return max(p.options.Tolerance, int64(p.options.ToleratedShare*float64(p.report.Read)))
}

// finish completes the report; units are those of the first pass, where there were two.
func (p *pass) finish(units counts) (Report, error) {
	r := &p.report
	if r.Identifiers != nil {
		r.Identifiers.Crowded = p.crowded
	}
	if p.shape.unit >= 0 {
		limit := p.limit
		if p.options.Policy.Unit.Unique {
			limit = 1 // the numbers are rows then, not counts
		}
		histogram := units.histogram(limit)
		for _, n := range histogram {
			r.Units += n
		}
		r.RowsPerUnit = quantiles(histogram)
		r.Dropped.ExcessUnits = int64(len(p.excess))
	}
	r.Tolerated = p.tolerated()
	if p.rejected() {
		cause := "unknown"
		if len(r.Errors) > 0 {
			first := r.Errors[0]
			first.Value = "" // errors may be logged
			cause = first.String()
		}
		return *r, fmt.Errorf("%w: dataset %s: %d bad rows, %d tolerated; the first: %s", ErrRejected, r.Dataset, r.Dropped.Bad, r.Tolerated, cause)
	}
	r.Accepted = true
	return *r, nil
}
