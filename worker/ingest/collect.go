package ingest

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"concordat.dev/protocol/document"
)

// Collect is a sink that keeps all batches in memory.
type Collect struct {
	schema  *arrow.Schema
	batches []arrow.RecordBatch
}

// NewCollect makes an empty one for the columns of a policy.
func NewCollect(policy document.Policy) (*Collect, error) {
	schema, err := Schema(policy)
	if err != nil {
		return nil, err
	}
	return &Collect{schema: schema}, nil
}

// Write keeps a batch.
func (c *Collect) Write(batch arrow.RecordBatch) error {
	c.batches = append(c.batches, batch)
	return nil
}

// Reset lets all batches go.
func (c *Collect) Reset() error {
	for _, b := range c.batches {
		b.Release()
	}
	c.batches = nil
	return nil
}

// Reader reads the batches from the first. Readers are independent of one another and of Reset; each has to be released.
func (c *Collect) Reader() (array.RecordReader, error) {
	return array.NewRecordReader(c.schema, c.batches)
}

// All reads whole files into memory.
func All(ctx context.Context, options Options, files ...Source) (*Collect, Report, error) {
	c, err := NewCollect(options.Policy)
	if err != nil {
		return nil, Report{}, err
	}
	report, err := Files(ctx, options, files, c)
	if err != nil {
		_ = c.Reset() // never fails
		return nil, report, err
	}
	return c, report, nil
}
