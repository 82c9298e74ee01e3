package capture

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

// Start does the phases from check to trigger and leaves both captures running, for Stop and Collect to go on with. When
// it fails, it undoes what it did.
func Start(ctx context.Context, p *Plan, h Hosts, b *bundle.Bundle, o Options) (*Result, error) {
	u, err := begin(p, h, b, o)
	if err != nil {
		return nil, err
	}
	if err := u.bringUp(ctx); err != nil {
		return u.finish(ctx, err, false)
	}
	u.keepAll()
	u.kept = nil // it is not the end
	return u.result(), u.save()
}

// SideStatus is the state of one side's capture.
type SideStatus struct {
	Side    Side
	Peer    string
	Exists  bool
	Active  bool
	Packets int
	Dropped int
	Err     error
}

// Status looks at the captures of a bundle's run and changes nothing.
func Status(ctx context.Context, b *bundle.Bundle, h Hosts, o Options) ([]SideStatus, error) {
	u, err := resume(b, h, o)
	if err != nil {
		return nil, err
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
	if c == nil {
		return s
	}
	s.Exists, s.Active = true, c.Active
	out, err := r.repeat(ctx, iosxe.ShowBuffer(r.plan.Name))
	if err != nil {
		return fail(err)
	}
	b, err := iosxe.ParseBuffer(out)
	if err != nil {
		return fail(err)
	}
	s.Packets, s.Dropped = b.Packets, b.Dropped
	return s
}

// Stop stops the captures of a bundle's run. Their packets stay on the routers until Collect or Clean.
func Stop(ctx context.Context, b *bundle.Bundle, h Hosts, o Options) (*Result, error) {
	u, err := resume(b, h, o)
	if err != nil {
		return nil, err
	}
	if err := u.wantRunning(); err != nil {
		return u.result(), err
	}
	err = u.phase(ctx, PhaseStop, func(ctx context.Context, r *router) error { return r.stop(ctx) }, nil)
	return u.result(), errors.Join(err, u.save())
}

// Collect stops the captures of a bundle's run if they run, fetches them, and cleans up. When it fails, it leaves the
// routers as they are, so that it can be tried again, and returns a *DirtyError; Clean gives up.
func Collect(ctx context.Context, b *bundle.Bundle, h Hosts, o Options) (*Result, error) {
	u, err := resume(b, h, o)
	if err != nil {
		return nil, err
	}
	if err := u.wantRunning(); err != nil {
		return u.result(), err
	}
	if err := u.collect(ctx); err != nil {
		for _, r := range u.sides {
			u.left = append(u.left, r.kept()...)
		}
		return u.close(err)
	}
	u.run.Error = ""
	return u.finish(ctx, nil, u.plan.Settings.Keep)
}

// errNothing says that a bundle's run has nothing on the routers any more.
var errNothing = errors.New("the run of this bundle has no capture on its routers any more")

func (u *runner) wantRunning() error {
	for _, r := range u.sides {
		if !slices.ContainsFunc(r.changes, func(c *change) bool { return c.kind == kindCapture }) {
			return &PhaseError{Phase: PhaseStop, Side: r.side, Peer: r.plan.Endpoint.Name, Err: errNothing}
		}
	}
	return nil
}

// Clean finishes the journal of a bundle: it takes back whatever the run may have left on its routers. What it did is
// in the bundle; what it could not do is a *DirtyError. A side whose host is nil is not touched.
func Clean(ctx context.Context, b *bundle.Bundle, h Hosts, o Options) (*Result, error) {
	u, err := resume(b, h, o)
	if err != nil {
		return nil, err
	}
	if o.DryRun {
		u.keepAll()
		return u.result(), nil
	}
	u.cleanAll(ctx, false)
	return u.close(nil)
}
