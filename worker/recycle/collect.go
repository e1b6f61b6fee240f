package recycle

import (
	"os"
	"runtime/debug"
)

// growth is by how much of a hundred the heap grows before garbage is collected.
const growth = 40

// CollectEarly has garbage collected sooner than Go does by itself, unless GOGC says when. What fills the heap of a worker are values of columns, which hold no
// pointers and cost nothing to mark, whereas memory that is touched for the first time costs page faults. Measured with 10 million rows: ingest takes a tenth to
// a seventh less time and 1.45 GB in place of 2.0 GB.
func CollectEarly() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(growth)
	}
}
