package fleet

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/riverqueue/river"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
)

// runWorker carries out the jobs of runs.
type runWorker struct {
	river.WorkerDefaults[runArgs]
	v *service
}

// Work does one run. What came of it is in the run's own row: for River it is done
// whatever happened.
func (w *runWorker) Work(ctx context.Context, job *river.Job[runArgs]) error {
	v := w.v
	sent := time.Now()
	r, ok, err := v.claim(ctx, job.Args.Run, job.ID)
	if err != nil || !ok {
		return err // its lease as a granted run ends, and it is handed out anew
	}
	ctx, h := v.hold(ctx, r, sent)
	defer v.release(h)
	v.do(ctx, h)
	return nil
}

// claim takes a granted run for this worker. ok is false when it is nobody's to take any more.
func (v *service) claim(ctx context.Context, id string, job int64) (r Run, ok bool, err error) {
	v.mu.Lock()
	ending := v.end
	v.mu.Unlock()
	if ending {
		return r, false, nil
	}
	ctx, cancel := v.answer(ctx)
	defer cancel()
	err = v.s.query(ctx, v.s.db, func(scan func(...any) error) error {
		ok = true
		r, err = scanRun(scan)
		return err
	}, `UPDATE moncap_run SET state = 'running', fence = fence + 1, owner = ?, host = ?, lease = {now} + ?, started = {now}, headline = ''
		WHERE id = ? AND state = 'granted' AND job = ?`+notNewer+` RETURNING `+runColumns, v.id, v.host, v.s.lease.Milliseconds(), id, job)
	return r, ok && err == nil, err
}

func (s *Store) plan(ctx context.Context, id string) (p *capture.Plan, doc string, err error) {
	return s.planIn(ctx, s.db, id)
}

func (s *Store) planIn(ctx context.Context, d doer, id string) (p *capture.Plan, doc string, err error) {
	var text string
	ok, err := s.row(ctx, d, []any{&text, &doc}, "SELECT plan, doc FROM moncap_plan WHERE run = ?", id)
	if err == nil && !ok {
		err = notFound("plan of run", id)
	}
	if err != nil {
		return nil, "", err
	}
	p, err = capture.DecodePlan([]byte(text))
	if err == nil && p.RunID != id {
		err = fmt.Errorf("run %s: its plan is that of run %s", id, p.RunID)
	}
	return p, doc, err
}

// unknownFor is the longest that a run is left to workers that know its tunnel.
const unknownFor = 15 * time.Second

// leftFor is how long it is left to them this time. Whose turn it is when it is over is chance, so
// that the first turns come soon: among workers that were given their inventories one after the
// other, one that has the new one is found in seconds.
func (h *held) leftFor() time.Duration { return min(time.Duration(h.Fence)*time.Second, unknownFor) }

// do carries out a run that is held.
func (v *service) do(ctx context.Context, h *held) {
	base := context.WithoutCancel(ctx)
	p, _, err := v.s.plan(ctx, h.ID)
	if err != nil {
		v.settle(base, h, unbegun(ctx, nil, err))
		return
	}
	if why := v.o.Crew.Knows(p); why != nil {
		v.putBack(base, h, time.Now().Add(h.leftFor()), why.Error())
		return
	}
	if v.reslotted(ctx, h, p) {
		return
	}
	if hold := v.o.Crew.Hold; hold != nil {
		if until, why := hold(p, h.Cause); !until.IsZero() {
			v.putBack(base, h, until, why)
			return
		}
	}
	if err := v.refusedBefore(ctx, p); err != nil {
		e := unbegun(ctx, nil, err)
		e.final = true
		v.settle(base, h, e)
		return
	}
	b, err := bundle.Create(v.folder(h, p))
	if err != nil {
		v.settle(base, h, ending{state: Failed, err: err, clean: true})
		return
	}
	defer b.Close()
	v.settle(base, h, v.capture(ctx, h, p, b))
}

