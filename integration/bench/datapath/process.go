package main

import (
	"bytes"
	"os"
	"runtime/debug"
	"strconv"
	"syscall"
)

// used gives the seconds of processor time that this process has used, and how much of it the kernel did for it: writing files, and finding
// memory that was not touched before.
func used() (processor, kernel float64) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0
	}
	kernel = float64(u.Stime.Sec) + float64(u.Stime.Usec)/1e6
	return float64(u.Utime.Sec) + float64(u.Utime.Usec)/1e6 + kernel, kernel
}

// settle gives memory that nothing holds back to the system, and begins a new peak. It returns the bytes that are still held.
func settle() float64 {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // without it, the peak is that of all stages so far
	return status("VmRSS:")
}

// peak gives the most bytes of memory that this process has had since it settled.
func peak() float64 { return status("VmHWM:") }

func status(name string) float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(text, []byte(name))
	kilobytes, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
	n, err := strconv.ParseFloat(string(kilobytes), 64)
	if err != nil {
		return 0
	}
	return n * 1024
}
