//go:build unix

package fleet

import (
	"strings"
	"testing"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertest"
	"github.com/riverqueue/river/rivertype"
)

// What River is told of a run: once, in the queue of its site, with its priority, and never to try
// again, for what is tried again is decided by the run's own row.
func TestTheJobOfARun(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		s := openStore(t, url)
		idle(t, s, WorkerOptions{Workers: 3, Sites: []string{"emea"}})
		urgent, busy := ask(t, 0, "a", "b"), ask(t, 1, "a", "c")
		urgent.Site, urgent.Priority, busy.Site = "emea", Urgent, "emea"
		submit(t, s, urgent, busy)
		job := rivertest.RequireInserted(t.Context(), t, s.driver, runArgs{runID(0)}, &rivertest.RequireInsertedOpts{
			MaxAttempts: 1, Priority: int(Urgent) + 1, Queue: queueOf("emea"), State: rivertype.JobStateAvailable})
		if r, err := s.Run(t.Context(), runID(0)); err != nil || r.job != job.ID || job.Args.Run != runID(0) {
			t.Errorf("job %d of run %s; the run says %d, %v", job.ID, job.Args.Run, r.job, err)
		}

		v := idle(t, s, WorkerOptions{Workers: 1, Sites: []string{"emea"}})
		if _, err := s.exec(t.Context(), s.db, "UPDATE moncap_run SET state = 'recovering', owner = '' WHERE id = ?",
			runID(0)); err != nil {
			t.Fatal(err)
		}
		// No copy of a job, late or invented, does anything: the run names the one that it waits for.
		tx, err := s.db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		late, err := s.queue.InsertTx(t.Context(), tx, runArgs{runID(0)}, &river.InsertOpts{MaxAttempts: 1})
		if err != nil {
			t.Fatal(err)
		}
		rescue, err := s.queue.InsertTx(t.Context(), tx, rescueArgs{Run: runID(0)}, &river.InsertOpts{MaxAttempts: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		for _, j := range []*rivertype.JobRow{late.Job, rescue.Job} {
			var err error
			if j.Kind == late.Job.Kind {
				err = (&runWorker{v: v}).Work(t.Context(), &river.Job[runArgs]{JobRow: j, Args: runArgs{runID(0)}})
			} else {
				err = (&rescueWorker{v: v}).Work(t.Context(),
					&river.Job[rescueArgs]{JobRow: j, Args: rescueArgs{Run: runID(0)}})
			}
			if err != nil {
				t.Errorf("%s: %v", j.Kind, err)
			}
		}
		r, err := s.Run(t.Context(), runID(0))
		if err != nil || r.State != Recovering || r.Fence != 0 || !strings.HasPrefix(states(t, s), "recovering waiting") {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
