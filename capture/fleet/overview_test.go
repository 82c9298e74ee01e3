//go:build unix

package fleet

import (
	"fmt"
	"strings"
	"testing"
)

// The list of the fleet reads the last runs of each tunnel through the index, on both databases,
// however many older ones there are: PostgreSQL is asked what it did, and how many rows it touched.
func TestStripsReadTheIndex(t *testing.T) {
	t.Parallel()
	const tunnels, runs, cells = 60, 100, 20
	eachDatabase(t, func(t *testing.T, url string) {
		s, err := Open(t.Context(), Options{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for i := range tunnels {
			var rows []string
			for n := range runs {
				id := fmt.Sprintf("20261129-%06d-%06d", n, i)
				rows = append(rows, fmt.Sprintf("('%s', 'branch-%03d', 'hub', 'b', '', '', 1, 1, '', 'done', 1, %d, %d, %d, "+
					"'established', 0, '%s', '', 'x', 1)",
					id, i, n+1, n+1, n+2, strings.Repeat("a headline as long as they are ", 4)))
			}
			if _, err := s.db.ExecContext(t.Context(),
				`INSERT INTO moncap_run (id, tunnel, a, b, router_a, router_b, runs_a, runs_b, site, state, priority,
				created, started, ended, outcome, exit, headline, cause, who, clean) VALUES `+strings.Join(rows, ",")); err != nil {
				t.Fatal(err)
			}
		}
		strips, err := s.Strips(t.Context(), cells)
		if err != nil || len(strips) != tunnels || len(strips["branch-007"]) != cells ||
			strips["branch-007"][0].ID != "20261129-000099-000007" {
			t.Fatalf("%d tunnels, %v, %v", len(strips), strips["branch-007"], err)
		}
		explain, analyze := "EXPLAIN QUERY PLAN ", "ANALYZE"
		if s.pool != nil {
			explain, analyze = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ", "VACUUM ANALYZE"
		}
		if _, err := s.db.ExecContext(t.Context(), analyze); err != nil {
			t.Fatal(err)
		}
		plan := planOf(t, s, explain+s.stripsQuery(), cells)
		if !strings.Contains(plan, "moncap_run_strip") || strings.Contains(plan, "Seq Scan") ||
			strings.Contains(plan, "SCAN r\n") || strings.Contains(plan, "SCAN x") {
			t.Errorf("older runs are read, too:\n%s", plan)
		}
		if s.pool != nil && !strings.Contains(plan, fmt.Sprintf("rows=%d", cells)) {
			t.Errorf("it does not stop after %d runs of a tunnel:\n%s", cells, plan)
		}
	})
}

func planOf(t *testing.T, s *Store, query string, args ...any) string {
	t.Helper()
	var plan strings.Builder
	if err := s.query(t.Context(), s.db, func(scan func(...any) error) error {
		var line string
		if s.pool != nil {
			err := scan(&line)
			plan.WriteString(line + "\n")
			return err
		}
		var id, parent, unused int
		err := scan(&id, &parent, &unused, &line)
		plan.WriteString(line + "\n")
		return err
	}, query, args...); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}
