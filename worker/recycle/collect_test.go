package recycle

import (
	"runtime/debug"
	"testing"
)

func TestGOGCSaysWhen(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	t.Setenv("GOGC", "100")
	CollectEarly()
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("GOGC was not heeded: %d", got)
	}
	t.Setenv("GOGC", "")
	CollectEarly()
	if got := debug.SetGCPercent(100); got != growth {
		t.Errorf("garbage is collected after a growth of %d %%", got)
	}
}
