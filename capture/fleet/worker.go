package fleet

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Worker is a process that carries out runs.
type Worker struct {
	ID, Host  string
	PID       int
	Version   string
	Sites     []string
	Capacity  int    // runs at a time
	Busy      int    // runs that it has
	Inventory string // digest of the inventory that it read
	Beat      time.Time
	Draining  bool          // it takes no new runs
	Alive     bool          // it was heard of within a lease
	ClockOff  time.Duration // its clock less the database's
}

// Workers lists the workers, those that live first.
func (s *Store) Workers(ctx context.Context) ([]Worker, error) {
	all, err := s.workers(ctx, s.db)
	return all, s.fail(err)
}

func (s *Store) workers(ctx context.Context, d doer) ([]Worker, error) {
	var all []Worker
	err := s.query(ctx, d, func(scan func(...any) error) error {
		var w Worker
		var sites string
		var beat, off, now int64
		err := scan(&w.ID, &w.Host, &w.PID, &w.Version, &sites, &w.Capacity, &w.Inventory, &beat, &off, &w.Draining, &now,
			&w.Busy)
		w.Sites, w.Beat, w.ClockOff = strings.Split(sites, ","), at(beat), time.Duration(off)*time.Millisecond
		w.Alive = max(now-beat, beat-now) <= s.lease.Milliseconds() // also when the clock was put back
		all = append(all, w)
		return err
	}, `SELECT id, host, pid, version, sites, capacity, inventory, beat, clock_off, draining, {now},
		(SELECT count(*) FROM moncap_run r WHERE r.owner = w.id AND r.state IN ('running', 'cancelling'))
		FROM moncap_worker w ORDER BY beat DESC, id`)
	return all, err
}

// DrainWorker has a worker take no new runs, finish those that it has, and end.
func (s *Store) DrainWorker(ctx context.Context, by, id string) error {
	n, err := s.exec(ctx, s.db, "UPDATE moncap_worker SET draining = 1 WHERE id = ?", id)
	if err == nil && n == 0 {
		err = notFound("worker", id)
	}
	if err != nil {
		return s.fail(err)
	}
	return s.Audit(ctx, by, "drain", "", id)
}

func notFound(what, name string) error { return fmt.Errorf("%s %s: %w", what, name, ErrNotFound) }
