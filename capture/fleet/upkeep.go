package fleet

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// AuditRow is something that somebody did.
type AuditRow struct {
	At                     time.Time
	Who, What, Run, Origin string
}

// Audit writes down who did what.
func (s *Store) Audit(ctx context.Context, who, what, run, origin string) error {
	return s.fail(s.audit(ctx, s.db, who, what, run, origin))
}

func (s *Store) audit(ctx context.Context, d doer, who, what, run, origin string) error {
	if origin == "" {
		origin = originOf(ctx)
	} else if from := originOf(ctx); from != "" {
		origin += " from " + from
	}
	_, err := s.exec(ctx, d, "INSERT INTO moncap_audit (at, who, what, run, origin) VALUES ({now}, ?, ?, ?, ?)", who, what,
		run, origin)
	return err
}

// AuditRows lists what was done since a time, the oldest first.
func (s *Store) AuditRows(ctx context.Context, since time.Time) ([]AuditRow, error) {
	var all []AuditRow
	err := s.query(ctx, s.db, func(scan func(...any) error) error {
		var a AuditRow
		var when int64
		err := scan(&when, &a.Who, &a.What, &a.Run, &a.Origin)
		a.At = at(when)
		all = append(all, a)
		return err
	}, "SELECT at, who, what, run, origin FROM moncap_audit WHERE at >= ? ORDER BY at", ms(since))
	return all, s.fail(err)
}

// Backup writes a copy of a SQLite database to a file that is not there yet, while
// others work with it.
func (s *Store) Backup(ctx context.Context, file string) error {
	if s.file == "" {
		return usagef("database %s: PostgreSQL is backed up with its own tools: pg_dump", s.name)
	}
	if exists(file) {
		return usagef("%s: it is there already", file)
	}
	return s.fail(s.copyFile(ctx, file))
}

// Retain says how long what is kept. A zero keeps everything.
type Retain struct {
	Runs     time.Duration // rows of runs, with their journals and reports
	Bundles  time.Duration // captures in the database
	KeepLast int           // of each tunnel, whatever their age
	MaxGB    float64       // of captures in the database: the oldest go first
}

// Pruned is what was removed.
type Pruned struct {
	Runs, Bundles int
	Bytes         int64 // of the bundles
}

// Prune removes what is older than it is kept; with dryRun it only counts. A run that is not over,
// or that has left something on a router, stays.
func (s *Store) Prune(ctx context.Context, keep Retain, dryRun bool) (Pruned, error) {
	var p Pruned
	err := s.locked(ctx, func(tx *sql.Tx) error {
		p = Pruned{}
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		if err := s.pruneBundles(ctx, tx, now, keep, dryRun, &p); err != nil {
			return err
		}
		if err := s.pruneRuns(ctx, tx, now, keep, dryRun, &p); err != nil || dryRun {
			return err
		}
		_, err = s.exec(ctx, tx, "DELETE FROM moncap_worker WHERE beat < ?", now-deadWorkers.Milliseconds())
		return err
	})
	return p, err
}

// deadWorkers is for how long a worker that was killed is listed.
const deadWorkers = 24 * time.Hour

// ranked are the runs that may go, each with its place among its tunnel's, the newest first.
const ranked = `(SELECT id, ended, row_number() OVER (PARTITION BY tunnel, a, b ORDER BY ended DESC, id DESC) AS place FROM moncap_run
	WHERE ended > 0 AND state <> 'dirty' AND state NOT IN ` + openStates + `) AS ranked`

func (s *Store) pruneBundles(ctx context.Context, tx *sql.Tx, now int64, keep Retain, dryRun bool, p *Pruned) error {
	var total int64
	var gone []string
	err := s.query(ctx, tx, func(scan func(...any) error) error {
		var id string
		var ended, size int64
		var place int
		if err := scan(&id, &ended, &place, &size); err != nil {
			return err
		}
		total += size
		old := keep.Bundles > 0 && ended < now-keep.Bundles.Milliseconds()
		over := keep.MaxGB > 0 && float64(total) > keep.MaxGB*(1<<30)
		if place > keep.KeepLast && (old || over) {
			gone, p.Bytes, total = append(gone, id), p.Bytes+size, total-size
		}
		return nil
	}, "SELECT ranked.id, ranked.ended, ranked.place, length(m.bytes) FROM "+ranked+
		" JOIN moncap_artifact m ON m.run = ranked.id ORDER BY ranked.ended DESC")
	p.Bundles = len(gone)
	if err != nil || dryRun {
		return err
	}
	return s.deleteOf(ctx, tx, gone, "moncap_artifact", "run")
}

