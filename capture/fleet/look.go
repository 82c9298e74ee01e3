package fleet

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/riverqueue/river"

	"github.com/moncap/moncap/capture"
)

// againArgs is the job of looking at the routers of a rescued run once more: a worker that was only
// frozen may have sent the one command that it was about to.
type againArgs struct {
	Run string `json:"run"`
}

// Kind is River's name of it.
func (againArgs) Kind() string { return "moncap_again" }

// Looks are rows of their own, and River's job only brings one to a worker: a worker that dies
// while it looks is found out as one that dies in a run is.
const (
	// lookAfter is how many leases after a rescue the routers are looked at again.
	lookAfter = 8
	// maxLooks is how often routers are looked at that cannot be reached, before somebody has to look.
	maxLooks = 10
)

// lookLater has the routers of a run looked at again in a while.
func (s *Store) lookLater(ctx context.Context, tx *sql.Tx, run string) error {
	_, err := s.exec(ctx, tx, `INSERT INTO moncap_look (run, due) VALUES (?, {now} + ?)
		ON CONFLICT (run) DO UPDATE SET due = excluded.due, owner = '', job = 0, tries = 0`, run, lookAfter*s.lease.Milliseconds())
	return err
}

// handOutLooks has workers look at the routers whose time has come, also at those whose worker was
// silent while it looked.
func (s *Store) handOutLooks(ctx context.Context, tx *sql.Tx) error {
	type look struct {
		run, site string
		job       int64
	}
	var due []look
	if err := s.query(ctx, tx, func(scan func(...any) error) error {
		var l look
		err := scan(&l.run, &l.job, &l.site)
		due = append(due, l)
		return err
	}, "SELECT l.run, l.job, r.site FROM moncap_look l JOIN moncap_run r ON r.id = l.run WHERE l.due < {now} "+
		"ORDER BY l.run"); err != nil {
		return err
	}
	for _, l := range due {
		if err := s.cancelJob(ctx, tx, l.job); err != nil {
			return err
		}
		job, err := s.queue.InsertTx(ctx, tx, againArgs{l.run},
			&river.InsertOpts{Queue: rescueQueueOf(l.site), MaxAttempts: 1})
		if err != nil {
			return err
		}
		if _, err := s.exec(ctx, tx, "UPDATE moncap_look SET owner = '', job = ?, due = {now} + ? WHERE run = ?",
			job.Job.ID, 4*s.lease.Milliseconds(), l.run); err != nil {
			return err
		}
	}
	_, err := s.exec(ctx, tx, "DELETE FROM moncap_look WHERE due < {now}") // of runs that are not there any more
	return err
}

// againWorker looks again.
type againWorker struct {
	river.WorkerDefaults[againArgs]
	v *service
}

// Work looks for everything that the run may have made. It needs no lease: taking back never does.
func (w *againWorker) Work(ctx context.Context, job *river.Job[againArgs]) error {
	v, tries := w.v, 0
	asking, cancel := v.answer(ctx)
	defer cancel()
	found, err := v.s.row(asking, v.s.db, []any{&tries},
		`UPDATE moncap_look SET owner = ?, due = {now} + ?, tries = tries + 1
		WHERE run = ? AND job = ? AND owner = ''`+notNewer+` RETURNING tries`, v.id, v.s.lease.Milliseconds(), job.Args.Run, job.ID)
	if err != nil || !found {
		return err // whoever sweeps next sees that nobody took it
	}
	looking, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer v.looking(job.ID, end)()
	removed, dir, err := v.look(looking, job.Args.Run, job.ID)
	return v.looked(context.WithoutCancel(ctx), job.Args.Run, job.ID,
		looked{removed, dir, err, tries, looking.Err() != nil})
}

// looking has a look end with the worker, and prolonged meanwhile.
func (v *service) looking(job int64, end context.CancelCauseFunc) (over func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.looks[job] = end
	if v.hard != nil {
		end(v.hard)
	}
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.looks, job)
	}
}

// prolongLooks says that the worker still looks.
func (v *service) prolongLooks(ctx context.Context) error {
	v.mu.Lock()
	n := len(v.looks)
	v.mu.Unlock()
	if n == 0 {
		return nil
	}
	_, err := v.s.exec(ctx, v.s.db, "UPDATE moncap_look SET due = {now} + ? WHERE owner = ?", v.s.lease.Milliseconds(),
		v.id)
	return err
}

