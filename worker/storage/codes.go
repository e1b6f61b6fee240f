package storage

import (
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// maxDictionary is the most different texts of a column that are numbered; one with more is written text by text.
const maxDictionary = 1 << 16

// codeType is how numbered texts go to the writer of Parquet, who makes a dictionary page of them. A reader gets texts.
var codeType = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}

// coded is a column of texts that repeat, as numbers: gathering, and making a dictionary, costs a fraction of what it does with texts.
type coded struct {
	numbers [][]uint32 // by batch and row; 0 for NULL too
	texts   arrow.Array

	mu    sync.Mutex
	known map[string]uint32
	all   []string
	many  atomic.Bool // more than maxDictionary
}

// code numbers the texts of a column; nil where they don't repeat.
func code(batches []arrow.RecordBatch, column int) *coded {
	if len(batches) == 0 || batches[0].Column(column).DataType().ID() != arrow.STRING || !repeats(batches[0].Column(column)) {
		return nil
	}
	c := &coded{numbers: make([][]uint32, len(batches)), known: map[string]uint32{}}
	var work sync.WaitGroup
	cores := runtime.GOMAXPROCS(0)
	for core := range cores {
		work.Go(func() {
			mine := &numbers{known: map[string]uint32{}}
			for i := core; i < len(batches) && !c.many.Load(); i += cores {
				c.numbers[i] = c.batch(batches[i].Column(column).(*array.String), mine)
			}
		})
	}
	work.Wait()
	if c.many.Load() {
		return nil
	}
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.AppendValues(c.all, nil)
	c.texts = b.NewArray()
	return c
}

func (c *coded) batch(column *array.String, mine *numbers) []uint32 {
	out := make([]uint32, column.Len())
	if column.Len() == 0 {
		return out
	}
	offsets, nulls := column.ValueOffsets(), column.NullN() > 0
	var texts []byte
	if b := column.Data().Buffers()[2]; b != nil {
		texts = b.Bytes()
	}
	for row := range out {
		if nulls && column.IsNull(row) {
			continue
		}
		text := texts[offsets[row]:offsets[row+1]]
		short, place := shortOf(text)
		if s := &mine.short[place]; short.size != 0 && s.shortText == short {
			out[row] = s.number
			continue
		}
		n, ok := mine.known[string(text)]
		if !ok {
			if n, ok = c.number(string(text)); !ok {
				return nil
			}
			mine.known[string(text)] = n
		}
		mine.short[place] = numbered{short, n}
		out[row] = n
	}
	return out
}

// numbers are those that one goroutine knows: all in a map, and some of the short texts, which most are, where they are found quickly.
type numbers struct {
	known map[string]uint32
	short [1 << shortBits]numbered
}

const shortBits = 10

type numbered struct {
	shortText
	number uint32
}

// shortText holds a text of at most 16 bytes; size is one more than its length, and 0 for a longer text.
type shortText struct {
	head, tail uint64
	size       uint32
}

// shortOf gives a text as numbers, and a place for it.
func shortOf(text []byte) (s shortText, place uint64) {
	switch n := len(text); {
	case n > 16:
		return s, 0
	case n >= 8:
		s.head, s.tail = binary.LittleEndian.Uint64(text), binary.LittleEndian.Uint64(text[n-8:])
	case n >= 4:
		s.head, s.tail = uint64(binary.LittleEndian.Uint32(text)), uint64(binary.LittleEndian.Uint32(text[n-4:]))
	case n > 0:
		s.head = uint64(text[0]) | uint64(text[n/2])<<8 | uint64(text[n-1])<<16
	}
	s.size = uint32(len(text) + 1) //nolint:gosec // at most 17
	const mix = 0x9e3779b97f4a7c15
	return s, ((s.head*mix ^ s.tail) + uint64(s.size)) * mix >> (64 - shortBits)
}

// number gives a text its number, a new one where it has none yet.
func (c *coded) number(text string) (uint32, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.known[text]
	if ok {
		return n, true
	}
	if len(c.all) == maxDictionary {
		c.many.Store(true)
		return 0, false
	}
	n = uint32(len(c.all)) //nolint:gosec // at most maxDictionary
	c.known[text], c.all = n, append(c.all, text)
	return n, true
}
