//go:build unix

package fleet

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/riverqueue/river/rivermigrate"

	"github.com/moncap/moncap/capture"
)

// firstSchema makes a database as the first moncap with one did, and closes it again.
func firstSchema(t *testing.T, url string, fill ...string) {
	t.Helper()
	s, err := Open(t.Context(), Options{URL: url, Lease: testLease, NoMigrate: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m, err := rivermigrate.New(s.driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		_, err = m.Migrate(t.Context(), rivermigrate.DirectionUp, nil)
	}
	if err == nil {
		err = s.step(t.Context(), 1)
	}
	for _, q := range fill {
		if err == nil {
			_, err = s.exec(t.Context(), s.db, q)
		}
	}
	if have, _, failed := s.Schema(t.Context()); err != nil || failed != nil || have != 1 {
		t.Fatal(have, failed, err)
	}
}

// insertFirst is a run as the first schema has it.
func insertFirst(id, state, more, values string) string {
	return fmt.Sprintf(
		`INSERT INTO moncap_run (id, tunnel, a, b, router_a, router_b, runs_a, runs_b, site, state, priority, created, clean, fence%s)
		VALUES ('%s', 't', 'r0', 'r1', 'x:22', 'y:22', 1, 1, '', '%s', 1, {now}, 1, 3%s)`, more, id, state, values)
}

func TestUpgradeFromTheFirstSchema(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		firstSchema(t, url,
			insertFirst("20261129-120000-aaaaaa", "interrupted", ", ended", ", {now}"),
			insertFirst("20261129-120000-bbbbbb", "done", ", ended, exit, outcome", ", {now}, 0, 'established'"),
			insertFirst("20261129-120000-cccccc", "dirty", ", ended, remains", ", {now}, 'r0: an ACL'"),
			"INSERT INTO moncap_slot (router, slot, run) VALUES ('x:22', 0, '20261129-120000-cccccc'), ('y:22', 0, "+
				"'20261129-120000-cccccc')",
			"INSERT INTO moncap_schedule (name, spec, digest, due) VALUES ('nightly', 's', 'd', 7)",
			"INSERT INTO moncap_worker (id, host, pid, version, sites, capacity, inventory, beat) VALUES ('old', 'h', 1, "+
				"'v0', '', 8, 'd', {now})")
		s := openStore(t, url)
		if have, want, err := s.Schema(t.Context()); err != nil || have != want {
			t.Fatal(have, want, err)
		}
		runs, err := s.Runs(t.Context(), RunFilter{})
		if err != nil || len(runs) != 3 {
			t.Fatalf("%v, %v", runs, err)
		}
		// One that was rescued a moment ago was to be looked at again.
		if _, _, ok := lookRow(t, s, "20261129-120000-aaaaaa"); !ok {
			t.Error("the second look at a rescued run is forgotten")
		}
		if _, _, ok := lookRow(t, s, "20261129-120000-bbbbbb"); ok {
			t.Error("a run that nobody rescued is looked at again")
		}
		// What a dirty run had it keeps.
		if err := s.Submit(t.Context(), ask(t, 1, "x:22", "z:22")); err != nil {
			t.Fatal(err)
		}
		if r, err := s.Run(t.Context(), runID(1)); err != nil || r.State != Waiting {
			t.Errorf("%+v, %v", r, err)
		}
		if all, err := s.ScheduleRows(t.Context()); err != nil || len(all) != 1 || all[0].Due.UnixMilli() != 7 {
			t.Errorf("%v, %v", all, err)
		}
		if s.file != "" {
			copied(t, s.file+".v1")
		}
	})
}

// copied wants a copy of the database as it was, for nobody else to read, that is not made again.
func copied(t *testing.T, file string) {
	t.Helper()
	before, err := os.Stat(file)
	if err != nil || before.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", before, err)
	}
	old, err := Open(t.Context(), Options{URL: "sqlite:" + file, NoMigrate: true})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	n := 0
	if _, err := old.row(t.Context(), old.db, []any{&n}, "SELECT count(*) FROM moncap_run"); err != nil || n != 3 {
		t.Errorf("the copy has %d runs, %v", n, err)
	}
	if have, _, err := old.Schema(t.Context()); err != nil || have != 1 {
		t.Errorf("the copy has schema %d, %v", have, err)
	}
}

// A worker under which the schema is raised begins nothing more, finishes what it has, and ends.
func TestAnOlderWorkerFinishesAndEnds(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		f, s := newField(t, 1), openStore(t, url)
		old := f.worker(t, url, func(c *workerConfig) { calm(c); c.Workers = 1 })
		settings := capture.Settings{Duration: 3 * time.Second}
		ids := submit(t, s, f.request(t, 0, 1, settings), f.request(t, 0, 1, settings))
		running(t, f, s, ids[0])
		if _, err := s.exec(t.Context(), s.db, "UPDATE moncap_meta SET version = 99"); err != nil {
			t.Fatal(err)
		}
		if code := old.code(t); code == 0 || !strings.Contains(old.log.String(), "version 99") {
			t.Errorf("exit %d\n%s", code, old.log)
		}
		if r, err := s.Run(t.Context(), ids[0]); err != nil || r.State != Done || !r.Clean {
			t.Errorf("what it had: %+v, %v", r, err)
		}
		if r, err := s.Run(t.Context(), ids[1]); err != nil || r.State != Waiting && r.State != Granted {
			t.Errorf("what it did not have: %+v, %v", r, err)
		}
		f.check(t)
	})
}
