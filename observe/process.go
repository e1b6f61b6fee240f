package observe

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Process is what every binary tells of itself: its version, the Go runtime (with the live heap after the last collection), descriptors, memory
// and processor time as the host's own tools show them.
func Process(program, version string) []prometheus.Collector {
	return []prometheus.Collector{
		NewCollector([]Metric{{
			Name: "concordat_build_info", Kind: Gauge, Help: "1; the labels say which program runs, of which version.", Labels: []string{"program", "version"},
		}}, func(emit Emit) { emit("concordat_build_info", 1, program, version) }),
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(
			collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/gc/heap/live:bytes$`)},
		)),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}
}

// Disk tells of the folder of a process and of the file system below it. Without a folder it tells nothing.
func Disk(folder string) prometheus.Collector {
	return NewCollector([]Metric{
		{Name: "concordat_disk_free_bytes", Kind: Gauge, Help: "Bytes that the process may still write on the file system of its data_dir."},
		{Name: "concordat_disk_size_bytes", Kind: Gauge, Help: "Bytes of the file system of data_dir."},
		{Name: "concordat_data_dir_bytes", Kind: Gauge, Help: "Bytes that the files in data_dir take."},
	}, func(emit Emit) {
		var s syscall.Statfs_t
		if folder == "" || syscall.Statfs(folder, &s) != nil {
			return
		}
		emit("concordat_disk_free_bytes", float64(s.Bavail)*float64(s.Bsize))
		emit("concordat_disk_size_bytes", float64(s.Blocks)*float64(s.Bsize))
		emit("concordat_data_dir_bytes", float64(taken(folder)))
	})
}

// taken is what files take on the disk: those of the log are larger than that, since their ends are not written yet.
func taken(folder string) (bytes int64) {
	_ = filepath.WalkDir(folder, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // a file that goes away meanwhile
		}
		if info, err := d.Info(); err == nil {
			if s, ok := info.Sys().(*syscall.Stat_t); ok {
				bytes += s.Blocks * 512
			}
		}
		return nil
	})
	return bytes
}
