package storage

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"runtime"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// tokenBytes is the width of a unit's token. A column of this width is the unit's: no other type has it.
const tokenBytes = 16

// unitColumn is the column whose order rows are sealed in; -1 where there is none, or a column can not be gathered.
func unitColumn(schema *arrow.Schema) int {
	unit := -1
	for i, f := range schema.Fields() {
		if !gathers(f.Type) {
			return -1
		}
		if t, ok := f.Type.(*arrow.FixedSizeBinaryType); ok && t.ByteWidth == tokenBytes {
			unit = i
		}
	}
	return unit
}

// place is where a row lies: in which batch of a run, at which row, and the first 64 bits of its unit's token.
type place struct {
	key        uint64
	batch, row uint32
}

const (
	bucketPlaces = 4096 // about as many fit into a core's second cache
	maxBuckets   = 12   // bits
	digit        = 8    // bits of a pass over a bucket
)

// ordered gives the places of all rows by their unit's token; rows of one unit stay in the order in which they came. Tokens are uniform, so
// their first bits make buckets of even size, which are sorted each within a cache and by all cores.
func ordered(batches []arrow.RecordBatch, unit int) []place {
	n := 0
	for _, b := range batches {
		n += int(b.NumRows())
	}
	width := min(maxBuckets, bits.Len(uint(n/bucketPlaces)))
	cores := runtime.GOMAXPROCS(0)
	at := make([][]int, cores) // by core and bucket: first how many places, then where the next one goes
	share := func(core int) (from, to int) { return len(batches) * core / cores, len(batches) * (core + 1) / cores }
	each(cores, func(core int) {
		at[core] = make([]int, 1<<width)
		from, to := share(core)
		eachKey(batches, unit, from, to, func(p place) { at[core][bucket(p.key, width)]++ })
	})
	starts, next := make([]int, 1<<width+1), 0
	for i := range 1 << width {
		starts[i] = next
		for core := range cores { // in the order of their batches
			at[core][i], next = next, next+at[core][i]
		}
	}
	starts[1<<width] = n
	out := make([]place, n)
	each(cores, func(core int) {
		from, to := share(core)
		eachKey(batches, unit, from, to, func(p place) {
			i := bucket(p.key, width)
			out[at[core][i]] = p
			at[core][i]++
		})
	})
	each(cores, func(core int) {
		var spare []place
		for i := core; i < 1<<width; i += cores {
			spare = sortBucket(out[starts[i]:starts[i+1]], spare, width)
		}
	})
	return out
}

// each has every core do its part of some work.
func each(cores int, do func(core int)) {
	var work sync.WaitGroup
	for core := range cores {
		work.Go(func() { do(core) })
	}
	work.Wait()
}

func bucket(key uint64, width int) uint64 { return key >> (64 - width) } // a shift by 64 gives 0

// eachKey gives the places of the rows in some of the batches.
func eachKey(batches []arrow.RecordBatch, unit, from, to int, each func(place)) {
	for i := from; i < to; i++ {
		column := batches[i].Column(unit).Data()
		tokens := column.Buffers()[1].Bytes()[column.Offset()*tokenBytes:]
		for row := range column.Len() {
			each(place{binary.BigEndian.Uint64(tokens[row*tokenBytes:]), uint32(i), uint32(row)}) //nolint:gosec // a run has fewer rows
		}
	}
}

// sortBucket sorts by the sixteen bits after those that all share, and puts the few right that these don't tell apart.
func sortBucket(list, spare []place, shared int) []place {
	if len(spare) < len(list) {
		spare = make([]place, max(len(list), 2*bucketPlaces))
	}
	from, to := list, spare[:len(list)]
	for _, shift := range []int{64 - shared - 2*digit, 64 - shared - digit} {
		var ends [1 << digit]int
		for _, p := range from {
			ends[byte(p.key>>shift)]++
		}
		at := 0
		for i, n := range ends {
			ends[i] = at
			at += n
		}
		for _, p := range from {
			i := byte(p.key >> shift)
			to[ends[i]] = p
			ends[i]++
		}
		from, to = to, from
	}
	settle(list)
	return spare
}

// settle ends a sort of which little is left to do; where it is more, keys are not uniform.
func settle(list []place) {
	budget := 8 * len(list)
	for i := 1; i < len(list); i++ {
		p := list[i]
		j := i
		for ; j > 0 && list[j-1].key > p.key; j-- {
			list[j] = list[j-1]
		}
		list[j] = p
		if budget -= i - j; budget < 0 {
			slices.SortStableFunc(list, func(a, b place) int { return cmp.Compare(a.key, b.key) })
			return
		}
	}
}

// sorted writes the pending rows as files in the order of their units, and waits for them: their batches are let go together.
func (w *Writer) sorted() error {
	batches := w.pending
	w.pending, w.rows, w.bytes = nil, 0, 0
	defer release(batches)
	places, all := ordered(batches, w.unit), newRows(w.schema, batches)
	for _, part := range parts(places, sizes(batches)) {
		err := w.begin(func(s *scratch) []arrow.RecordBatch { return []arrow.RecordBatch{all.gather(part, s)} }, first(part))
		if err != nil {
			w.work.Wait() // they read the batches
			return err
		}
	}
	w.work.Wait()
	return nil
}

func first(part []place) uint64 {
	if len(part) == 0 {
		return 0
	}
	return part[0].key
}

// parts cuts places into files: of so many rows, or of so many bytes where rows are large. Sizes are of the variable part of each row, nil where
// there is none.
func parts(places []place, sizes [][]int32) [][]place {
	var out [][]place
	start, size := 0, 0
	for i, p := range places {
		if sizes != nil {
			size += int(sizes[p.batch][p.row])
		}
		if i+1-start >= fileRows || size >= fileBytes {
			out = append(out, places[start:i+1])
			start, size = i+1, 0
		}
	}
	if start < len(places) || len(out) == 0 {
		out = append(out, places[start:])
	}
	return out
}

// sizes gives the bytes of text in each row of each batch; nil where no file of fileRows rows could have fileBytes of them.
func sizes(batches []arrow.RecordBatch) [][]int32 {
	if mostText(batches) <= fileBytes/fileRows {
		return nil
	}
	var out [][]int32
	for i, b := range batches {
		for _, c := range b.Columns() {
			texts, ok := c.(*array.String)
			if !ok {
				continue
			}
			if out == nil {
				out = make([][]int32, len(batches))
			}
			if out[i] == nil {
				out[i] = make([]int32, b.NumRows())
			}
			offsets := texts.ValueOffsets()
			for row := range texts.Len() {
				out[i][row] += offsets[row+1] - offsets[row]
			}
		}
	}
	return out
}

// mostText is no less than the bytes of text in any row.
func mostText(batches []arrow.RecordBatch) int {
	var most []int // by column
	for _, b := range batches {
		if most == nil {
			most = make([]int, b.NumCols())
		}
		for i, c := range b.Columns() {
			if texts, ok := c.(*array.String); ok && texts.Len() > 0 {
				offsets := texts.ValueOffsets()
				longest := int32(0)
				for row, from := range offsets[:len(offsets)-1] {
					longest = max(longest, offsets[row+1]-from)
				}
				most[i] = max(most[i], int(longest))
			}
		}
	}
	sum := 0
	for _, n := range most {
		sum += n
	}
	return sum
}