// unbegun is what a run came to that was not begun.
func unbegun(ctx context.Context, b *bundle.Bundle, err error) ending {
	if why := context.Cause(ctx); why != nil {
		return ending{state: Interrupted, err: why, clean: true, b: b}
	}
	return ending{state: Failed, err: err, clean: true, b: b}
}

// answer bounds how long a run waits for one answer of the database whose end must not be that of
// the run: while it waits, the worker cannot end.
func (v *service) answer(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 2*v.s.lease)
}

// folder is where the bundle of a run goes.
func (v *service) folder(h *held, p *capture.Plan) string {
	name := p.Tunnel + "-" + p.RunID
	if exists(filepath.Join(v.o.Crew.Folder, name)) { // of an attempt that nothing came of, or a rescue
		name += fmt.Sprintf("-%d", h.Fence)
	}
	return filepath.Join(v.o.Crew.Folder, name)
}

// ending is what a run came to.
type ending struct {
	state  State
	err    error
	clean  bool
	b      *bundle.Bundle // nil: there is none
	report *Report        // nil: there is none
	final  bool           // a follow-up would come to the same
	none   bool           // there is nothing to judge, and nothing wrong with that
	again  bool           // its routers are to be looked at again
}

// capture does the playbook, and the report.
func (v *service) capture(ctx context.Context, h *held, p *capture.Plan, b *bundle.Bundle) ending {
	base := context.WithoutCancel(ctx)
	if _, err := v.s.exec(ctx, v.s.db, "UPDATE moncap_run SET bundle = ? WHERE id = ? AND fence = ?", b.Dir(), h.ID,
		h.Fence); err != nil {
		return unbegun(ctx, b, err)
	}
	sessions, err := v.o.Crew.Open(ctx, p, b, false)
	if err != nil {
		return unbegun(ctx, b, err)
	}
	defer sessions.Close()
	o, l := v.options(base, h, p, 0)
	o.Stop = v.ending
	release := func() {}
	if p.Settings.Armed != nil {
		release = v.arm(h, &o)
	}
	result, err := capture.Run(ctx, p, sessions.Hosts(), b, o)
	l()
	release()
	e := ending{state: Done, err: err, b: b}
	if h.armed != nil && result != nil {
		h.armed.ended = result.Ended
		if quietly := result.Ended != "" && !result.Ended.Collects(); quietly && err == nil {
			return ending{state: Cancelled, err: quiet(result.Ended), clean: true, none: true}
		}
	}
	_, dirty := errors.AsType[*capture.DirtyError](err)
	switch e.clean = !dirty; {
	case dirty:
		e.state = Dirty
	case err != nil && ctx.Err() != nil:
		e.state = Interrupted
		if !errors.Is(err, context.Cause(ctx)) {
			e.err = errors.Join(context.Cause(ctx), err)
		}
	case err != nil:
		e.state = Failed
		e.final = v.markRefused(base, h, p, err)
	}
	return v.reported(base, e)
}

// options are those of a run that is held. close writes what is left of its journal.
func (v *service) options(ctx context.Context, h *held, p *capture.Plan,
	seq int64) (o capture.Options, closeLedger func()) {
	writing, stop := context.WithCancel(ctx)
	l := newLedger(writing, v.s, h.ID, h.Fence, seq)
	o = v.o.Crew.Options(p)
	o.Ledger, o.Name = l, p.Settings.Name
	if events := v.o.Events; events != nil {
		o.Events = func(e capture.Event) { events(h.ID, e) }
	}
	return o, func() {
		l.close(v.hardened, v.s.lease)
		stop()
	}
}

// reported makes the report of a run, whatever it came to.
func (v *service) reported(ctx context.Context, e ending) ending {
	r, err := v.o.Crew.Report(ctx, e.b, e.err)
	if err != nil {
		e.err = errors.Join(e.err, fmt.Errorf("report: %w", err))
		if e.state == Done || e.state == Collected {
			e.state = Failed
		}
		return e
	}
	e.report = r
	return e
}

