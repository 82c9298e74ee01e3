package fleet

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/riverqueue/river"
)

// Why a run is ended before its time.
var (
	errLease   = errors.New("the database was not reached within the lease: what the run made is taken back")
	errDrained = errors.New("the worker is to end, and the run did not within its time")
	errStopped = errors.New("the worker is to end at once")
)

// cancelledError ends a run that somebody cancelled.
type cancelledError struct{ by string }

func (e *cancelledError) Error() string {
	if e.by == "" {
		return "cancelled"
	}
	return "cancelled by " + e.by
}

// Ended says whether err is of a run that was ended before its time, by somebody who cancelled it
// or by its worker's own end: no router had a say in it.
func Ended(err error) bool {
	_, cancelled := errors.AsType[*cancelledError](err)
	return cancelled || errors.Is(err, errLease) || errors.Is(err, errDrained) || errors.Is(err, errStopped)
}

// service is a worker at work.
type service struct {
	s        *Store
	o        WorkerOptions
	id       string
	host     string
	client   *river.Client[*sql.Tx]
	ending   chan struct{} // closed: captures end, and nothing new begins
	hardened chan struct{} // closed: runs are ended at once

	mu    sync.Mutex
	end   bool  // ending is closed
	hard  error // not nil: runs are ended at once, for this reason
	held  map[string]*held
	looks map[int64]context.CancelCauseFunc // end second looks at routers, by their jobs
	left  []string                          // runs that left something

	outdated atomic.Int64 // the schema's version, when it is a later one than this program's
	clockOff atomic.Int64 // milliseconds that this clock is before the database's
}

// held is a run that this worker has.
type held struct {
	Run
	cancel context.CancelCauseFunc
	timer  *time.Timer // ends it with its lease
	deaf   func() bool // to River
	armed  *armed      // nil: it is none, or does not capture yet; guarded by the service
}

// Work carries out runs until stop is closed: then captures end and are collected, within Drain.
// When ctx ends, what the runs made is taken back at once. The error is a *LeftError when something
// is left on a router.
func (s *Store) Work(ctx context.Context, o WorkerOptions, stop <-chan struct{}) error {
	v, err := s.newService(o)
	if err != nil {
		return err
	}
	// From here on ctx ends runs, and not what they need to end well.
	base := context.WithoutCancel(ctx)
	if err := v.firstBeat(ctx); err != nil {
		return s.fail(err)
	}
	if err := v.client.Start(base); err != nil {
		return s.fail(errors.Join(err, v.leave(base)))
	}
	beating, rest := context.WithCancel(base)
	var wg sync.WaitGroup
	wg.Go(func() { v.heart(beating) })
	wg.Go(func() { v.watch(beating) })
	wg.Go(func() { v.tick(beating) })
	if o.Ready != nil {
		o.Ready()
	}
	err = v.serve(ctx, stop)
	rest()
	wg.Wait()
	if have := v.outdated.Load(); err == nil && have > 0 {
		err = s.tooNew(int(have))
	}
	return s.fail(errors.Join(err, v.leave(base)))
}

func (s *Store) newService(o WorkerOptions) (*service, error) {
	if len(o.Sites) == 0 {
		o.Sites = []string{""}
	}
	for _, site := range o.Sites {
		if err := checkSite(site); err != nil {
			return nil, err
		}
	}
	if o.Workers <= 0 {
		o.Workers = 8
	}
	if o.Drain <= 0 {
		o.Drain = 2 * time.Minute
	}
	if o.ArtifactsMB == 0 {
		o.ArtifactsMB = 8
	}
	host, err := o.Host, error(nil)
	if host == "" {
		if host, err = os.Hostname(); err != nil {
			return nil, err
		}
	}
	v := &service{s: s, o: o, host: host, id: fmt.Sprintf("%s-%d-%s", host, os.Getpid(), random(3)),
		ending: make(chan struct{}), hardened: make(chan struct{}), held: map[string]*held{},
		looks: map[int64]context.CancelCauseFunc{}}
	queues := map[string]river.QueueConfig{}
	for _, site := range o.Sites {
		queues[queueOf(site)] = river.QueueConfig{MaxWorkers: o.Workers}
		queues[rescueQueueOf(site)] = river.QueueConfig{MaxWorkers: max(o.Workers, 4)}
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &runWorker{v: v})
	river.AddWorker(workers, &rescueWorker{v: v})
	river.AddWorker(workers, &againWorker{v: v})
	v.client, err = river.NewClient(s.driver, &river.Config{
		ID: v.id, Queues: queues, Workers: workers, Logger: slog.New(newSeldom(s.log.Handler())),
		JobTimeout: -1, RescueStuckJobsAfter: 72 * time.Hour, // longer than any capture: the lease finds out who is dead
		// River asks a SQLite file for news twenty times a second, which is more work than a worker
		// without runs should have.
		PollOnly: s.pool == nil, FetchPollInterval: min(500*time.Millisecond, s.lease/10),
	})
	return v, err
}

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails, as crypto/rand says
	return hex.EncodeToString(b)
}

