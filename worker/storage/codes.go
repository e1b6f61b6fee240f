package storage

import (
	"runtime"
	"strings"
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
			mine := map[string]uint32{}
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

func (c *coded) batch(texts *array.String, mine map[string]uint32) []uint32 {
	out := make([]uint32, texts.Len())
	for row := range out {
		if texts.IsNull(row) {
			continue
		}
		text := texts.Value(row)
		n, ok := mine[text]
		if !ok {
			if n, ok = c.number(text); !ok {
				return nil
			}
			mine[strings.Clone(text)] = n
		}
		out[row] = n
	}
	return out
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
	n, text = uint32(len(c.all)), strings.Clone(text) //nolint:gosec // at most maxDictionary
	c.known[text], c.all = n, append(c.all, text)
	return n, true
}
