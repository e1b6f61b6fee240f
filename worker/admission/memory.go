package admission

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
)

// ParseBytes reads an amount of memory such as 8GB or 512MiB: a number, and B, KB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB (of 1024).
func ParseBytes(text string) (int64, error) {
	t := strings.TrimSpace(text)
	end := len(t)
	for end > 0 && (t[end-1] < '0' || t[end-1] > '9') {
		end--
	}
	n, err := strconv.ParseFloat(t[:end], 64)
	unit, known := units[strings.ToLower(strings.TrimSpace(t[end:]))]
	if err != nil || !known || n <= 0 || n*unit >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is no amount of memory: write a number and a unit, such as 8GB or 512MiB", text)
	}
	return int64(n * unit), nil
}

var units = map[string]float64{
	"b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
}

// Machine is the memory that this process may use, in bytes: the machine's, or the least that a cgroup above the process allows; 0 where neither
// can be told.
func Machine() int64 { return machine("/proc", "/sys/fs/cgroup") }

func machine(proc, cgroup string) int64 {
	var out int64
	least := func(n int64) {
		if n > 0 && (out == 0 || n < out) {
			out = n
		}
	}
	if raw, err := os.ReadFile(path.Join(proc, "meminfo")); err == nil { //nolint:gosec // of the kernel
		for line := range bytes.Lines(raw) {
			if text, ok := bytes.CutPrefix(line, []byte("MemTotal:")); ok {
				least(number(bytes.TrimSuffix(bytes.TrimSpace(text), []byte("kB"))) << 10)
			}
		}
	}
	own, _ := os.ReadFile(path.Join(proc, "self", "cgroup")) //nolint:gosec // of the kernel
	for line := range bytes.Lines(own) {
		parts := strings.SplitN(strings.TrimSpace(string(line)), ":", 3)
		if len(parts) != 3 {
			continue
		}
		folder, file := path.Join(cgroup, "memory"), "memory.limit_in_bytes"
		if parts[1] == "" {
			folder, file = cgroup, "memory.max"
		} else if parts[1] != "memory" {
			continue
		}
		for at := parts[2]; ; at = path.Dir(at) {
			if raw, err := os.ReadFile(path.Join(folder, at, file)); err == nil { //nolint:gosec // of the kernel
				least(number(raw)) // "max" is no number
			}
			if at == "/" || at == "." {
				break
			}
		}
	}
	return out
}

func number(text []byte) int64 {
	n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
