package fleet

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/riverqueue/river"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
)

// rescueArgs is the job of going on with a run whose worker is gone.
type rescueArgs struct {
	Run string `json:"run"`
}

// Kind is River's name of it.
func (rescueArgs) Kind() string { return "moncap_rescue" }

// sweep finds the runs whose workers are silent, and has others go on with them; those that were
// granted and not taken up; and those whose time has come.
func (v *service) sweep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.s.lease/4) // the next beat must not wait for it
	defer cancel()
	n := 0
	// Each part goes by an index: most runs of a database are over.
	if _, err := v.s.row(ctx, v.s.db, []any{&n},
		`SELECT (SELECT count(*) FROM moncap_run WHERE state IN ('granted', 'running', 'cancelling', 'recovering')
		AND (lease < {now} OR lease > {now} + ?)) + (SELECT count(*) FROM moncap_look WHERE due < {now} OR due > {now} + ?)
		+ CASE WHEN EXISTS (SELECT 1 FROM moncap_run WHERE `+ready+`) THEN 1 ELSE 0 END`, v.s.future(longestLease), v.s.future(longestLook)); err != nil || n == 0 {
		return err
	}
	return v.s.locked(ctx, func(tx *sql.Tx) error {
		if err := v.s.shorten(ctx, tx); err != nil {
			return err
		}
		late, err := v.s.runs(ctx, tx,
			"WHERE state IN ('granted', 'running', 'cancelling', 'recovering') AND lease < {now} ORDER BY id")
		if err != nil {
			return err
		}
		for _, r := range late {
			if err := v.s.cancelJob(ctx, tx, r.job); err != nil {
				return err
			}
			if r.State == Granted {
				err = v.s.ungrant(ctx, tx, r)
			} else {
				err = v.s.rescue(ctx, tx, r)
			}
			if err != nil {
				return err
			}
		}
		if err := v.s.handOutLooks(ctx, tx); err != nil {
			return err
		}
		return v.s.admit(ctx, tx)
	})
}

// ungrant lets a run wait again that no worker took.
func (s *Store) ungrant(ctx context.Context, tx *sql.Tx, r Run) error {
	if _, err := s.exec(ctx, tx, "UPDATE moncap_run SET state = 'waiting', job = 0, lease = 0 WHERE id = ?",
		r.ID); err != nil {
		return err
	}
	_, err := s.exec(ctx, tx, "DELETE FROM moncap_slot WHERE run = ?", r.ID)
	return err
}

// rescue takes a run from its worker, and has the workers of its site go on with it. Whoever held
// it cannot write any more.
func (s *Store) rescue(ctx context.Context, tx *sql.Tx, r Run) error {
	job, err := s.queue.InsertTx(ctx, tx, rescueArgs{r.ID},
		&river.InsertOpts{Queue: rescueQueueOf(r.Site), MaxAttempts: 1})
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, tx, "UPDATE moncap_run SET state = 'recovering', fence = fence + 1, owner = '', job = ?, lease "+
		"= {now} + ? WHERE id = ?", job.Job.ID, 4*s.lease.Milliseconds(), r.ID)
	return err
}

// Clean has a worker of a dirty run's site go on with taking back what it left.
func (s *Store) Clean(ctx context.Context, by, id string) error {
	return s.locked(ctx, func(tx *sql.Tx) error {
		all, err := s.runs(ctx, tx, "WHERE id = ?", id)
		switch {
		case err != nil:
			return err
		case len(all) == 0:
			return notFound("run", id)
		case all[0].State != Dirty:
			return usagef("run %s: it is %s, and not dirty", id, all[0].State)
		}
		if _, err := s.exec(ctx, tx, "UPDATE moncap_run SET tries = 0 WHERE id = ?", id); err != nil {
			return err
		}
		if err := s.audit(ctx, tx, by, "clean", id, ""); err != nil {
			return err
		}
		return s.rescue(ctx, tx, all[0])
	})
}

// rescueWorker carries out the jobs of rescues.
type rescueWorker struct {
	river.WorkerDefaults[rescueArgs]
	v *service
}

