package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
)

// outside stands in for a test, so that benchmarks run the same code. Only what the harness calls is there.
type outside struct {
	testing.TB
	ctx      context.Context
	cleanups []func()
	errs     []error
}

// fatal is how Fatal ends the code that runs.
type fatal struct{}

// Run runs code with a mesh outside of a test. What would have failed the test is the error.
func Run(ctx context.Context, code func(testing.TB)) (err error) {
	o := &outside{ctx: ctx}
	defer func() {
		for i := len(o.cleanups) - 1; i >= 0; i-- {
			o.cleanups[i]()
		}
		err = errors.Join(o.errs...)
	}()
	defer func() {
		if p := recover(); p != nil && p != any(fatal{}) {
			panic(p)
		}
	}()
	code(o)
	return nil
}

// Context implements testing.TB.
func (o *outside) Context() context.Context { return o.ctx }

// Helper implements testing.TB.
func (o *outside) Helper() {}

// Cleanup implements testing.TB.
func (o *outside) Cleanup(f func()) { o.cleanups = append(o.cleanups, f) }

// Error implements testing.TB.
func (o *outside) Error(args ...any) { o.errs = append(o.errs, errors.New(fmt.Sprint(args...))) }

// Errorf implements testing.TB.
func (o *outside) Errorf(format string, args ...any) { o.Error(fmt.Sprintf(format, args...)) }

// Fatal implements testing.TB.
func (o *outside) Fatal(args ...any) {
	o.Error(args...)
	panic(fatal{})
}

// Fatalf implements testing.TB.
func (o *outside) Fatalf(format string, args ...any) { o.Fatal(fmt.Sprintf(format, args...)) }

// TempDir implements testing.TB.
func (o *outside) TempDir() string {
	dir, err := os.MkdirTemp("", "concordat-")
	if err != nil {
		o.Fatal(err)
	}
	o.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
