package dispatch

import (
	"context"
	"time"
)

// Grid makes what leaves say nothing about how long the work took, but in steps (PRIVACY.md section 9).
type Grid struct {
	start time.Time
	step  time.Duration
}

// NewGrid counts from start. A step of 0 turns the grid off.
func NewGrid(start time.Time, step time.Duration) Grid { return Grid{start: start, step: step} }

// Wait returns at the next line of the grid, at the first at the earliest, or when the context ends.
func (g Grid) Wait(ctx context.Context) error {
	if g.step <= 0 {
		return nil
	}
	passed := time.Since(g.start)
	t := time.NewTimer((passed/g.step+1)*g.step - passed)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