// Work goes on with one run.
func (w *rescueWorker) Work(ctx context.Context, job *river.Job[rescueArgs]) error {
	v := w.v
	sent, found := time.Now(), false
	var r Run
	var err error
	asking, cancel := v.answer(ctx)
	defer cancel()
	if err = v.s.query(asking, v.s.db, func(scan func(...any) error) error {
		found = true
		r, err = scanRun(scan)
		return err
	}, `UPDATE moncap_run SET fence = fence + 1, owner = ?, lease = {now} + ?, tries = tries + 1 WHERE id = ? AND state = 'recovering' AND job = ?
		AND owner = ''`+notNewer+` RETURNING `+runColumns, v.id, v.s.lease.Milliseconds(), job.Args.Run, job.ID); err != nil || !found {
		return err // whoever sweeps next sees that nobody took it
	}
	ctx, h := v.hold(ctx, r, sent)
	defer v.release(h)
	v.goOn(ctx, h)
	return nil
}

// maxTries is how often a run is gone on with whose routers cannot be reached, before somebody has
// to look.
const maxTries = 6

// goOn collects or cleans a run from what the database, or this machine, has of it.
func (v *service) goOn(ctx context.Context, h *held) {
	base := context.WithoutCancel(ctx)
	p, doc, err := v.s.plan(ctx, h.ID)
	var entries []bundle.Entry
	if err == nil {
		entries, err = v.s.journal(ctx, v.s.db, h.ID)
	}
	switch {
	case err != nil:
		v.later(base, h, err)
		return
	case doc == "" && len(entries) == 0: // it ended before it knew its routers
		v.settle(base, h, ending{state: Interrupted, err: errors.New("its worker was lost before it began"), clean: true})
		return
	}
	if err := v.o.Crew.Knows(p); err != nil {
		v.later(base, h, err)
		return
	}
	b, err := v.recall(h, p, doc, entries)
	if err != nil {
		v.later(base, h, err)
		return
	}
	defer b.Close()
	e := v.resume(ctx, h, p, b, entries)
	if e.state == Dirty && h.tries < maxTries && ctx.Err() == nil {
		v.later(base, h, e.err)
		return
	}
	if ctx.Err() != nil && e.state == Dirty {
		return // whoever sweeps next goes on
	}
	// Of a run that did not choose its own names nobody could tell later whose they are.
	e.again = e.clean && p.Settings.Name == ""
	v.settle(base, h, e)
}

// recall opens the bundle that the run left here, or makes one of what the database has.
func (v *service) recall(h *held, p *capture.Plan, doc string, entries []bundle.Entry) (*bundle.Bundle, error) {
	if h.Host == v.host && h.Bundle != "" {
		if b, err := bundle.Resume(h.Bundle); err == nil {
			// That of another run would be undone at the wrong routers, and prove that nothing of this one
			// is left.
			if run, err := b.Run(); err == nil && run.ID == h.ID {
				return b, nil
			}
			if err := b.Close(); err != nil {
				return nil, err
			}
		}
	}
	return remake(fmt.Sprintf("%s-rescue-%d", v.folder(h, p), h.Fence), p, doc, entries)
}