// reslotted lets a run wait for other places than those that it has, when this worker's inventory
// says that a router bears less, or has another address, than whoever submitted the run said.
func (v *service) reslotted(ctx context.Context, h *held, p *capture.Plan) bool {
	if v.o.Crew.Slots == nil {
		return false
	}
	a, b, err := v.o.Crew.Slots(p)
	if err != nil {
		v.putBack(ctx, h, time.Now().Add(h.leftFor()), err.Error())
		return true
	}
	// Less than a router bears is no harm, and workers that disagree end at the least.
	a.Runs, b.Runs = min(max(a.Runs, 1), h.runs[0]), min(max(b.Runs, 1), h.runs[1])
	if h.Routers == [2]string{a.Router, b.Router} && h.runs == [2]int{a.Runs, b.Runs} {
		return false
	}
	asking, cancel := v.answer(ctx)
	defer cancel()
	if _, err := v.s.exec(asking, v.s.db,
		"UPDATE moncap_run SET router_a = ?, router_b = ?, runs_a = ?, runs_b = ? WHERE id = ? AND fence = ?",
		a.Router, b.Router, a.Runs, b.Runs, h.ID, h.Fence); err != nil {
		v.s.log.Warn("the routers of a run could not be corrected", "run", h.ID, "error", err.Error())
		return true // its lease ends, and it is looked after
	}
	v.putBack(ctx, h, time.Now(), "for its routers as the worker's inventory has them")
	return true
}

// putBack lets a run wait again.
func (v *service) putBack(ctx context.Context, h *held, until time.Time, why string) {
	ctx, cancel := v.answer(ctx)
	defer cancel()
	err := v.s.locked(ctx, func(tx *sql.Tx) error {
		n, err := v.s.exec(ctx, tx,
			`UPDATE moncap_run SET state = CASE state WHEN 'cancelling' THEN 'cancelled' ELSE 'waiting' END, owner = '', lease = 0, job = 0,
			ended = CASE state WHEN 'cancelling' THEN {now} ELSE 0 END, started = 0, not_before = {now} + ?, headline = ?
			WHERE id = ? AND fence = ? AND state IN ('running', 'cancelling')`, max(time.Until(until).Milliseconds(), 0), "("+why+")", h.ID, h.Fence)
		if err != nil || n == 0 {
			return err
		}
		if _, err := v.s.exec(ctx, tx, "DELETE FROM moncap_slot WHERE run = ?", h.ID); err != nil {
			return err
		}
		return v.s.admit(ctx, tx)
	})
	if err != nil { // its lease ends, and it is looked after
		v.s.log.Warn("a run could not be put back", "run", h.ID, "error", err.Error())
	}
}

// settle writes down what a run came to, gives its routers back, and lets the next in. It tries
// until that is written: with the fence, so that it counts only while nobody else has the run.
func (v *service) settle(ctx context.Context, h *held, e ending) {
	if e.state == Dirty {
		v.mu.Lock()
		v.left = append(v.left, h.ID)
		v.mu.Unlock()
		v.logLeft(h.ID, e.b, e.err)
	}
	if e.b != nil {
		v.keep(ctx, h, e.b)
	}
	said := false
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := v.settleOnce(ctx, h, e)
		if err == nil {
			if said && e.b != nil { // the database may not have it
				v.keepLate(ctx, h, e.b)
			}
			return
		}
		if !said {
			v.s.log.Warn("what a run came to cannot be written yet: it is tried until it can", "run", h.ID, "error",
				oneLine(err.Error()))
		}
		said = true
		v.mu.Lock()
		hard := v.hard != nil
		v.mu.Unlock()
		if hard { // it is found out by its lease, and looked at again
			return
		}
		time.Sleep(pause)
	}
}

// keepLate puts the bundle of a run that is over into the database, when the row says that it is
// the run's.
func (v *service) keepLate(ctx context.Context, h *held, b *bundle.Bundle) {
	asking, cancel := v.answer(ctx)
	defer cancel()
	var fence int64
	var dir string
	if ok, err := v.s.row(asking, v.s.db, []any{&fence, &dir}, "SELECT fence, bundle FROM moncap_run WHERE id = ?",
		h.ID); err == nil && ok && dir == b.Dir() {
		v.keep(ctx, &held{Run: Run{ID: h.ID, Fence: fence}}, b)
	}
}

