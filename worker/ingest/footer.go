package ingest

import (
	"encoding/binary"
	"errors"
	"io"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/metadata"
)

const (
	// maxSchema is how many columns and groups of columns the schema of a Parquet file has at most.
	maxSchema = 100_000
	// maxNested is how deep structures of a Parquet footer lie in others at most; those of the format do at 7.
	maxNested = 32
	// pageHead is how much is read to find the header of a page, which takes less than 100 bytes but for statistics; one above maxPageHead is refused by arrow-go, too.
	pageHead, maxPageHead = 1 << 10, 16 << 20
	// beyondEnd is how far behind the end of a column arrow-go reads on.
	beyondEnd = 100
	// footerTail is how long the length of a footer and the mark behind it are.
	footerTail = 8
)

var (
	errSchema = errors.New("its schema claims to hold more columns than it does, or holds more than 100,000")
	errFooter = errors.New("its footer can't be read")

	errPage       = errors.New("the header of a page can't be read")
	errDictionary = errors.New("a dictionary claims to hold more values than it has room for")
)

// Types of Thrift's compact protocol.
const (
	thriftTrue, thriftFalse, thriftByte           = 1, 2, 3
	thriftI16, thriftI32, thriftI64, thriftDouble = 4, 5, 6, 7
	thriftBytes, thriftList, thriftSet            = 8, 9, 10
	thriftStruct                                  = 12
)

// Paths of a footer's values are the numbers of the fields that they lie in, a byte each behind a 1.
const (
	footerRoot     = 1
	schemaList     = 0x102
	schemaChildren = 0x10205
	pageRoot       = 2     // of the header of a page
	pageBytes      = 0x202 // unpacked
	pagePacked     = 0x203
	pageValues     = 0x20701        // of a dictionary
	elsewhere      = math.MaxUint64 // the path of all that isn't known
)

// footerLists are the lists of a footer, and of what. A generated reader takes what a list holds from the format and not from the file, so a file that says
// something else is read by it from a wrong place on.
var footerLists = map[uint64]byte{
	schemaList: thriftStruct, 0x104: thriftStruct, 0x105: thriftStruct, 0x107: thriftStruct, // and row groups, metadata, orders
	0x10401: thriftStruct, 0x10404: thriftStruct, // column chunks, sorting
	0x104010302: thriftI32, 0x104010303: thriftBytes, 0x104010308: thriftStruct, 0x10401030d: thriftStruct, // of a chunk: encodings, path, metadata, statistics
	0x10401031002: thriftI64, 0x10401031003: thriftI64, 0x10401031102: thriftI32, // histograms, kinds of shapes
	0x10401080201: thriftBytes, // path of an encrypted column
}

// checkFooter looks for what arrow-go believes unseen in the footer of a Parquet file: how many children a group of columns has. It makes room for so many, and
// where there is no such memory, the process ends. What else is wrong with the file, its reader says.
func checkFooter(at io.ReaderAt, size int64) error {
	var tail [footerTail]byte
	if size < footerTail {
		return nil
	}
	if _, err := at.ReadAt(tail[:], size-footerTail); err != nil || string(tail[4:]) != parquetMagic {
		return nil //nolint:nilerr // the reader says so
	}
	length := int64(binary.LittleEndian.Uint32(tail[:]))
	switch {
	case length > size-footerTail:
		return nil
	case length > maxAllocation:
		return errAllocation
	}
	raw := make([]byte, length)
	if _, err := at.ReadAt(raw, size-footerTail-length); err != nil {
		return err
	}
	c := thrift{rest: raw}
	c.structure(footerRoot, 0)
	switch {
	case c.failed:
		return errFooter
	case c.elements > maxSchema || c.children >= max(c.elements, 1): // the first one is nobody's child
		return errSchema
	}
	return nil
}

// checkDictionaries looks at the dictionaries of a row group's columns: arrow-go makes room for as many values as they claim to have, whatever
// their size is, as soon as one of the last is asked for.
func checkDictionaries(at io.ReaderAt, group *metadata.RowGroupMetaData, leaves []int) error {
	for _, leaf := range leaves {
		chunk, err := group.ColumnChunk(leaf)
		if err != nil {
			return err
		}
		if chunk.NumValues() <= 0 { // nothing of it is read, and some writers say that it lies nowhere
			continue
		}
		column := group.Schema.Column(leaf)
		least := column.PhysicalType().ByteSize()
		switch column.PhysicalType() {
		case parquet.Types.ByteArray:
			least = arrow.Int32SizeBytes // the length of each
		case parquet.Types.FixedLenByteArray:
			least = column.TypeLength()
		}
		from := chunk.DataPageOffset()
		if d := chunk.DictionaryPageOffset(); d > 0 {
			from = min(from, d)
		}
		if err := checkPages(at, from, from+chunk.TotalCompressedSize(), max(least, 1)); err != nil {
			return err
		}
	}
	return nil
}

