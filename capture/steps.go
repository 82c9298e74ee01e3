package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

// Start does the phases from check to trigger and leaves both captures running, for Stop and
// Collect to go on with. When it fails, it undoes what it did.
func Start(ctx context.Context, p *Plan, h Hosts, b *bundle.Bundle, o Options) (*Result, error) {
	u, err := begin(p, h, b, o)
	if err != nil {
		return nil, err
	}
	if err := u.bringUp(ctx); err != nil {
		return u.finish(ctx, err, false)
	}
	u.keepAll()
	if err := u.save(); err != nil {
		return u.finish(ctx, err, false)
	}
	u.kept = nil // it is not the end
	return u.result(), nil
}

// SideStatus is the state of one side's capture.
type SideStatus struct {
	Side    Side
	Peer    string
	Exists  bool
	Active  bool
	Packets int
	Dropped int
	// Control is the capture at the control plane; nil where the run made none on this router, or the
	// router refused it. It ends later by itself: Settings.ControlPlaneDuration.
	Control *ControlStatus
	Err     error
}

// ControlStatus is the state of a run's capture at the control plane of one router.
type ControlStatus struct {
	Exists  bool
	Active  bool
	Packets int
}

// Status looks at the captures of a bundle's run and changes nothing.
func Status(ctx context.Context, b *bundle.Bundle, h Hosts, o Options) ([]SideStatus, error) {
	u, err := resume(b, h, o)
	if err != nil {
		return nil, unknown(b, err)
	}
	u.b = nil
	ctx, cancel := context.WithTimeout(ctx, u.o.timeout(PhaseCheck))
	defer cancel()
	states := make([]SideStatus, len(u.sides))
	var wg sync.WaitGroup
	for i, r := range u.sides {
		wg.Go(func() { states[i] = r.status(ctx) })
	}
	wg.Wait()
	var errs []error
	for _, s := range states {
		errs = append(errs, s.Err)
	}
	return states, errors.Join(errs...)
}

func (r *router) status(ctx context.Context) SideStatus {
	s := SideStatus{Side: r.side, Peer: r.plan.Endpoint.Name}
	fail := func(err error) SideStatus {
		s.Err = &PhaseError{Phase: "status", Side: r.side, Peer: s.Peer, Err: err}
		return s
	}
	c, err := r.capture(ctx, phaseAttempts)
	if err != nil {
		return fail(err)
	}
	if c != nil {
		s.Exists, s.Active = true, c.Active
		b, err := r.bufferOf(ctx, r.plan.Name)
		if err != nil {
			return fail(err)
		}
		s.Packets, s.Dropped = b.Packets, b.Dropped
	}
	if s.Control, err = r.controlStatus(ctx); err != nil {
		return fail(err)
	}
	return s
}

func (r *router) bufferOf(ctx context.Context, name iosxe.Name) (iosxe.Buffer, error) {
	out, err := r.repeat(ctx, iosxe.ShowBuffer(name))
	if err != nil {
		return iosxe.Buffer{}, err
	}
	return iosxe.ParseBuffer(out)
}

// controlStatus is that of the capture at the control plane; nil where there is none, though a part
// of its definition may be left of one that was refused. What is another hand's by now is not the
// run's.
func (r *router) controlStatus(ctx context.Context) (*ControlStatus, error) {
	made := r.open(kindControlPlane)
	if r.plan.control == nil || made == nil {
		return nil, nil
	}
	c, err := r.captureCalled(ctx, r.plan.control.name, phaseAttempts)
	switch {
	case err != nil:
		return nil, err
	case made.state != bundle.Made && (c == nil || !c.Active):
		return nil, nil
	case c == nil || r.plan.compareControlPlane(c) == foreign:
		return &ControlStatus{}, nil
	}
	b, err := r.bufferOf(ctx, r.plan.control.name)
	return &ControlStatus{Exists: true, Active: c.Active, Packets: b.Packets}, err
}

// Stop stops the captures of a bundle's run, and what it debugs and traces. Their packets stay on
// the routers until Collect or Clean. What fails leaves them running, which is a *DirtyError; so is
// Over's, of a run with which nothing is done.
func Stop(ctx context.Context, b *bundle.Bundle, h Hosts, o Options) (*Result, error) {
	u, err := goOn(ctx, b, h, o)
	if u == nil {
		return nil, err
	}
	if err == nil {
		err = u.phase(ctx, PhaseStop, func(ctx context.Context, r *router) error {
			err := r.stop(ctx)
			r.endDebug(ctx)
			return err
		}, nil)
	}
	if err = errors.Join(err, u.save()); err != nil {
		err = u.dirty(u.mayBeLeft(), err)
	}
	return u.result(), err
}

