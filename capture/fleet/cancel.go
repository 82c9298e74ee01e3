package fleet

import (
	"context"
	"database/sql"
	"errors"

	"github.com/riverqueue/river"
)

// Cancel ends runs: one that has not begun never does, and the worker of one that runs takes
// everything back. It returns the runs as they are then.
func (s *Store) Cancel(ctx context.Context, by string, ids ...string) ([]Run, error) {
	var after []Run
	err := s.locked(ctx, func(tx *sql.Tx) error {
		after = nil
		for _, id := range ids {
			r, err := s.cancel(ctx, tx, by, id)
			if err != nil {
				return err
			}
			after = append(after, r)
		}
		return s.admit(ctx, tx)
	})
	return after, err
}

func (s *Store) cancel(ctx context.Context, tx *sql.Tx, by, id string) (Run, error) {
	all, err := s.runs(ctx, tx, "WHERE id = ?", id)
	if err == nil && len(all) == 0 {
		err = notFound("run", id)
	}
	if err != nil {
		return Run{}, err
	}
	r := all[0]
	switch r.State {
	case Waiting, Granted:
		r.State = Cancelled
		if _, err := s.exec(ctx, tx,
			`UPDATE moncap_run SET state = 'cancelled', cancelled = ?, ended = {now}, clean = 1, headline = ?, fence = fence + 1
			WHERE id = ?`, by, "cancelled by "+by+" before it began", id); err != nil {
			return r, err
		}
		if _, err := s.exec(ctx, tx, "DELETE FROM moncap_slot WHERE run = ?", id); err != nil {
			return r, err
		}
	case Running:
		r.State = Cancelling
		if _, err := s.exec(ctx, tx, "UPDATE moncap_run SET state = 'cancelling', cancelled = ? WHERE id = ?", by,
			id); err != nil {
			return r, err
		}
	default:
		return r, nil
	}
	if err := s.cancelJob(ctx, tx, r.job); err != nil {
		return r, err
	}
	return r, s.audit(ctx, tx, by, "cancel", id, "")
}

// cancelJob has River end a job, wherever it is. A job that River does not have any more is none.
func (s *Store) cancelJob(ctx context.Context, tx *sql.Tx, job int64) error {
	if job == 0 {
		return nil
	}
	_, err := s.queue.JobCancelTx(ctx, tx, job)
	if errors.Is(err, river.ErrNotFound) {
		return nil
	}
	return err
}