// checkPages goes from one page of a column to the next, and refuses a dictionary with more values than fit into it, of which each takes at least so many bytes. Readers go
// on a little behind the end that some writers give (PARQUET-816), where pages may be another column's.
func checkPages(at io.ReaderAt, from, end int64, least int) error {
	room := make([]byte, pageHead)
	for from < end+beyondEnd {
		n, err := at.ReadAt(room[:min(int64(len(room)), end+beyondEnd-from)], max(from, 0))
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		c := &thrift{rest: room[:n]}
		c.structure(pageRoot, 0)
		switch {
		case !c.failed:
		case n == len(room) && n < maxPageHead: // statistics may be long
			room = make([]byte, 2*len(room))
			continue
		case from >= end:
			return nil
		default:
			return errPage
		}
		if from >= end {
			least = 1
		}
		if c.values*uint64(least) > c.bytes { //nolint:gosec // both are positive and of 32 bits
			return errDictionary
		}
		from += int64(n-len(c.rest)) + int64(c.packed) //nolint:gosec // of 32 bits
	}
	return nil
}

// thrift reads a footer, or the header of a page, in Thrift's compact protocol, only as far as to know where its values lie.
type thrift struct {
	rest               []byte
	failed             bool
	elements, children uint64 // of the schema; no more than maxSchema children are counted
	bytes, packed      uint64 // of a page
	values             uint64 // of a page that is a dictionary
}

func (c *thrift) fail() { c.rest, c.failed = nil, true }

// take gives the next bytes, zeros if there are no such.
func (c *thrift) take(n uint64) []byte {
	if n > uint64(len(c.rest)) {
		c.fail()
		return make([]byte, min(n, 1))
	}
	b := c.rest[:n]
	c.rest = c.rest[n:]
	return b
}

func (c *thrift) number() uint64 {
	v, n := binary.Uvarint(c.rest)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.rest = c.rest[n:]
	return v
}

// structure passes over a structure. Path are the numbers of the fields that it lies in.
func (c *thrift) structure(path uint64, depth int) {
	if depth > maxNested {
		c.fail()
	}
	for id := int16(0); !c.failed; {
		head := c.take(1)[0]
		if head == 0 {
			return
		}
		if delta := int16(head >> 4); delta > 0 {
			id += delta
		} else {
			v := uint32(c.number())               //nolint:gosec // a generated reader cuts it as well
			id = int16(int32(v>>1) ^ -int32(v&1)) //nolint:gosec // as above
		}
		at, kind := below(path, id), head&15
		if kind != thriftI32 {
			c.value(kind, at, depth+1)
			continue
		}
		switch v := uint64(uint32(c.number())) / 2; at { //nolint:gosec // a generated reader cuts it as well; below zero it is odd, and the reader says so
		case schemaChildren:
			c.children = min(c.children+v, maxSchema)
		case pageBytes:
			c.bytes = v
		case pagePacked:
			c.packed = v
		case pageValues:
			c.values = v
		}
	}
}

func below(path uint64, id int16) uint64 {
	if id < 0 || id > math.MaxInt8 || path >= 1<<56 {
		return elsewhere
	}
	return path<<8 | uint64(id) //nolint:gosec // not negative
}

// value passes over a value that is a field, or lies in a list that is.
func (c *thrift) value(kind byte, path uint64, depth int) {
	switch kind {
	case thriftTrue, thriftFalse:
	case thriftByte:
		c.take(1)
	case thriftI16, thriftI32, thriftI64:
		c.number()
	case thriftDouble:
		c.take(8)
	case thriftBytes:
		c.take(c.number())
	case thriftList, thriftSet:
		c.list(kind, path, depth)
	case thriftStruct:
		c.structure(path, depth)
	default:
		c.fail()
	}
}

func (c *thrift) list(kind byte, path uint64, depth int) {
	head := c.take(1)[0]
	n, of := uint64(head>>4), head&15
	if n == 15 {
		n = c.number()
	}
	if want, known := footerLists[path]; known && kind == thriftList && n > 0 && of != want || depth > maxNested {
		c.fail()
	}
	if path == schemaList && kind == thriftList {
		c.elements = n
	}
	for i := uint64(0); i < n && !c.failed; i++ {
		if of == thriftTrue || of == thriftFalse {
			c.take(1)
			continue
		}
		c.value(of, path, depth+1)
	}
}