// Collect stops the captures of a bundle's run if they run, fetches what is not here yet, and
// cleans up. What holds the only copy of packets that it cannot fetch stays where it is, so that it
// can be tried again, and the error is a *DirtyError; so does everything when it is interrupted.
// Clean gives up. With a run that is Over nothing is done.
func Collect(ctx context.Context, b *bundle.Bundle, h Hosts, o Options) (*Result, error) {
	u, err := goOn(ctx, b, h, o)
	if u == nil {
		return nil, err
	}
	err = errors.Join(err, u.collect(ctx))
	if err != nil && ctx.Err() != nil {
		u.left = u.mayBeLeft()
		return u.close(err)
	}
	if err == nil {
		u.run.Error = ""
	}
	return u.finish(ctx, err, err == nil && u.plan.Settings.Keep)
}

// endDebug turns the debug off when the captures are stopped and nobody knows when they will be
// fetched: it costs the router for as long as it is on. What it wrote is in the router's log. A
// debug that is not known to be off is said, and left to the clean-up.
func (r *router) endDebug(ctx context.Context) {
	for _, kind := range []string{kindDebug, kindCondition} {
		c := r.open(kind)
		if c == nil {
			continue
		}
		ending, cancel := noLonger(ctx, controlPlanePatience)
		err := r.tryUndo(ending, c, 1)
		cancel()
		if err != nil { // the condition limits it
			r.note(PhaseStop, "%s stays on until it is collected or cleaned: %v", c.words, err)
			return
		}
	}
}

// findCollected finds the sides of which nothing is to be collected: their capture is here, or the
// journal has nothing of them on the router that the packets may be had from.
func (u *runner) findCollected() {
	pathA, pathB := u.b.Captures()
	for _, r := range u.sides {
		path := map[Side]string{A: pathA, B: pathB}[r.side]
		r.done = path != "" && r.info.SHA256 != ""
		r.had = r.done
	}
}

var (
	// ErrNothing says that a bundle's run has nothing on the routers any more: all that could be had
	// of it is in the bundle, and what it came to has been told.
	ErrNothing = errors.New("the run of this bundle has no capture on its routers any more")
	// errNoCapture says that, by the journal, a router has no capture of the run,
	// whatever else it has.
	errNoCapture = errors.New("the run of this bundle has no capture on it")
)

// goOn resumes a run whose captures are to be there, and makes sure that they are its own. With an
// error of one side the runner goes on with the other; without a runner there is nothing to go on
// with.
func goOn(ctx context.Context, b *bundle.Bundle, h Hosts, o Options) (*runner, error) {
	u, err := resume(b, h, o)
	if err != nil {
		return nil, unknown(b, err)
	}
	if u.books.clean {
		return nil, &PhaseError{Phase: PhaseStop, Err: ErrNothing}
	}
	u.findCollected()
	if err := u.over(); err != nil {
		return nil, err
	}
	if u.books.damage != nil {
		u.suspect()
	}
	for _, r := range u.sides {
		r.info.Failed = "" // it is tried again
	}
	return u, u.apart(ctx, PhaseStop, &bundle.Phase{}, func(ctx context.Context, r *router) error {
		if r.had {
			return nil
		}
		return r.ownCapture(ctx)
	})
}

// ownCapture makes sure that the capture point is the run's before anything is done to it; or the
// file, where the only copy of the packets was left in one.
func (r *router) ownCapture(ctx context.Context) error {
	c := r.open(kindCapture)
	if c == nil {
		c = r.open(kindFile)
	}
	if c == nil {
		return errNoCapture
	}
	look, err := c.look(r, ctx, c, phaseAttempts)
	switch {
	case err != nil:
		return err
	case look == foreign:
		return fmt.Errorf("%s: %w", c.words, errForeign)
	case look == absent:
		return nil // stop says what that means
	case c.state == "" && !r.plan.bound:
		return fmt.Errorf("%s: %w", c.words, errWhose)
	}
	c.seen = r.session()
	return nil
}

// mayBeLeft lists what is on the routers as far as the books say.
func (u *runner) mayBeLeft() []Leftover {
	left := slices.Clone(u.odd)
	for _, r := range u.sides {
		left = append(left, r.remaining(ReasonKept)...)
	}
	return left
}

// Clean finishes the journal of a bundle: it takes back whatever the run may have left on its
// routers. What it did is in the bundle; what it could not do, or not find out, is a *DirtyError.
// It looks for everything that the plan makes, whatever the journal says of it, unless the bundle
// proves that nothing is left. A side whose host is nil is not touched.
func Clean(ctx context.Context, b *bundle.Bundle, h Hosts, o Options) (*Result, error) {
	u, err := resume(b, h, o)
	if err != nil {
		return nil, unknown(b, err)
	}
	if u.books.clean && u.run.Clean {
		return u.result(), nil
	}
	if u.books.clean {
		return u.close(nil)
	}
	if o.DryRun {
		u.keepAll()
		return u.result(), nil
	}
	u.cleanAll(ctx, false)
	return u.close(nil)
}
