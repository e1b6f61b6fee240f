package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"concordat.dev/integration/harness"
	"concordat.dev/protocol/answer"
)

// warmUp is how many queries are asked before any is measured.
const warmUp = 20

// ask measures small queries from request to receipt, one after another, without the time grid.
func ask(tb testing.TB, queries int) {
	if queries == 0 {
		return
	}
	m := harness.Up(tb)
	r := m.Agree(harness.StudyRoom(), harness.Generous)
	r.UploadStudy("clinic.patients", "registry.events")
	r.As(harness.Analyst)
	var took []time.Duration
	for i := range warmUp + queries {
		from := time.Now()
		a, err := r.Query(tb.Context(), harness.Analyst, harness.Question(i))
		if err != nil || a.Verdict != answer.Released || len(a.Receipt) == 0 {
			tb.Fatal("a small query: ", a.Verdict, err)
		}
		if i >= warmUp {
			took = append(took, time.Since(from))
		}
	}
	slices.Sort(took)
	for _, p := range []int{50, 99} {
		figure(fmt.Sprintf("query_p%d", p), float64(took[min(len(took)-1, len(took)*p/100)].Microseconds())/1000, "ms")
	}
}

// ingest measures the upload of a file by the command line, and its first query.
func ingest(tb testing.TB, rows int) {
	if rows == 0 {
		return
	}
	m := harness.Up(tb)
	r := m.Agree(filepath.Join(harness.Repository(), "integration", "bench", "mesh", "room"), nil)
	dir := tb.TempDir()
	file, keyFile := filepath.Join(dir, "impressions.csv"), filepath.Join(dir, "steward.key")
	size, err := generate(file, rows)
	if err == nil {
		err = r.Keys[harness.StewardOf("publisher")].Save(keyFile)
	}
	if err != nil {
		tb.Fatal(err)
	}
	bin := harness.Binaries(tb)
	from := time.Now()
	ran := harness.Command(tb, bin, m.Home, "dataset", "upload", "publisher.impressions", file, "--key", keyFile)
	if ran.Code != 0 {
		tb.Fatal(ran.Out, ran.Err)
	}
	uploaded := time.Since(from)
	r.Released("SELECT count(*) AS impressions FROM publisher.impressions")
	total := time.Since(from)
	figure("ingest_rows", float64(rows), "rows of "+strconv.FormatInt(size>>20, 10)+" MiB")
	figure("ingest_upload", uploaded.Seconds(), "s from start of the client to registered")
	figure("ingest_queryable", total.Seconds(), "s from start of the client to the first release")
	figure("ingest_rows_per_second", float64(rows)/total.Seconds(), "rows/s")
	figure("ingest_client_peak_memory", float64(ran.Memory>>20), "MiB")
	var worst int64
	for _, p := range m.State().Processes {
		if strings.HasPrefix(p.Name, "worker") {
			peak, err := peakMemory(p.PID)
			if err != nil {
				tb.Fatal(err)
			}
			worst = max(worst, peak)
		}
	}
	figure("ingest_worker_peak_memory", float64(worst>>20), "MiB")
}

// peakMemory is what a process had resident at most (proc(5), status, VmHWM).
func peakMemory(pid int) (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(raw) {
		if text, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			kilobytes, err := strconv.ParseInt(string(bytes.Fields(text)[0]), 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, errors.New("the kernel tells no peak memory")
}

// generate writes impressions of half as many persons as rows: a hex identifier, a campaign, a device, an amount and a day.
func generate(file string, rows int) (size int64, err error) {
	f, err := os.Create(file) //nolint:gosec // G304: in the benchmark's folder
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	_, _ = w.WriteString("id,campaign,device,amount,shown_on\n") // Flush tells
	devices := []string{"android", "ios", "web"}
	var line []byte
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range rows {
		person := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(i%(rows/2+1))))
		row := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(i)<<1|1))
		line = append(hex.AppendEncode(line[:0], person[:16]), ',')
		line = append(strconv.AppendInt(line, int64(row[0]%100), 10), ',')
		line = append(append(line, devices[row[1]%3]...), ',')
		line = strconv.AppendFloat(line, float64(binary.LittleEndian.Uint16(row[2:])%51200)/100, 'f', 2, 64)
		line = first.AddDate(0, 0, int(row[4])).AppendFormat(append(line, ','), time.DateOnly)
		if _, err := w.Write(append(line, '\n')); err != nil {
			return 0, err
		}
		size += int64(len(line)) + 1
	}
	return size, w.Flush()
}
