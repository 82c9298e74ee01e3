//go:build unix

package page_test

import (
	"bytes"
	"compress/gzip"
	"database/sql"
	"net/http/httptest"
	"os"
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

// BenchmarkFleetPage makes the page of 500 tunnels with 20 cells each, of 30,000 runs. MONCAP_PAGE_DB is the address of an
// empty PostgreSQL database to do so on.
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

// cpu is what the process has taken of it: on a machine that others use, too, it says more than the clock.
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
	l := newLab(t, nil)
	l.past(t, 500, 20)
	began := time.Now()
	got := l.ask(t, fleet.Viewer, "GET", "/", "", nil)
	if got.status != 200 || len(got.body) > pageBytes || len(got.body) < 100_000 {
		t.Errorf("%d, %d bytes", got.status, len(got.body))
	}
	t.Logf("%d bytes in %s", len(got.body), time.Since(began))
}
