//go:build unix

package page_test

import (
	"bytes"
	"compress/gzip"
	"database/sql"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/capture/fleet/page"
)

func packed(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pageBytes is how large the page of 500 tunnels may be.
const pageBytes = 700_000

// BenchmarkFleetPage makes the page of 500 tunnels with 20 cells each, of 30,000 runs.
// MONCAP_PAGE_DB is the address of an empty PostgreSQL database to do so on.
func BenchmarkFleetPage(b *testing.B) {
	l := newLab(b, nil)
	if address := os.Getenv("MONCAP_PAGE_DB"); address != "" {
		store, err := fleet.Open(b.Context(), fleet.Options{URL: address})
		if err != nil {
			b.Fatal(err)
		}
		defer store.Close()
		db, err := sql.Open("pgx", address)
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		fill(b, db, "$1", 500, 60)
		if _, err := db.Exec("ANALYZE"); err != nil {
			b.Fatal(err)
		}
		l.store = store
		if l.token[fleet.Viewer], err = store.AddToken(b.Context(), "test", "viewer", fleet.Viewer); err != nil {
			b.Fatal(err)
		}
	} else {
		l.past(b, 500, 60)
	}
	p := page.New(page.Options{Store: l.store, Hosts: []string{"example.com"}})
	size, before := 0, cpu(b)
	for b.Loop() {
		r := httptest.NewRequestWithContext(b.Context(), "GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+l.token[fleet.Viewer])
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatalf("%d %s", w.Code, w.Body)
		}
		size = w.Body.Len()
	}
	if size > pageBytes {
		b.Errorf("the page is %d bytes", size)
	}
	b.ReportMetric(float64(size), "page-bytes")
	b.ReportMetric(float64((cpu(b)-before).Milliseconds())/float64(b.N), "cpu-ms/op")
}

// cpu is what the process has taken of it: on a machine that others use, too, it says
// more than the clock.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The size of the page, which does not depend on the machine.
func TestFleetPageIsSmall(t *testing.T) {
	t.Parallel()
	if patience > 1 {
		t.Skip("the size is the same without the race detector, with which SQLite is too slow to answer in time")
	}
	l := newLab(t, nil)
	l.past(t, 500, 20)
	began := time.Now()
	got := l.ask(t, fleet.Viewer, "GET", "/", "", nil)
	if got.status != 200 || len(got.body) > pageBytes || len(got.body) < 100_000 {
		t.Errorf("%d, %d bytes", got.status, len(got.body))
	}
	t.Logf("%d bytes in %s", len(got.body), time.Since(began))
}

// The metrics are in the form that Prometheus reads, and every configured tunnel is there. promtool
// judges where it is.
func TestMetrics(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.past(t, 3, 10)
	got := l.ask(t, fleet.Viewer, "GET", "/metrics", "", nil)
	for _, want := range []string{
		`moncap_tunnel_verdict{tunnel="new one",outcome="never"} -1`,
		`moncap_tunnel_last_run_timestamp_seconds{tunnel="hq"} -1`, `moncap_tunnel_verdict{tunnel="branch-001",outcome="`,
		`moncap_finding{tunnel="`, `moncap_runs_total{state="done"} `, "moncap_dirty_runs 0", "moncap_recovering_runs 0",
		`moncap_queue_waiting{site=""} 0`, "moncap_oldest_wait_seconds 0",
		"# TYPE moncap_worker_up gauge", "# TYPE moncap_schedule_next_timestamp_seconds gauge",
		"# TYPE moncap_schedule_missed_total counter", "# TYPE moncap_start_gap_seconds gauge",
	} {
		if !strings.Contains(got.body, want) {
			t.Errorf("%s is not there", want)
		}
	}
	if !strings.HasSuffix(got.body, "\n") ||
		!strings.HasPrefix(got.header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Errorf("%v", got.header)
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	c := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	c.Stdin = strings.NewReader(got.body)
	if out, err := c.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool: %v\n%s\n%s", err, out, got.body)
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules",
		"../../../docs/fleet/moncap-alerts.yaml").CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// What the alert rules and the dashboard ask for is what there is.
func TestRulesAskForWhatThereIs(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	got := l.ask(t, fleet.Viewer, "GET", "/metrics", "", nil).body
	for _, file := range []string{"moncap-alerts.yaml", "grafana.json"} {
		b, err := os.ReadFile("../../../docs/fleet/" + file)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`moncap_[a-z_]+`).FindAllString(string(b), -1)
		if len(names) < 5 {
			t.Errorf("%s: %d names", file, len(names))
		}
		for _, n := range names {
			if !strings.Contains(got, "# TYPE "+n+" ") {
				t.Errorf("%s asks for %s, which there is not", file, n)
			}
		}
	}
}
