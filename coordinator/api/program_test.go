package api

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A dashboard asks for a hundred charts at once: a program waits for its turn, a person is told to.
func TestPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &API{Config: Config{Now: time.Now}}
		program := context.WithValue(t.Context(), programKey{}, "0123456789abcdef")
		begun := time.Now()
		for i := range 100 {
			if err := a.paced(program, "ana"); err != nil {
				t.Fatalf("call %d: %v", i, err)
			}
		}
		if took := time.Since(begun); took < 7*time.Second || took > 10*time.Second {
			t.Errorf("a hundred calls took %v", took)
		}
		if err := a.paced(t.Context(), "ana"); !errors.Is(err, errTooFast) {
			t.Errorf("a person in between: %v", err)
		}
		gone, cancel := context.WithCancel(program)
		cancel()
		if err := a.paced(gone, "ana"); !errors.Is(err, errTooFast) {
			t.Errorf("one that went away: %v", err)
		}
	})
}
