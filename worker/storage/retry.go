package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gocloud.dev/gcerrors"
)

// ErrAway says that the object store did not do what was asked, several times. What was begun can be begun again.
var ErrAway = errors.New("the object store doesn't answer as it should")

const (
	attempts = 3 // of which each is several of the SDK
	// attemptTime is enough for the largest object, 256 MiB, at 20 Mbit/s.
	attemptTime = 2 * time.Minute
	firstPause  = 100 * time.Millisecond
)

// try does something again that a store over a network failed to do. Every operation here may be repeated: an object is written wholly, under a key that
// belongs to its content or upload.
func (s *Store) try(ctx context.Context, work func(context.Context) error) error {
	if !s.remote {
		return work(ctx)
	}
	pause := firstPause
	for n := 1; ; n++ {
		attempt, cancel := context.WithTimeout(ctx, attemptTime)
		err := work(attempt)
		cancel()
		switch {
		case err == nil, final(err):
			return err
		case ctx.Err() != nil:
			return errors.Join(ctx.Err(), err)
		case n == attempts:
			return fmt.Errorf("%w, after %d attempts: %w", ErrAway, attempts, err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(ctx.Err(), err)
		}
		pause *= 2
	}
}

// final says that trying again gives the same.
func final(err error) bool {
	if errors.Is(err, ErrTooLarge) {
		return true
	}
	switch gcerrors.Code(err) {
	case gcerrors.NotFound, gcerrors.PermissionDenied, gcerrors.InvalidArgument, gcerrors.Unimplemented, gcerrors.AlreadyExists:
		return true
	}
	return false
}