func (s *Store) pruneRuns(ctx context.Context, tx *sql.Tx, now int64, keep Retain, dryRun bool, p *Pruned) error {
	if keep.Runs <= 0 {
		return nil
	}
	var gone []string
	err := s.query(ctx, tx, func(scan func(...any) error) error {
		var id string
		err := scan(&id)
		gone = append(gone, id)
		return err
	}, "SELECT id FROM "+ranked+" WHERE ended < ? AND place > ?", now-keep.Runs.Milliseconds(), keep.KeepLast)
	p.Runs = len(gone)
	if err != nil || dryRun {
		return err
	}
	// What was counted stays counted.
	for chunk := range slices.Chunk(gone, 500) {
		if _, err := s.exec(ctx, tx,
			`INSERT INTO moncap_pruned (state, n) SELECT state, count(*) FROM moncap_run WHERE id IN (`+questions(len(chunk))+`)
			GROUP BY state ON CONFLICT (state) DO UPDATE SET n = moncap_pruned.n + excluded.n`, anys(chunk)...); err != nil {
			return err
		}
	}
	for _, table := range []string{"moncap_artifact", "moncap_report", "moncap_finding", "moncap_journal", "moncap_plan",
		"moncap_look"} {
		if err := s.deleteOf(ctx, tx, gone, table, "run"); err != nil {
			return err
		}
	}
	return s.deleteOf(ctx, tx, gone, "moncap_run", "id")
}

func (s *Store) deleteOf(ctx context.Context, tx *sql.Tx, ids []string, table, column string) error {
	for _, id := range ids {
		if _, err := s.exec(ctx, tx, fmt.Sprintf("DELETE FROM %s WHERE %s = ?", table, column), id); err != nil {
			return err
		}
	}
	return nil
}

// Problem is something that Check found.
type Problem struct {
	Severity string // error or warning
	Text     string
}

// Check looks for what is wrong with the database and the fleet.
func (s *Store) Check(ctx context.Context) ([]Problem, error) {
	var all []Problem
	say := func(severity, format string, args ...any) {
		all = append(all, Problem{severity, fmt.Sprintf(format, args...)})
	}
	have, want, err := s.Schema(ctx)
	if err != nil {
		return nil, err
	}
	if have != want {
		say("error", "the schema is version %d, and this moncap works with %d: moncap db init", have, want)
		return all, nil
	}
	if s.file != "" {
		verdict := ""
		if _, err := s.row(ctx, s.db, []any{&verdict}, "PRAGMA quick_check(1)"); err != nil {
			return nil, s.fail(err)
		}
		if verdict != "ok" {
			say("error", "the file is damaged: %s", verdict)
		}
	}
	orphans := 0
	if _, err := s.row(ctx, s.db, []any{&orphans}, `SELECT count(*) FROM moncap_slot WHERE until = 0 AND run NOT IN
		(SELECT id FROM moncap_run WHERE state IN ('granted', 'running', 'cancelling', 'recovering', 'dirty'))`); err != nil {
		return nil, s.fail(err)
	}
	if orphans > 0 {
		say("error", "%d routers are held for runs that are over", orphans)
	}
	return all, s.fail(s.checkFleet(ctx, say))
}

func (s *Store) checkFleet(ctx context.Context, say func(severity, format string, args ...any)) error {
	jobs, err := s.runs(ctx, s.db, "WHERE state IN ('dirty', 'recovering') ORDER BY created")
	if err != nil {
		return err
	}
	for _, r := range jobs {
		if r.State == Dirty {
			say("error", "run %s left something on %s or %s: moncap clean %s", r.ID, r.Peers[0], r.Peers[1], r.ID)
		} else {
			say("warning", "run %s is recovering since its worker was lost", r.ID)
		}
	}
	workers, err := s.workers(ctx, s.db)
	if err != nil {
		return err
	}
	alive := 0
	for _, w := range workers {
		if w.Alive {
			alive++
		}
		if off := w.ClockOff.Abs(); w.Alive && off > maxClockOff {
			say("warning", "worker %s: its clock is %s off the database's", w.ID, off)
		}
	}
	if alive == 0 {
		say("warning", "no worker is alive: moncap serve")
	}
	return nil
}

// maxClockOff is how far a worker's clock may be off before it is said.
const maxClockOff = 5 * time.Second
