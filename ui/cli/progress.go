package cli

import (
	"fmt"
	"io"
	"os"
	"time"

	"concordat.dev/ui/present"
)

// progress is one line on a terminal that is written over; elsewhere it stays silent, unless a program that runs this one asks for lines of their own.
type progress struct {
	w       io.Writer
	live    bool
	lines   bool
	started time.Time
	drawn   time.Time
}

func newProgress(w io.Writer) *progress {
	lines := os.Getenv(progressLines) == "lines"
	return &progress{w: unscreened(w), live: terminal(w) && !lines, lines: lines, started: time.Now()}
}

// progressLines names what a program sets to "lines" to be told of an upload by lines "progress DONE TOTAL", in bytes, on standard error.
const progressLines = "CONCORDAT_PROGRESS"

const clearLine = "\r\x1b[K"

func (p *progress) phase(name string) {
	if p.live {
		fmt.Fprintf(p.w, "%s%s %s …", clearLine, elapsed(p.started), present.Clean(name))
	}
}

func (p *progress) clear() {
	if p.live {
		fmt.Fprint(p.w, clearLine)
	}
}

// bytes draws how much of an upload is done, how fast it goes and how long it will take, at most ten times a second. resumed bytes
// were there before and say nothing about the rate.
func (p *progress) bytes(done, resumed, total int64) {
	if !p.live && !p.lines || (done < total && time.Since(p.drawn) < 100*time.Millisecond) {
		return
	}
	if p.drawn = time.Now(); p.lines {
		fmt.Fprintf(p.w, "progress %d %d\n", done, total)
		return
	}
	fmt.Fprintf(p.w, "%s%s", clearLine, transfer(done, resumed, total, time.Since(p.started)))
}

func transfer(done, resumed, total int64, spent time.Duration) string {
	line := fmt.Sprintf("%s of %s", size(done), size(total))
	if total > 0 {
		line += fmt.Sprintf(" (%d %%)", done*100/total)
	}
	fresh := done - resumed
	if seconds := spent.Seconds(); seconds >= 0.5 && fresh > 0 {
		rate := float64(fresh) / seconds
		line += fmt.Sprintf(", %s/s", size(int64(rate)))
		if left := float64(total-done) / rate; left >= 1 {
			line += ", " + (time.Duration(left) * time.Second).String() + " left"
		}
	}
	return line
}

// size prints bytes in binary steps.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	x := float64(n)
	i := 0
	for x >= 1024 && i < len(units)-1 {
		x /= 1024
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return present.Short(float64(int64(x*10+0.5))/10) + " " + units[i]
}
