package capture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

// runner is one run at work.
type runner struct {
	plan  *Plan
	b     *bundle.Bundle // nil: only looking
	books *books         // of a bundle that is gone on with; nil: the run is a new one
	o     Options
	sides []*router

	mu      sync.Mutex // guards what follows; the parts of run that belong to a side are that side's
	run     *bundle.Run
	ended   Ending    // of the wait of an armed run
	seenUp  bool      // the tunnel was, during it
	started time.Time // when the captures were running on both sides
	left    []Leftover
	kept    []Leftover
	removed []Leftover
	odd     []Leftover // what the journal names and the plan does not make
}

func newRunner(p *Plan, h Hosts, b *bundle.Bundle, o Options, run *bundle.Run) *runner {
	u, said := &runner{plan: p, b: b, o: o.withDefaults(), run: run}, &lastWord{at: time.Now()}
	for _, side := range bundle.Sides() {
		sp := p.Get(side)
		info := run.Router(side)
		if info.Peer == "" {
			*info = describeRouter(sp)
		}
		r := &router{side: side, plan: sp, host: h.Get(side), u: u, info: info, keptShows: map[string]int{},
			asked: map[string]bool{}}
		r.talk = &listener{Host: r.host, peer: sp.Endpoint.Name, patience: r.patient, said: said}
		u.sides = append(u.sides, r)
	}
	return u
}

func newRun(p *Plan, o Options) (*bundle.Run, error) {
	plan, err := p.Encode()
	if err != nil {
		return nil, err
	}
	return &bundle.Run{ID: p.RunID, Tunnel: p.Tunnel, Tool: o.Tool, Started: time.Now(), Plan: plan}, nil
}

func describeRouter(p *SidePlan) bundle.Router {
	return bundle.Router{
		Peer: p.Endpoint.Name, Address: p.Endpoint.Address, NATAddress: p.Endpoint.NATAddress,
		Interface: p.Interface.String(), VRF: p.Endpoint.VRF, Capture: p.Name.String(), ACL: p.ACL.String(),
		File: p.File.String(),
	}
}

// Run does the whole playbook on both routers, and undoes it on every way out. The result is there,
// and is in the bundle, also when the run failed. Errors are a *PhaseError, or a *DirtyError when
// something is left on a router.
func Run(ctx context.Context, p *Plan, h Hosts, b *bundle.Bundle, o Options) (*Result, error) {
	u, err := begin(p, h, b, o)
	if err != nil {
		return nil, err
	}
	err = u.bringUp(ctx)
	if err == nil && p.Settings.Armed != nil {
		err = u.phase(ctx, PhaseWait, nil, u.armed)
	} else if err == nil {
		err = u.phase(ctx, PhaseWait, nil, u.wait)
	}
	if err == nil && (p.Settings.Armed == nil || u.ended.Collects()) {
		err = u.collect(ctx)
	}
	return u.finish(ctx, err, err == nil && p.Settings.Keep)
}

func begin(p *Plan, h Hosts, b *bundle.Bundle, o Options) (*runner, error) {
	run, err := newRun(p, o)
	if err != nil {
		return nil, err
	}
	u := newRunner(p, h, b, o, run)
	if err := u.save(); err != nil {
		return nil, err
	}
	return u, nil
}

// bringUp does the phases from check to trigger. Any failure of a side ends it.
func (u *runner) bringUp(ctx context.Context) error {
	gate := newBarrier(len(u.sides))
	phases := []struct {
		name Phase
		do   func(context.Context, *router) error
		when bool
	}{
		{PhaseCheck, func(ctx context.Context, r *router) error { return r.checkPhase(ctx) }, true},
		{PhaseACL, func(ctx context.Context, r *router) error { return r.defineACL(ctx) }, !u.plan.Settings.ZeroConfig},
		{PhaseDefine, func(ctx context.Context, r *router) error { return r.define(ctx) }, true},
		{PhaseStart, func(ctx context.Context, r *router) error { return r.start(ctx, gate) }, true},
		{PhaseTrigger, func(ctx context.Context, r *router) error { return r.trigger(ctx) }, u.plan.Settings.Trigger != ""},
	}
	for _, p := range phases {
		if !p.when {
			continue
		}
		if err := u.phase(ctx, p.name, p.do, nil); err != nil {
			return err
		}
		if p.name == PhaseCheck {
			if err := u.checkTogether(); err != nil {
				return err
			}
			u.prepareEarly(ctx)
		}
		if p.name == PhaseStart {
			u.measureStart()
		}
	}
	return nil
}