func (v *service) settleOnce(ctx context.Context, h *held, e ending) error {
	ctx, cancel := context.WithTimeout(ctx, 2*v.s.lease)
	defer cancel()
	return v.s.locked(ctx, func(tx *sql.Tx) error {
		cancelled := ""
		if _, err := v.s.row(ctx, tx, []any{&cancelled}, "SELECT cancelled FROM moncap_run WHERE id = ?", h.ID); err != nil {
			return err
		}
		report := e.report
		if report == nil {
			report = &Report{Exit: -1}
		}
		headline, failure, bundleDir := report.Headline, "", ""
		if e.err != nil {
			failure = oneLine(e.err.Error())
		}
		if headline == "" {
			headline = failure
		}
		if cancelled != "" && e.state != Done {
			headline, e.final = "cancelled by "+cancelled, true
		}
		if e.b != nil {
			bundleDir = e.b.Dir()
		}
		const settled = `UPDATE moncap_run SET state = ?, owner = '', lease = 0, ended = {now}, outcome = ?, exit = ?, headline = ?, clean = ?, error = ?,
			remains = ?, host = ?, bundle = CASE ? WHEN '' THEN bundle ELSE ? END`
		values := []any{string(e.state), report.Outcome, exitOf(e), headline, number(e.clean), failure, remains(e.err),
			v.host, bundleDir, bundleDir, h.ID, h.Fence}
		n, err := v.s.exec(ctx, tx,
			settled+" WHERE id = ? AND fence = ? AND state IN ('running', 'cancelling', 'recovering')", values...)
		if err == nil && n == 0 && e.state == Done && e.clean {
			// It was taken from this worker while the database did not answer, after it was done: whoever
			// goes on with it finds nothing on the routers, and has no packets.
			if n, err = v.s.exec(ctx, tx,
				settled+", fence = fence + 1 WHERE id = ? AND fence > ? AND state IN ('recovering', 'interrupted')",
				values...); err == nil && n > 0 {
				err = v.s.deleteOf(ctx, tx, []string{h.ID}, "moncap_artifact", "run")
			}
		}
		if err != nil || n == 0 {
			return err
		}
		if e.state != Dirty {
			if _, err := v.s.exec(ctx, tx, "DELETE FROM moncap_slot WHERE run = ?", h.ID); err != nil {
				return err
			}
		}
		if err := v.s.putReport(ctx, tx, h.ID, report); err != nil {
			return err
		}
		if e.clean {
			if err := v.s.closeJournal(ctx, tx, h.ID); err != nil {
				return err
			}
		}
		if e.again {
			if err := v.s.lookLater(ctx, tx, h.ID); err != nil {
				return err
			}
		}
		if err := v.followUp(ctx, tx, h, e); err != nil {
			return err
		}
		if err := v.tell(ctx, tx, h, e); err != nil {
			return err
		}
		return v.s.admit(ctx, tx)
	})
}

// exitOf is the exit code that a command would end with.
func exitOf(e ending) int {
	switch {
	case e.state == Dirty:
		return 5
	case e.none:
		return -1
	case e.report != nil && e.report.Exit >= 0 && (e.state == Done || e.state == Collected):
		return e.report.Exit
	}
	return 4
}

// remains says what is left on routers, and what to type to remove it.
func remains(err error) string {
	d, dirty := errors.AsType[*capture.DirtyError](err)
	if !dirty {
		return ""
	}
	var lines []string
	for _, l := range d.Left {
		lines = append(lines, fmt.Sprintf("%s: %s (%s): %s", l.Peer, l.What, l.Reason, strings.Join(l.Remove, "; ")))
	}
	if len(lines) == 0 {
		return "the bundle does not say what is left"
	}
	return strings.Join(lines, "\n")
}