// serve returns when the worker has ended all that it had.
func (v *service) serve(ctx context.Context, stop <-chan struct{}) error {
	select {
	case <-stop:
	case <-ctx.Done():
	case <-v.ending: // somebody drained it
	}
	v.drain()
	v.sayDraining(context.WithoutCancel(ctx))
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = v.client.Stop(context.WithoutCancel(ctx)) // it has no error without an end of its context
	}()
	limit := time.NewTimer(v.o.Drain)
	defer limit.Stop()
	over := ctx.Done()
	for n := 0; ; {
		select {
		case <-stopped:
			return v.verdict()
		case <-limit.C:
			if n++; n > 1 && v.idle() { // River waits for a database that is away
				return v.verdict()
			}
			v.endAll(errDrained)
			limit.Reset(5 * time.Second)
		case <-over:
			over = nil
			v.endAll(errStopped)
			limit.Reset(5 * time.Second)
		}
	}
}

// sayDraining keeps the others from handing it runs.
func (v *service) sayDraining(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err := v.s.exec(ctx, v.s.db, "UPDATE moncap_worker SET draining = 1 WHERE id = ?", v.id); err != nil {
		v.s.log.Warn("the others were not told that this worker ends", "error", err.Error())
	}
}

func (v *service) verdict() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.left) > 0 {
		return &LeftError{v.left}
	}
	return nil
}

func (v *service) idle() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.held) == 0
}

// drain ends captures, and begins nothing new.
func (v *service) drain() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.end {
		v.end = true
		close(v.ending)
	}
}

// endAll has all runs take back what they made.
func (v *service) endAll(why error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.hard == nil {
		close(v.hardened)
	}
	v.hard = why
	for _, h := range v.held {
		h.cancel(why)
	}
	for _, end := range v.looks {
		end(why)
	}
}

// hold keeps a run that was claimed, at a time before the claim was sent, until release. The
// context ends with the lease.
func (v *service) hold(ctx context.Context, r Run, claimed time.Time) (context.Context, *held) {
	job := ctx
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(job))
	h := &held{Run: r, cancel: cancel}
	h.deaf = context.AfterFunc(job, func() { v.cancelled(ctx, h) }) // River was told to end the job
	h.timer = time.AfterFunc(time.Until(claimed.Add(v.s.lease)), func() { cancel(errLease) })
	v.mu.Lock()
	defer v.mu.Unlock()
	v.held[r.ID] = h
	if v.hard != nil {
		cancel(v.hard)
	}
	return ctx, h
}

// cancelled ends a run, and says who wanted that if it can be found out quickly.
func (v *service) cancelled(ctx context.Context, h *held) {
	asking, end := context.WithTimeout(ctx, 300*time.Millisecond)
	defer end()
	by := ""
	_, _ = v.s.row(asking, v.s.db, []any{&by}, "SELECT cancelled FROM moncap_run WHERE id = ?", h.ID)
	h.cancel(&cancelledError{by})
}

func (v *service) release(h *held) {
	h.timer.Stop()
	h.deaf()
	h.cancel(nil)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.held[h.ID] == h {
		delete(v.held, h.ID)
	}
}

func (v *service) all() []*held {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Collect(maps.Values(v.held))
}

