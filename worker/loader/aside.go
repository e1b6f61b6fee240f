package loader

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Aside sets memory aside for work that doesn't stand in line with queries, such as taking data in: tables that nobody holds make room, and queries that would
// need it wait until it is given back. It doesn't wait itself, and takes at most half of the budget, so that a small worker can take data in, too. Back gives
// it back; a second call does nothing.
func (l *Loader) Aside(ctx context.Context, bytes int64) (back func(), err error) {
	bytes = min(bytes, l.Budget/2)
	var victims []*entry
	l.Gate.Do(func() {
		victims, _ = l.victims(l.stats.Reserved+bytes-l.Budget, nil)
		for _, v := range victims {
			l.forget(v)
			l.stats.Evictions++
		}
		l.stats.Reserved += bytes
		l.aside++
	})
	back = sync.OnceFunc(func() {
		l.Gate.Do(func() {
			l.stats.Reserved -= bytes
			l.aside--
		})
	})
	for _, v := range victims {
		err = errors.Join(err, l.Engine.Drop(context.WithoutCancel(ctx), v.loaded))
	}
	if err != nil {
		back()
		return nil, fmt.Errorf("make room: %w", err)
	}
	return back, nil
}