// collect does the phases from stop to observe. A side that fails is given up, and the other goes
// on: half of the evidence is better than none.
func (u *runner) collect(ctx context.Context) error {
	var errs []error
	defer u.spareOnlyCopies(ctx)
	defer u.settle()
	for _, r := range u.sides {
		if !r.had {
			r.prepare(ctx)
		}
	}
	for _, p := range []struct {
		name Phase
		do   func(context.Context, *router) error
	}{
		{PhaseStop, func(ctx context.Context, r *router) error { return r.stop(ctx) }},
		{PhaseExport, func(ctx context.Context, r *router) error { return r.export(ctx) }},
		{PhaseFetch, func(ctx context.Context, r *router) error { return r.fetch(ctx) }},
		{PhaseObserve, func(ctx context.Context, r *router) error { return r.observe(ctx) }},
	} {
		if p.name == PhaseExport && u.plan.Settings.ZeroConfig {
			continue
		}
		err := u.phase(ctx, p.name, func(ctx context.Context, r *router) error {
			if r.had {
				return nil
			}
			return p.do(ctx, r)
		}, nil)
		if err == nil {
			continue
		}
		errs = append(errs, err)
		if ctx.Err() != nil || u.allFailed() {
			break
		}
	}
	return errors.Join(errs...)
}

// settle waits until nothing is being prepared on either side.
func (u *runner) settle() {
	for _, r := range u.sides {
		r.settle()
	}
}

func (u *runner) allFailed() bool {
	return !slices.ContainsFunc(u.sides, func(r *router) bool { return r.err == nil })
}

// phase does one phase: do on each side that is not given up, at the same time, within the phase's
// time limit; or together once for both.
func (u *runner) phase(ctx context.Context, name Phase, do func(context.Context, *router) error,
	together func(context.Context) error) error {
	if ctx.Err() != nil {
		return &PhaseError{Phase: name, Err: context.Cause(ctx)}
	}
	p := bundle.Phase{Name: string(name), Began: time.Now()}
	u.o.Events(Event{Phase: name, Kind: Began})
	var err error
	if together != nil {
		err = u.together(ctx, name, &p, together)
	} else {
		err = u.apart(ctx, name, &p, do)
	}
	if err != nil {
		p.Failed = err.Error()
	}
	u.run.Phases = append(u.run.Phases, p)
	u.o.Events(Event{Phase: name, Kind: Ended, Err: err})
	if saveErr := u.save(); saveErr != nil && err == nil && name != PhaseClean {
		err = &PhaseError{Phase: name, Err: saveErr}
	}
	return err
}

func (u *runner) together(ctx context.Context, name Phase, p *bundle.Phase, do func(context.Context) error) error {
	began := time.Now()
	err := do(ctx)
	p.AMS = milliseconds(time.Since(began))
	p.BMS = p.AMS
	if _, blamed := errors.AsType[*PhaseError](err); err != nil && !blamed {
		return &PhaseError{Phase: name, Err: err}
	}
	return err
}

func (u *runner) apart(ctx context.Context, name Phase, p *bundle.Phase,
	do func(context.Context, *router) error) error {
	limit := u.o.timeout(name)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %s", limit))
	defer cancel()
	errs := make([]error, len(u.sides))
	took := make([]float64, len(u.sides))
	var wg sync.WaitGroup
	for i, r := range u.sides {
		if r.err != nil {
			continue
		}
		wg.Go(func() {
			began := time.Now()
			u.o.Events(Event{Side: r.side, Phase: name, Kind: Began})
			errs[i] = u.blame(name, r, do(ctx, r))
			took[i] = milliseconds(time.Since(began))
			u.o.Events(Event{Side: r.side, Phase: name, Kind: Ended, Err: errs[i]})
		})
	}
	wg.Wait()
	p.AMS, p.BMS = took[0], took[1]
	// The side that was only held up by the other is not the cause.
	if slices.ContainsFunc(errs, func(e error) bool { return e != nil && !errors.Is(e, errOtherSide) }) {
		errs = slices.DeleteFunc(errs, func(e error) bool { return errors.Is(e, errOtherSide) })
	}
	return errors.Join(slices.DeleteFunc(errs, func(e error) bool { return e == nil })...)
}

