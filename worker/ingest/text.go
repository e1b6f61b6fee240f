package ingest

import (
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// texts collects varchar and uuid values. The empty string is NULL: a CSV file can't tell them apart.
type texts struct {
	validity
	check   *check
	uuid    bool
	offsets []int32
	data    []byte
}

func (c *texts) add(field []byte) outcome {
	start := len(c.data)
	o := c.value(field)
	if o == unfit {
		c.data = c.data[:start]
		return unfit
	}
	if o != fine {
		c.data = c.data[:start]
	}
	c.append(o == fine)
	c.offsets = append(c.offsets, int32(len(c.data)))
	return o
}

func (c *texts) value(field []byte) outcome {
	if len(field) == 0 {
		return null
	}
	start := len(c.data)
	if c.uuid {
		var ok bool
		if c.data, ok = uuid(c.data, strip(field)); !ok {
			return unfit
		}
	} else {
		if !utf8.Valid(field) {
			return unfit
		}
		c.data = append(c.data, field...)
	}
	return c.check.text(c.data[start:])
}

func (c *texts) cause() string {
	if c.uuid {
		return "not a uuid (8-4-4-4-12 hex digits)"
	}
	return "not text of the encoding; save the file as UTF-8, or say that it is windows-1252 (Latin-1)"
}

func (c *texts) truncate(n int) {
	c.validity.truncate(n)
	c.offsets = c.offsets[:n+1]
	c.data = c.data[:c.offsets[n]]
}

func (c *texts) keep(rows []bool) {
	c.validity.keep(rows)
	out, n := int32(0), 0
	from := c.offsets[0]
	for i, keep := range rows {
		to := c.offsets[i+1]
		if keep {
			out += int32(copy(c.data[out:], c.data[from:to]))
			n++
			c.offsets[n] = out
		}
		from = to
	}
	c.offsets, c.data = c.offsets[:n+1], c.data[:out]
}

func (c *texts) finish() arrow.Array {
	return newArray(arrow.BinaryTypes.String, c.n, c.nulls, c.buffer(), memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(c.offsets)), memory.NewBufferBytes(c.data))
}
