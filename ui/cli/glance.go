package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/ui/client"
	"concordat.dev/ui/mesh"
	"concordat.dev/ui/present"
)

// workerStatus is what is known of one worker.
type workerStatus struct {
	Name     string `json:"name"`
	Ready    bool   `json:"ready"`
	Loaded   int    `json:"loaded"`
	Running  uint32 `json:"running"`
	Queued   uint32 `json:"queued"`
	Slots    uint32 `json:"slots"`
	Reserved int64  `json:"memory_reserved_bytes,omitempty"` // in steps of 64 MiB
	Budget   int64  `json:"memory_budget_bytes,omitempty"`
	Metrics  string `json:"metrics,omitempty"`
}

// budgetLevel is how full one account is.
type budgetLevel struct {
	Collaboration string  `json:"collaboration"`
	Owner         string  `json:"owner"`
	Namespace     string  `json:"namespace"`
	Used          float64 `json:"used"` // from 0 to 1
}

// glanceLimit is how long metrics and budgets may take, for all that is told beside what the coordinators say.
const glanceLimit = 2 * time.Second

// workersOf joins what coordinators tell of workers with what the workers of this machine tell themselves.
func workersOf(ctx context.Context, r mesh.Report) []workerStatus {
	ctx, cancel := context.WithTimeout(ctx, glanceLimit)
	defer cancel()
	out := []workerStatus{}
	for _, w := range r.State.Workers {
		one := workerStatus{Name: w.Name, Metrics: w.Metrics}
		for _, c := range r.Coordinators {
			for _, told := range c.Status.GetWorkers() {
				if told.GetAddress() == w.Mesh {
					one.Ready, one.Loaded = told.GetReady(), len(told.GetLoaded())
					one.Running, one.Queued, one.Slots = told.GetRunning(), told.GetQueued(), told.GetSlots()
				}
			}
		}
		if values, err := metrics(ctx, w.Metrics); one.Ready && err == nil {
			one.Reserved, one.Budget = int64(values["concordat_worker_memory_reserved_bytes"]), int64(values["concordat_worker_memory_budget_bytes"])
		}
		out = append(out, one)
	}
	return out
}

func (w workerStatus) says() string {
	if !w.Ready {
		return "not announced"
	}
	said := []string{"ready"}
	if w.Loaded > 0 {
		said[0] = present.Count(int64(w.Loaded), "dataset") + " loaded"
	}
	if w.Running+w.Queued > 0 {
		said = append(said, fmt.Sprintf("%d of %d at work, %d waiting", w.Running, w.Slots, w.Queued))
	}
	if w.Budget > 0 {
		said = append(said, fmt.Sprintf("memory %d %% of %.1f GB", 100*w.Reserved/w.Budget, float64(w.Budget)/1e9))
	}
	return strings.Join(said, ", ")
}

// metrics reads those of a process of this machine that have no labels.
func metrics(ctx context.Context, address string) (map[string]float64, error) {
	if address == "" {
		return nil, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	out := map[string]float64{}
	lines := bufio.NewScanner(io.LimitReader(res.Body, 1<<20))
	for lines.Scan() {
		name, text, _ := strings.Cut(lines.Text(), " ")
		if value, err := strconv.ParseFloat(text, 64); err == nil {
			out[name] = value
		}
	}
	return out, lines.Err()
}

// levels are the budgets of the collaborations that the key of this home may see; none without a key.
func (a *app) levels(ctx context.Context, r mesh.Report) []budgetLevel {
	ctx, cancel := context.WithTimeout(ctx, glanceLimit)
	defer cancel()
	s, err := a.signedIn(ctx)
	if err != nil {
		return nil
	}
	var out []budgetLevel
	for _, id := range collaborations(r) {
		answer, err := client.Unary(ctx, s.Client, &concordatv1.BudgetRequest{Collaboration: id}, client.Services.Budget)
		if err != nil {
			continue // of others
		}
		var all []budgetLevel
		if json.Unmarshal(answer.GetBudgets(), &all) != nil {
			continue
		}
		for _, l := range all {
			l.Collaboration = id
			out = append(out, l)
		}
	}
	slices.SortStableFunc(out, func(a, b budgetLevel) int { return cmp.Compare(b.Used, a.Used) })
	return out
}

func collaborations(r mesh.Report) []string {
	for _, c := range r.Coordinators {
		if c.Status != nil {
			return c.Status.GetCollaborations()
		}
	}
	return nil
}

// bar shows a part of a whole in ten steps.
func bar(part float64) string {
	full := min(10, max(0, int(part*10+0.5)))
	return strings.Repeat("#", full) + strings.Repeat(".", 10-full)
}

// The colours of what is well, of what wants a look, and of what is wrong, by the words that say so.
var tints = []struct {
	words  *regexp.Regexp
	colour string
}{
	{regexp.MustCompile(`ended: .*|does not answer|no leader known|not announced|not ready|\bfailing|cosigns? nothing|#{10}.*`), "\x1b[31m"},
	{regexp.MustCompile(`not rollback-protected.*|not asked yet|#{8,9}\.+.*|\d+ waiting`), "\x1b[33m"},
	{regexp.MustCompile(`\bleader\b|\bready\b|accepts marbles|\d+ datasets? loaded`), "\x1b[32m"},
}

// tint writes text in colour for a person at a terminal, and as it is for everybody else, or where NO_COLOR is set (no-color.org).
func (a *app) tint(text []byte) error {
	if os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && terminal(a.Out) {
		_, err := unscreened(a.Out).Write(tinted([]byte(present.CleanLines(string(text)))))
		return err
	}
	_, err := a.Out.Write(text)
	return err
}

// tinted colours each line by the first of the rules that finds something in it.
func tinted(text []byte) []byte {
	lines := bytes.SplitAfter(text, []byte("\n"))
	for i, line := range lines {
		for _, t := range tints {
			if t.words.Match(line) {
				lines[i] = t.words.ReplaceAll(line, []byte(t.colour+"$0\x1b[0m"))
				break
			}
		}
	}
	return bytes.Join(lines, nil)
}
