package fleet

import (
	"context"
	"database/sql"
	"time"
)

// Schedule is when runs are asked for by themselves.
type Schedule struct {
	Name   string
	Spec   string    // what the inventory says of it
	Digest string    // of the inventory that it was read from
	Due    time.Time // when it fires next; zero: never
	Last   time.Time // when it fired last
	Paused bool
	Missed int // how often its time passed while nobody was there
}

// ScheduleRows lists the schedules.
func (s *Store) ScheduleRows(ctx context.Context) ([]Schedule, error) {
	all, err := s.schedules(ctx, s.db)
	return all, s.fail(err)
}

func (s *Store) schedules(ctx context.Context, d doer) ([]Schedule, error) {
	var all []Schedule
	err := s.query(ctx, d, func(scan func(...any) error) error {
		var c Schedule
		var due, last int64
		err := scan(&c.Name, &c.Spec, &c.Digest, &due, &last, &c.Paused, &c.Missed)
		c.Due, c.Last = at(due), at(last)
		all = append(all, c)
		return err
	}, "SELECT name, spec, digest, due, last, paused, missed FROM moncap_schedule ORDER BY name")
	return all, err
}

// PutSchedules makes the schedules of the database those of an inventory. One that has not changed
// stays as it is: when it is due, when it fired, and whether it is paused.
func (s *Store) PutSchedules(ctx context.Context, digest string, all []Schedule) error {
	return s.locked(ctx, func(tx *sql.Tx) error {
		there, err := s.schedules(ctx, tx)
		if err != nil {
			return err
		}
		known := map[string]Schedule{}
		for _, c := range there {
			known[c.Name] = c
		}
		for _, c := range all {
			old, ok := known[c.Name]
			delete(known, c.Name)
			due := ms(c.Due)
			if ok && old.Spec == c.Spec {
				due = ms(old.Due)
			}
			if _, err := s.exec(ctx, tx, `INSERT INTO moncap_schedule (name, spec, digest, due) VALUES (?, ?, ?, ?)
				ON CONFLICT (name) DO UPDATE SET spec = excluded.spec, digest = excluded.digest, due = excluded.due`, c.Name, c.Spec, digest, due); err != nil {
				return err
			}
		}
		for name := range known {
			if _, err := s.exec(ctx, tx, "DELETE FROM moncap_schedule WHERE name = ?", name); err != nil {
				return err
			}
		}
		return nil
	})
}

// PauseSchedule keeps a schedule from firing, or lets it again.
func (s *Store) PauseSchedule(ctx context.Context, by, name string, paused bool) error {
	what := "resume schedule"
	if paused {
		what = "pause schedule"
	}
	return s.locked(ctx, func(tx *sql.Tx) error {
		n, err := s.exec(ctx, tx, "UPDATE moncap_schedule SET paused = ? WHERE name = ?", number(paused), name)
		if err == nil && n == 0 {
			err = notFound("schedule", name)
		}
		if err != nil {
			return err
		}
		return s.audit(ctx, tx, by, what, "", name)
	})
}

// Fire moves a schedule from the time at which it was due to its next one, and asks for its runs;
// missed is how many of its times are passed over. It does so only while the schedule is due at
// that very time, and not paused: of all that try, one has fired.
func (s *Store) Fire(ctx context.Context, name string, due, next time.Time, missed int,
	reqs ...Request) (fired bool, err error) {
	err = s.locked(ctx, func(tx *sql.Tx) error {
		n, err := s.exec(ctx, tx,
			`UPDATE moncap_schedule SET due = ?, last = {now}, missed = missed + ? WHERE name = ? AND due = ? AND paused = 0`,
			ms(next), missed, name, ms(due))
		if fired = err == nil && n == 1; !fired {
			return err
		}
		if err := s.insertRuns(ctx, tx, reqs); err != nil {
			return err
		}
		return s.admit(ctx, tx)
	})
	return fired && err == nil, err
}