// look takes back what of a run is on its routers. dir is the bundle that says what it did; it is
// empty when there is none.
func (v *service) look(ctx context.Context, run string, job int64) (removed int, dir string, err error) {
	p, doc, err := v.s.plan(ctx, run)
	if err != nil {
		return 0, "", err
	}
	if err := v.o.Crew.Knows(p); err != nil {
		return 0, "", err
	}
	entries, err := v.s.journal(ctx, v.s.db, run)
	if err != nil {
		return 0, "", err
	}
	dir = fmt.Sprintf("%s/%s-%s-again-%d", v.o.Crew.Folder, p.Tunnel, p.RunID, job)
	b, err := remake(dir, p, doc, entries)
	if err != nil {
		return 0, "", err
	}
	defer b.Close()
	sessions, err := v.o.Crew.Open(ctx, p, b, true)
	if err != nil {
		return 0, dir, err
	}
	defer sessions.Close()
	r, err := capture.Clean(ctx, b, sessions.Hosts(), v.o.Crew.Options(p))
	if err != nil {
		return 0, dir, err
	}
	return len(r.Removed), dir, b.Close()
}

// looked is what a look came to.
type looked struct {
	removed int
	dir     string // of its bundle
	err     error
	tries   int
	cut     bool // the worker is to end, or others look
}

// looked writes down what a look came to. What is not written is looked at again.
func (v *service) looked(ctx context.Context, run string, job int64, l looked) error {
	ctx, cancel := v.answer(ctx)
	defer cancel()
	_, dirty := errors.AsType[*capture.DirtyError](l.err)
	last := l.err != nil && !l.cut && l.tries >= maxLooks
	if l.dir != "" && !(last && dirty) {
		if err := os.RemoveAll(l.dir); err != nil {
			v.s.log.Warn("the folder of a second look stays", "run", run, "error", err.Error())
		}
	}
	if l.err != nil && !last {
		wait := v.s.lease.Milliseconds() * int64(min(l.tries, 8))
		if l.cut {
			wait = 0
		}
		_, err := v.s.exec(ctx, v.s.db,
			"UPDATE moncap_look SET owner = '', due = {now} + ? WHERE run = ? AND job = ? AND owner = ?", wait, run, job, v.id)
		if !l.cut {
			v.s.log.Warn("the routers of a rescued run could not be looked at again yet", "run", run, "error",
				oneLine(l.err.Error()))
		}
		return err
	}
	return v.s.locked(ctx, func(tx *sql.Tx) error {
		n, err := v.s.exec(ctx, tx, "DELETE FROM moncap_look WHERE run = ? AND job = ? AND owner = ?", run, job, v.id)
		if err != nil || n == 0 { // others look
			return err
		}
		switch {
		case l.err == nil && l.removed == 0:
			return nil
		case l.err == nil:
			what := fmt.Sprintf("removed %d things that its lost worker made after it was cleaned up", l.removed)
			return v.s.audit(ctx, tx, v.id, what, run, "")
		case !dirty:
			v.s.log.Warn("the routers of a rescued run were not looked at again", "run", run, "error", oneLine(l.err.Error()))
			return v.s.audit(ctx, tx, v.id, "its routers were not looked at again: "+oneLine(l.err.Error()), run, "")
		}
		v.logLeft(run, nil, l.err)
		if err := v.s.soil(ctx, tx, run, v.host, l); err != nil || v.o.Crew.Tell == nil {
			return err
		}
		return v.s.tell(ctx, tx, run, nil, v.o.Crew.Tell)
	})
}

// soil marks a run that was clean as one that left something. It has its routers again, whoever is
// on them.
func (s *Store) soil(ctx context.Context, tx *sql.Tx, run, host string, l looked) error {
	all, err := s.runs(ctx, tx, "WHERE id = ? AND state IN ('collected', 'interrupted', 'done')", run)
	if err != nil || len(all) == 0 {
		return err
	}
	if _, err := s.exec(ctx, tx, "UPDATE moncap_run SET state = 'dirty', clean = 0, exit = 5, error = ?, remains = ?, "+
		"bundle = ?, host = ? WHERE id = ?",
		oneLine(l.err.Error()), remains(l.err), l.dir, host, run); err != nil {
		return err
	}
	h := &hall{taken: map[string][]int{}}
	if err := s.lookAtSlots(ctx, tx, h); err != nil {
		return err
	}
	if err := s.dropLapsed(ctx, tx, h); err != nil {
		return err
	}
	var slots []any
	for _, router := range all[0].distinct() {
		slots = append(slots, router, h.take(router), run)
	}
	return s.insertMany(ctx, tx, "moncap_slot (router, slot, run)", 3, slots)
}
