package page

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moncap/moncap/capture/fleet"
)

// metrics answers in the text-based exposition format 0.0.4 of Prometheus.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	s.soon(fleet.Viewer, func(w http.ResponseWriter, r *http.Request, _ person) {
		var names []string
		for _, t := range s.tunnels() {
			names = append(names, t.Name)
		}
		var b bytes.Buffer
		if err := WriteMetrics(r.Context(), &b, s.o.Store, names); err != nil {
			s.fail(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = b.WriteTo(w) // who asked may be gone
	})(w, r)
}

// family writes one family of metrics.
type family struct {
	w io.Writer
	n string
}

func newFamily(w io.Writer, name, kind, help string) family {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
	return family{w, name}
}

// put writes a value, with labels as name, value, name, value.
func (f family) put(value float64, labels ...string) {
	io.WriteString(f.w, f.n) //nolint:errcheck // the buffer keeps its error until it is flushed
	for i := 0; i+1 < len(labels); i += 2 {
		sep := ","
		if i == 0 {
			sep = "{"
		}
		fmt.Fprintf(f.w, `%s%s="%s"`, sep, labels[i], escape(labels[i+1]))
	}
	if len(labels) > 0 {
		io.WriteString(f.w, "}") //nolint:errcheck // as above
	}
	fmt.Fprintf(f.w, " %s\n", strconv.FormatFloat(value, 'f', -1, 64))
}

func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(clean(s))
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// WriteMetrics writes what the fleet's database tells, with every tunnel of configured, also one
// that never ran, whose values are -1.
func WriteMetrics(ctx context.Context, to io.Writer, store *fleet.Store, configured []string) error {
	w := bufio.NewWriter(to)
	if err := tunnelMetrics(ctx, w, store, configured); err != nil {
		return err
	}
	if err := countMetrics(ctx, w, store); err != nil {
		return err
	}
	if err := workerMetrics(ctx, w, store); err != nil {
		return err
	}
	return w.Flush()
}

func tunnelMetrics(ctx context.Context, w io.Writer, store *fleet.Store, configured []string) error {
	strips, err := store.Strips(ctx, 1)
	if err != nil {
		return err
	}
	judged, err := store.Last(ctx)
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for _, n := range configured {
		names[n] = true
	}
	for n := range strips {
		names[n] = true
	}
	sorted := slices.Sorted(maps.Keys(names))
	f := newFamily(w, "moncap_tunnel_verdict", "gauge", "Exit code of the tunnel's last run, with what came of it: "+
		"0 established, 1 warnings, 2 critical, 3 inconclusive, 4 failed, 5 something is left on a router; -1 it never ran.")
	for _, n := range sorted {
		if len(strips[n]) == 0 {
			f.put(-1, "tunnel", n, "outcome", verdictNever)
			continue
		}
		c := strips[n][0]
		f.put(float64(exitOf(c)), "tunnel", n, "outcome", verdict(c.State, c.Outcome))
	}
	f = newFamily(w, "moncap_tunnel_last_run_timestamp_seconds", "gauge",
		"When the tunnel's last run ended; -1: it never ran.")
	for _, n := range sorted {
		if len(strips[n]) == 0 {
			f.put(-1, "tunnel", n)
		} else {
			f.put(seconds(strips[n][0].Ended), "tunnel", n)
		}
	}
	f = newFamily(w, "moncap_finding", "gauge", "Findings of the tunnel's last run that has captures.")
	for _, n := range sorted {
		for _, found := range judged[n].Findings {
			f.put(1, "tunnel", n, "code", found.Code, "severity", found.Severity)
		}
	}
	return nil
}

// exitOf is the exit code that a run ended with, or would have.
func exitOf(c fleet.Cell) int {
	switch {
	case c.State == fleet.Dirty:
		return 5
	case c.Exit < 0, c.State == fleet.Interrupted:
		return 4
	}
	return c.Exit
}

func countMetrics(ctx context.Context, w io.Writer, store *fleet.Store) error {
	c, err := store.Counts(ctx)
	if err != nil {
		return err
	}
	f := newFamily(w, "moncap_start_gap_seconds", "gauge",
		"Time between the starts of the two captures of the tunnel's last run that had both.")
	for _, n := range slices.Sorted(maps.Keys(c.StartGap)) {
		f.put(c.StartGap[n].Seconds(), "tunnel", n)
	}
	f = newFamily(w, "moncap_runs_total", "counter",
		"Runs that are over, by how they ended; those that left something on a router are counted when it is gone.")
	for _, state := range fleet.States() {
		if state.Over() && state != fleet.Dirty {
			f.put(float64(c.Over[state]), "state", string(state))
		}
	}
	newFamily(w, "moncap_dirty_runs", "gauge",
		"Runs that left something on a router, which is there still.").put(float64(c.Open[fleet.Dirty]))
	newFamily(w, "moncap_recovering_runs", "gauge",
		"Runs whose worker is gone, and that another one goes on with.").put(float64(c.Open[fleet.Recovering]))
	f = newFamily(w, "moncap_queue_waiting", "gauge", "Runs that wait, by the site whose workers serve them.")
	if len(c.Waiting) == 0 {
		f.put(0, "site", "")
	}
	for _, site := range slices.Sorted(maps.Keys(c.Waiting)) {
		f.put(float64(c.Waiting[site]), "site", site)
	}
	newFamily(w, "moncap_oldest_wait_seconds", "gauge",
		"How long the first of the runs has waited that may begin.").put(c.Oldest.Seconds())
	return nil
}

func workerMetrics(ctx context.Context, w io.Writer, store *fleet.Store) error {
	workers, err := store.Workers(ctx)
	if err != nil {
		return err
	}
	f := newFamily(w, "moncap_worker_up", "gauge", "Whether a worker was heard of within its lease.")
	for _, wk := range workers {
		for _, site := range wk.Sites {
			up := 0.0
			if wk.Alive {
				up = 1
			}
			f.put(up, "worker", wk.ID, "site", site)
		}
	}
	schedules, err := store.ScheduleRows(ctx)
	if err != nil {
		return err
	}
	f = newFamily(w, "moncap_schedule_next_timestamp_seconds", "gauge",
		"When a schedule is due; a schedule that is paused, or never due, has none.")
	for _, c := range schedules {
		if !c.Paused && !c.Due.IsZero() {
			f.put(seconds(c.Due), "schedule", c.Name)
		}
	}
	f = newFamily(w, "moncap_schedule_missed_total", "counter", "Times of a schedule that went by while nobody was there.")
	for _, c := range schedules {
		f.put(float64(c.Missed), "schedule", c.Name)
	}
	return nil
}
