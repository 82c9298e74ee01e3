package capture

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

// keepable says whether --keep leaves a thing: a debug is never left on.
func keepable(kind string) bool { return kind != kindDebug && kind != kindCondition }

// cleanUp undoes what this side made, in reverse, and returns what it could not undo; with keep only what is never
// kept. A router that does not answer any more is not asked again for each thing.
func (r *router) cleanUp(ctx context.Context, keep bool) []Leftover {
	var left []Leftover
	var dead error
	for i := len(r.changes) - 1; i >= 0; i-- {
		c := r.changes[i]
		if c.state == bundle.Gone || c.state == bundle.Void || keep && keepable(c.kind) {
			continue
		}
		err := dead
		if err == nil {
			r.u.o.Events(Event{Side: r.side, Phase: PhaseClean, Kind: Removing, Text: describe(c.kind, r.plan.nameOf(c.kind))})
			err = r.undoChange(ctx, c)
		}
		if err == nil {
			continue
		}
		left = append(left, r.leftover(c.kind, err))
		if refusalOf(err) == nil && !errors.Is(err, errForeign) {
			dead = err
		}
	}
	return left
}

// errForeign marks something that another hand made.
var errForeign = errors.New("it is not what moncap defined")

func (r *router) leftover(kind string, why error) Leftover {
	l := Leftover{Side: r.side, Peer: r.plan.Endpoint.Name, What: describe(kind, r.plan.nameOf(kind))}
	for _, cmd := range r.plan.undo(kind) {
		l.Remove = append(l.Remove, typed(cmd)...)
	}
	if why != nil {
		l.Why = why.Error()
	}
	return l
}

// undoChange takes one change back. When it is not known whether the change was made, or whether an attempt to take it
// back got through, the router is looked at first.
func (r *router) undoChange(ctx context.Context, c *change) error {
	unsure := c.state == bundle.Intent
	for n := 1; ; n++ {
		removed, err := r.undoOnce(ctx, c.kind, unsure)
		if err == nil {
			r.markGone(c, removed || n > 1)
			return nil
		}
		if errors.Is(err, errForeign) || n >= cleanAttempts || ctx.Err() != nil || r.host == nil || lasting(err) {
			return err
		}
		if refusalOf(err) != nil && n >= 2 {
			return err
		}
		unsure = true
		if err := r.pause(ctx, n); err != nil {
			return err
		}
	}
}

// undoOnce takes a thing back. removed says that it was there, as far as is known.
func (r *router) undoOnce(ctx context.Context, kind string, unsure bool) (removed bool, err error) {
	if unsure {
		there, err := r.look(ctx, kind, 1)
		switch {
		case err != nil && refusalOf(err) == nil:
			return false, err
		case err == nil && there == absent:
			return false, nil
		case err == nil && there == foreign:
			return false, fmt.Errorf("%s: %w", describe(kind, r.plan.nameOf(kind)), errForeign)
		}
	}
	err = r.remove(ctx, kind)
	if kind == kindCapture && refusalOf(err) != nil {
		// Some releases refuse to remove a capture that runs.
		if err := r.remove(ctx, kindActive); err != nil {
			return false, err
		}
		err = r.remove(ctx, kind)
	}
	if err != nil {
		return false, err
	}
	return r.readBack(ctx, kind)
}

// errStillThere marks something that the router took back, by its own word, and still shows.
var errStillThere = errors.New("the router still shows it after it was removed")

// readBack looks whether a thing that was removed is gone. A router that does not show it is taken at its word.
func (r *router) readBack(ctx context.Context, kind string) (gone bool, err error) {
	there, err := absent, error(nil)
	switch kind {
	case kindDebug, kindCondition:
		there, err = r.lookDebug(ctx, kind)
	case kindActive: // what stop answers is what show would
	default:
		there, err = r.look(ctx, kind, 1)
	}
	switch {
	case err != nil && refusalOf(err) == nil:
		return false, err
	case err == nil && (there == whole || there == partial):
		return false, errStillThere
	}
	return true, nil
}

// lookDebug finds a debug, or its condition, among those that are on.
func (r *router) lookDebug(ctx context.Context, kind string) (presence, error) {
	out, err := r.repeatAtMost(ctx, iosxe.ShowDebug(), 1)
	if err != nil {
		return absent, err
	}
	word := map[string]string{kindDebug: "ikev2", kindCondition: "condition"}[kind]
	for _, line := range iosxe.ParseDebug(out) {
		if strings.Contains(strings.ToLower(line), word) {
			return whole, nil
		}
	}
	return absent, nil
}

// readBackCommand is what readBack sends.
func (p *SidePlan) readBackCommand(kind string) []iosxe.Command {
	switch kind {
	case kindACL:
		return []iosxe.Command{iosxe.ShowACL(p.ACL)}
	case kindCapture:
		return []iosxe.Command{iosxe.ShowCapture(p.Name)}
	case kindFile:
		return []iosxe.Command{iosxe.DirFile(p.File)}
	case kindDebug, kindCondition:
		return []iosxe.Command{iosxe.ShowDebug()}
	}
	return nil
}

// markGone records that a change was taken back. A journal that cannot be written any more does not undo that: a
// later clean looks, and finds nothing.
func (r *router) markGone(c *change, removed bool) {
	if removed && c.kind != kindActive { // it goes with its capture point
		r.u.tookBack(r.leftover(c.kind, nil))
	}
	if err := r.mark(c, bundle.Gone); err != nil {
		c.state = bundle.Gone
		r.note(PhaseClean, "%v", err)
	}
}

// kept lists what is, or may be, on the router still.
func (r *router) kept() []Leftover {
	var kept []Leftover
	for _, c := range r.changes {
		if c.state != bundle.Gone && c.state != bundle.Void {
			kept = append(kept, r.leftover(c.kind, nil))
		}
	}
	return kept
}