func (u *runner) blame(name Phase, r *router, err error) error {
	if err == nil {
		return nil
	}
	err = &PhaseError{Phase: name, Side: r.side, Peer: r.plan.Endpoint.Name, Err: err}
	r.err = err
	r.info.Failed = err.Error()
	return err
}

// finish cleans up, whatever happened before, and closes the books. keep leaves on the routers what
// is there.
func (u *runner) finish(ctx context.Context, err error, keep bool) (*Result, error) {
	u.settle()
	u.cleanAll(ctx, keep)
	if keep {
		u.keepAll()
		u.noteKept()
	}
	return u.close(err)
}

func (u *runner) tookBack(l Leftover) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.removed = append(u.removed, l)
}

func (u *runner) keepAll() {
	for _, r := range u.sides {
		u.kept = append(u.kept, r.remaining(ReasonKept)...)
		r.info.Clean = len(r.remaining(ReasonKept)) == 0
	}
	u.run.Kept = len(u.kept) > 0
}

// noteKept says what --keep left, and how it goes.
func (u *runner) noteKept() {
	for _, r := range u.sides {
		var what []string
		for _, l := range r.remaining(ReasonKept) {
			what = append(what, l.What)
		}
		if len(what) > 0 {
			r.note(PhaseClean, "left on it as asked: %s (moncap clean removes them)", strings.Join(what, ", "))
		}
	}
}

// cleanAll undoes both sides at the same time. It goes on when ctx was cancelled, within a limit of
// its own. With keep it undoes only what is never kept. Of a run that is gone on with it looks for
// all that the plan makes: a journal that reads well may be an older one.
func (u *runner) cleanAll(ctx context.Context, keep bool) {
	ctx = context.WithoutCancel(ctx)
	u.run.Kept = false
	if u.books != nil && !keep {
		u.suspect()
	}
	for _, r := range u.sides {
		r.err = nil // a side that was given up is cleaned like the other
		r.talk.lastChance()
	}
	left := map[Side][]Leftover{}
	var mu sync.Mutex
	err := u.phase(ctx, PhaseClean, func(ctx context.Context, r *router) error {
		l := r.cleanUp(ctx, keep)
		r.info.Clean = len(l) == 0
		mu.Lock()
		defer mu.Unlock()
		left[r.side] = l
		return nil
	}, nil)
	if err != nil {
		u.note("", PhaseClean, err.Error())
	}
	u.left = slices.Clone(u.odd)
	for _, r := range u.sides {
		l, done := left[r.side]
		if !done { // nobody looked
			r.info.Clean, l = false, r.remaining(ReasonUnreachable)
		}
		u.left = append(u.left, l...)
	}
}

func (u *runner) close(err error) (*Result, error) {
	u.run.Ended = time.Now()
	u.run.Clean = len(u.left) == 0 && len(u.kept) == 0
	u.prove()
	u.run.Left = nil
	for _, l := range slices.Concat(u.left, u.kept) {
		u.run.Left = append(u.run.Left, l.record())
	}
	if err != nil {
		u.run.Error = err.Error()
	}
	if saveErr := u.save(); saveErr != nil {
		err = errors.Join(err, saveErr)
	}
	if len(u.left) > 0 {
		err = u.dirty(u.left, err)
	}
	return u.result(), err
}

func (u *runner) result() *Result {
	return &Result{
		Run: u.run, Ended: u.ended, SeenUp: u.seenUp, StartGap: time.Duration(u.run.StartGapMS * float64(time.Millisecond)),
		Control: slices.ContainsFunc(u.sides, func(r *router) bool { return r.atControlPlane() != nil }),
		Kept:    u.kept, Removed: u.removed, Notes: u.run.Notes,
	}
}

func (u *runner) save() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.b == nil {
		return nil
	}
	if err := u.b.SaveRun(u.run); err != nil {
		return err
	}
	if u.o.Ledger == nil {
		return nil
	}
	data, err := json.Marshal(u.run)
	if err == nil {
		u.o.Ledger.Saved(data)
	}
	return err
}

// note keeps something that the operator should know, once.
func (u *runner) note(side Side, phase Phase, text string) {
	text = iosxe.Printable(text)
	u.mu.Lock()
	fresh := !slices.Contains(u.run.Notes, text)
	if fresh {
		u.run.Notes = append(u.run.Notes, text)
	}
	u.mu.Unlock()
	if fresh {
		u.o.Events(Event{Side: side, Phase: phase, Kind: Note, Text: text})
	}
}