// heart tells the database that the worker lives, three times a lease, and looks after the runs of
// those that do not, more often: each moment is one that their routers wait.
func (v *service) heart(ctx context.Context) {
	t := time.NewTicker(v.s.lease / 9)
	defer t.Stop()
	away := false
	beaten := time.Now() // when the database heard of this worker last: it did a moment ago
	for tried := beaten; ; {
		// A sweep that takes long, because others move runs, must not keep it from the next beat.
		due := time.Since(tried) >= v.s.lease/4
		var err error
		if due {
			tried = time.Now()
			if err = v.beat(ctx); err == nil {
				beaten = tried
			}
		}
		if err == nil && v.outdated.Load() == 0 {
			err = v.sweep(ctx)
		}
		switch {
		case ctx.Err() != nil:
		case err != nil && !away:
			away = true
			v.s.log.Warn("the database is away: runs under way are taken back when it stays away, and nothing begins", "error",
				oneLine(err.Error()), "until", beaten.Add(v.s.lease).Format(time.TimeOnly))
		case err == nil && away && due:
			away = false
			v.s.log.Warn("the database is back")
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// firstBeat puts the worker into the list. Another process may have the database to
// itself for a moment.
func (v *service) firstBeat(ctx context.Context) error {
	for began := time.Now(); ; {
		err := v.beat(ctx)
		if err == nil {
			if err = v.sameLease(ctx); err != nil && errors.Is(err, ErrUsage) {
				return errors.Join(err, v.leave(ctx))
			}
		}
		if err == nil || ctx.Err() != nil || time.Since(began) > v.s.lease {
			return err
		}
	}
}

// beat makes the leases longer. A run that is not this worker's any more is ended; one whose lease
// could not be made longer ends with it.
func (v *service) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.s.lease/3)
	defer cancel()
	inventory := v.o.Inventory
	if v.o.InventoryNow != nil {
		inventory = v.o.InventoryNow()
	}
	sent := time.Now()
	var now, draining, version int64
	if _, err := v.s.row(ctx, v.s.db, []any{&draining, &now, &version},
		`INSERT INTO moncap_worker (id, host, pid, version, sites, capacity, inventory, lease, beat)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, {now}) ON CONFLICT (id) DO UPDATE SET beat = excluded.beat, inventory = excluded.inventory, clock_off = ?
		RETURNING draining, {now}, (SELECT max(version) FROM moncap_meta)`,
		v.id, v.host, os.Getpid(), v.o.Version, strings.Join(v.o.Sites, ","), v.o.Workers, inventory,
		v.s.lease.Milliseconds(), v.clockOff.Load()); err != nil {
		return err
	}
	v.clockOff.Store(sent.Add(time.Since(sent)/2).UnixMilli() - now)
	if version > schemaVersion && v.outdated.Swap(version) == 0 {
		v.s.log.Warn("the database was raised by a later moncap: this worker begins nothing more, and ends", "schema",
			version, "known", schemaVersion)
	}
	if draining != 0 || version > schemaVersion {
		v.drain()
	}
	return errors.Join(v.prolong(ctx), v.prolongLooks(ctx))
}

func (v *service) prolong(ctx context.Context) error {
	mine := v.all()
	if len(mine) == 0 {
		return nil
	}
	args := []any{v.s.lease.Milliseconds(), v.id}
	for _, h := range mine {
		args = append(args, h.ID)
	}
	sent, fences := time.Now(), map[string]int64{}
	if err := v.s.query(ctx, v.s.db, func(scan func(...any) error) error {
		var id string
		var fence int64
		err := scan(&id, &fence)
		fences[id] = fence
		return err
	}, `UPDATE moncap_run SET lease = {now} + ? WHERE owner = ? AND state IN ('running', 'cancelling', 'recovering') AND lease > {now}
		AND id IN (`+questions(len(mine))+`) RETURNING id, fence`, args...); err != nil {
		return err
	}
	for _, h := range mine {
		if fences[h.ID] != h.Fence {
			h.cancel(errLost)
			continue
		}
		h.timer.Reset(time.Until(sent.Add(v.s.lease)))
	}
	return nil
}

// watch finds runs of this worker that are to be cancelled. River tells, too, and mostly sooner.
func (v *service) watch(ctx context.Context) {
	t := time.NewTicker(min(500*time.Millisecond, v.s.lease/10))
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if v.idle() {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, v.s.lease/3)
		by := map[string]string{}
		err := v.s.query(asking, v.s.db, func(scan func(...any) error) error {
			var id, who string
			err := scan(&id, &who)
			by[id] = who
			return err
		}, "SELECT id, cancelled FROM moncap_run WHERE owner = ? AND state = 'cancelling'", v.id)
		cancel()
		if err == nil {
			err = errors.Join(v.tellEvents(ctx), v.preempt(ctx))
		}
		if err != nil {
			continue // the heart tells
		}
		for _, h := range v.all() {
			if who, ok := by[h.ID]; ok {
				h.cancel(&cancelledError{who})
			}
		}
	}
}

// tick calls the function of the command, every second.
func (v *service) tick(ctx context.Context) {
	if v.o.Tick == nil {
		return
	}
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-v.ending:
			return
		case <-ctx.Done():
			return
		}
		if err := v.o.Tick(ctx); err != nil && ctx.Err() == nil {
			v.s.log.Warn("schedules", "error", err.Error())
		}
	}
}

// leave takes the worker out of the list.
func (v *service) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := v.s.exec(ctx, v.s.db, "DELETE FROM moncap_worker WHERE id = ?", v.id)
	if err != nil { // it is found out by its silence
		v.s.log.Warn("the worker could not be taken out of the list", "error", err.Error())
	}
	return nil
}