// logLeft logs what a run left on its routers, thing by thing, and what removes it: who reads of it
// in the log need not look for it elsewhere.
func (v *service) logLeft(run string, b *bundle.Bundle, err error) {
	clean := slog.String("clean", "moncap clean "+run)
	d, ok := errors.AsType[*capture.DirtyError](err)
	if !ok || len(d.Left) == 0 {
		v.s.log.Warn("a run may have left something on its routers", "run", run, "error", oneLine(err.Error()), clean)
		return
	}
	for _, l := range d.Left {
		all := []any{"run", run, "peer", l.Peer, "what", l.What, "reason", l.Reason, "why", oneLine(l.Why), clean}
		if l.Reason == capture.ReasonOnlyCopy && b != nil {
			all = append(all, "fetch", "moncap collect "+b.Dir())
		}
		v.s.log.Warn("left on a router", all...)
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// followUp asks for a run again that ended cleanly without a verdict, while it has attempts left.
func (v *service) followUp(ctx context.Context, tx *sql.Tx, h *held, e ending) error {
	if _, _, armed := h.Armed(); armed {
		return v.followArmed(ctx, tx, h, e)
	}
	if e.state != Failed || !e.clean || e.final || h.Attempt >= h.Attempts {
		return nil
	}
	var text string
	if ok, err := v.s.row(ctx, tx, []any{&text}, "SELECT plan FROM moncap_plan WHERE run = ?", h.ID); err != nil || !ok {
		return err
	}
	old, err := capture.DecodePlan([]byte(text))
	if err != nil {
		return err
	}
	id := time.Now().UTC().Format("20060102-150405") + "-" + random(3)
	p, err := capture.NewPlan(old.Tunnel, old.A.Endpoint, old.B.Endpoint, old.Settings, id)
	if err != nil {
		return err
	}
	q := Request{Plan: p, Site: h.Site, A: Slot{h.Routers[0], h.runs[0]}, B: Slot{h.Routers[1], h.runs[1]},
		Priority: h.Priority, Attempts: h.Attempts,
		Reason: h.Reason, Change: h.Change, Cause: h.Cause, By: h.By}
	if err := v.s.insertRuns(ctx, tx, []Request{q}); err != nil {
		return err
	}
	_, err = v.s.exec(ctx, tx, "UPDATE moncap_run SET retry_of = ?, attempt = ? WHERE id = ?", h.ID, h.Attempt+1, id)
	return err
}

// refusedFor is how long a refused credential is not tried by anybody.
const refusedFor = time.Hour

// refusedBefore finds a credential of the run that a router refused a short time ago, whichever
// worker tried it.
func (v *service) refusedBefore(ctx context.Context, p *capture.Plan) error {
	if v.o.Crew.Credentials == nil {
		return nil
	}
	keys := v.o.Crew.Credentials(p)
	if len(keys) == 0 {
		return nil
	}
	var key, run string
	var until int64
	found, err := v.s.row(ctx, v.s.db, []any{&key, &run, &until},
		"SELECT credential, run, until FROM moncap_refused WHERE until > {now} AND credential IN ("+
			questions(len(keys))+")", anys(keys)...)
	if err != nil || !found {
		return err
	}
	return fmt.Errorf("%s was refused in run %s, and is not tried again before %s, so that the account is not locked", key,
		run, at(until).UTC().Format(time.RFC3339))
}

// markRefused keeps which credentials a router refused, and says whether any was.
func (v *service) markRefused(ctx context.Context, h *held, p *capture.Plan, why error) bool {
	if v.o.Crew.Refused == nil {
		return false
	}
	ctx, cancel := v.answer(ctx)
	defer cancel()
	keys := v.o.Crew.Refused(p, why)
	for _, key := range keys {
		if _, err := v.s.exec(ctx, v.s.db, `INSERT INTO moncap_refused (credential, until, run) VALUES (?, {now} + ?, ?)
			ON CONFLICT (credential) DO UPDATE SET until = excluded.until, run = excluded.run`, key, refusedFor.Milliseconds(), h.ID); err != nil {
			v.s.log.Warn("a refused credential could not be marked", "credential", key, "error", err.Error())
		}
	}
	return len(keys) > 0
}