// remake makes a bundle from run.json and journal alone.
func remake(dir string, p *capture.Plan, doc string, entries []bundle.Entry) (*bundle.Bundle, error) {
	run := &bundle.Run{}
	if doc != "" {
		if err := json.Unmarshal([]byte(doc), run); err != nil {
			return nil, fmt.Errorf("run.json: %w", err)
		}
	}
	plan, err := p.Encode()
	if err != nil {
		return nil, err
	}
	// What a run says of itself proves nothing here: the routers are looked at.
	run.ID, run.Tunnel, run.Plan, run.Clean, run.Proof = p.RunID, p.Tunnel, plan, false, ""
	b, err := bundle.Create(dir)
	if err != nil {
		return nil, err
	}
	if err = b.SaveRun(run); err == nil {
		for _, e := range entries {
			if err = b.Record(e); err != nil {
				break
			}
		}
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// worthCollecting says whether packets are to be had: both captures may have run, and not so long
// ago that the routers have been used for something else since.
func worthCollecting(h *held, p *capture.Plan, entries []bundle.Entry, now time.Time) bool {
	const long = time.Hour
	return h.CancelledBy == "" && slices.ContainsFunc(entries, func(e bundle.Entry) bool {
		return e.Kind == capture.KindActive && e.State == bundle.Made && now.Before(e.Time.Add(p.Settings.Duration+long))
	})
}

func (v *service) resume(ctx context.Context, h *held, p *capture.Plan, b *bundle.Bundle,
	entries []bundle.Entry) ending {
	base := context.WithoutCancel(ctx)
	sessions, err := v.o.Crew.Open(ctx, p, b, true)
	if err != nil {
		return ending{state: Dirty, err: err, b: b}
	}
	defer sessions.Close()
	seq := int64(0)
	if n := len(entries); n > 0 {
		seq = int64(entries[n-1].Seq)
	}
	// The numbers of whoever held it before end far below: what they still write does not meet these.
	o, l := v.options(base, h, p, seq+1000)
	defer l()
	now, err := v.s.Now(ctx)
	if err != nil {
		now = time.Now()
	}
	state := Interrupted
	if worthCollecting(h, p, entries, now) && h.tries < maxTries {
		_, err = capture.Collect(ctx, b, sessions.Hosts(), o)
		state = Collected
		if errors.Is(err, capture.ErrOver) {
			_, err = capture.Clean(ctx, b, sessions.Hosts(), o)
			return v.removed(base, b, err)
		}
		if _, dirty := errors.AsType[*capture.DirtyError](err); dirty && ctx.Err() == nil && h.tries < 3 {
			return ending{state: Dirty, err: err, b: b}
		}
	}
	if state == Interrupted || err != nil {
		state = Interrupted
		if _, undone := capture.Clean(ctx, b, sessions.Hosts(), o); undone != nil {
			return ending{state: Dirty, err: undone, b: b}
		}
		if err == nil {
			err = errors.New("its worker was lost")
		} else { // a capture point that is gone is mostly gone because of that worker, and not of a reload
			err = fmt.Errorf("its worker was lost, and what it had captured could not be fetched (it may have taken that back "+
				"itself): %w", err)
		}
	}
	return v.rescued(base, ending{state: state, err: err, b: b, clean: true})
}

// removed is what a run came to that was over, and of which only what it left was to be removed:
// what it had come to before, unless that went wrong.
func (v *service) removed(ctx context.Context, b *bundle.Bundle, err error) ending {
	if err != nil {
		return ending{state: Dirty, err: err, b: b}
	}
	e := ending{state: Collected, b: b, clean: true}
	if run, err := b.Run(); err == nil && run.Error != "" {
		e.state, e.err = Interrupted, errors.New(run.Error)
	}
	return v.rescued(ctx, e)
}

// rescued makes the report of a run that was gone on with.
func (v *service) rescued(ctx context.Context, e ending) ending {
	if e = v.reported(ctx, e); e.state == Failed {
		e.state = Interrupted
	}
	return e
}

// later lets a rescue that came to nothing be tried again, after a while, by any
// worker of the site.
func (v *service) later(ctx context.Context, h *held, why error) {
	v.s.log.Warn("a run whose worker is gone could not be gone on with yet", "run", h.ID, "error", oneLine(why.Error()))
	ctx, cancel := v.answer(ctx)
	defer cancel()
	// Nobody has it until then: the sweep that finds its lease over hands it out anew.
	wait := v.s.lease.Milliseconds() * int64(min(h.tries, maxTries)) / 2
	if _, err := v.s.exec(ctx, v.s.db, "UPDATE moncap_run SET owner = '', lease = {now} + ?, error = ?, remains = ? "+
		"WHERE id = ? AND fence = ? AND state = 'recovering'",
		wait, oneLine(why.Error()), remains(why), h.ID, h.Fence); err != nil {
		v.s.log.Warn("a run could not be put back", "run", h.ID, "error", err.Error())
	}
}
