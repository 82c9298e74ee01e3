//go:build unix

package fleet

import (
	"path/filepath"
	"strings"
	"testing"
)

// Most runs of a database are over, and many may wait: what is asked every few seconds must not
// read them all.
func TestWhatIsAskedOftenGoesByAnIndex(t *testing.T) {
	t.Parallel()
	s := openStore(t, "sqlite:"+filepath.Join(t.TempDir(), "moncap.db"))
	for _, q := range []string{
		"SELECT count(*) FROM moncap_run WHERE state IN ('granted', 'running', 'cancelling', 'recovering') AND (lease < " +
			"{now} OR lease > {now} + 1)",
		"SELECT 1 FROM moncap_run WHERE " + ready,
		"SELECT id FROM moncap_run WHERE " + ready + " AND site IN ('') ORDER BY priority, place, id",
		"SELECT id FROM moncap_run WHERE " + fromTheFuture,
	} {
		var plan []string
		args := make([]any, strings.Count(q, "?"))
		if err := s.query(t.Context(), s.db, func(scan func(...any) error) error {
			var id, parent, unused int
			var what string
			err := scan(&id, &parent, &unused, &what)
			plan = append(plan, what)
			return err
		}, "EXPLAIN QUERY PLAN "+q, args...); err != nil {
			t.Fatal(err)
		}
		if all := strings.Join(plan, "\n"); !strings.Contains(all, "SEARCH moncap_run USING INDEX moncap_run_state") &&
			!strings.Contains(all, "COVERING INDEX moncap_run_state") {
			t.Errorf("%s:\n%s", q, all)
		}
	}
}

// A queue that is long for one site keeps no other site from its turn.
func TestALongQueueKeepsNoOtherSite(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		s := openStore(t, url)
		var all []Request
		for i := range 300 {
			q := ask(t, i, "a:22", "b:22")
			q.Site, q.Priority = "nobody-there", Urgent
			all = append(all, q)
		}
		all = append(all, ask(t, 300, "c:22", "d:22"))
		if err := s.Submit(t.Context(), all...); err != nil {
			t.Fatal(err)
		}
		v := idle(t, s, WorkerOptions{Host: "h"})
		swept(t, v)
		if r, err := s.Run(t.Context(), runID(300)); err != nil || r.State != Granted {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
