package capture

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

// The kinds of things that a run makes on a router, as the journal names them.
const (
	kindACL       = "acl"
	kindCapture   = "capture"
	kindCondition = "debug-condition"
	kindDebug     = "debug"
	kindActive    = "active"
	kindFile      = "file"
)

// kinds lists what the run makes on this side, in the order in which it does.
func (p *SidePlan) kinds() []string {
	var kinds []string
	if !p.ACL.IsZero() {
		kinds = append(kinds, kindACL)
	}
	kinds = append(kinds, kindCapture)
	if len(p.debugOn) > 0 {
		kinds = append(kinds, kindCondition, kindDebug)
	}
	kinds = append(kinds, kindActive)
	if !p.File.IsZero() {
		kinds = append(kinds, kindFile)
	}
	return kinds
}

// nameOf is the name of the thing, for the journal.
func (p *SidePlan) nameOf(kind string) string {
	switch kind {
	case kindACL:
		return p.ACL.String()
	case kindFile:
		return p.File.String()
	case kindCondition, kindDebug:
		return p.Remote.String()
	}
	return p.Name.String()
}

// undo makes the commands that take a thing back.
func (p *SidePlan) undo(kind string) []iosxe.Command {
	switch kind {
	case kindACL:
		return []iosxe.Command{iosxe.NoACL(p.ACL, p.Remote.Is6())}
	case kindCapture:
		return []iosxe.Command{iosxe.NoCapture(p.Name)}
	case kindActive:
		return []iosxe.Command{iosxe.StopCapture(p.Name)}
	case kindFile:
		return []iosxe.Command{iosxe.DeleteFile(p.File)}
	case kindDebug:
		return p.debugOff[:1]
	case kindCondition:
		return p.debugOff[1:]
	}
	return nil
}

func describe(kind, name string) string {
	switch kind {
	case kindACL:
		return "access list " + name
	case kindCapture:
		return "capture point " + name
	case kindActive:
		return "running capture " + name
	case kindFile:
		return "file " + name
	case kindDebug:
		return "debug crypto ikev2"
	case kindCondition:
		return "debug condition for peer " + name
	}
	return fmt.Sprintf("%s %s", kind, name)
}

// change is a thing on the router that this run made, or may have made.
type change struct {
	kind  string
	state bundle.State
}

// begin announces a change in the journal. Without that it is not made.
func (r *router) begin(kind string) (*change, error) {
	if c := r.open(kind); c != nil {
		return c, nil
	}
	c := &change{kind: kind}
	if err := r.mark(c, bundle.Intent); err != nil {
		return nil, err
	}
	r.changes = append(r.changes, c)
	return c, nil
}

// open returns the change of that kind that may be on the router; nil when there is none.
func (r *router) open(kind string) *change {
	for _, c := range r.changes {
		if c.kind == kind && (c.state == bundle.Intent || c.state == bundle.Made) {
			return c
		}
	}
	return nil
}

// mark writes the state of a change to the journal.
func (r *router) mark(c *change, s bundle.State) error {
	if err := r.u.b.Record(bundle.Entry{
		Time: time.Now(), Side: r.side, Peer: r.plan.Endpoint.Name, Kind: c.kind, Name: r.plan.nameOf(c.kind), State: s,
	}); err != nil {
		return err
	}
	c.state = s
	return nil
}

// make makes a thing of the given kind with commands. When the session breaks, the router is looked at, and the
// change is taken for made, or made again. gate is passed after the journal is written; it may be nil.
func (r *router) make(ctx context.Context, kind string, commands []iosxe.Command, gate func(context.Context) error) error {
	c, err := r.begin(kind)
	if err != nil {
		return err
	}
	if gate != nil {
		if err := gate(ctx); err != nil {
			return errors.Join(err, r.mark(c, bundle.Void))
		}
	}
	for n := 1; ; n++ {
		err := r.execAll(ctx, commands)
		if err == nil {
			return r.mark(c, bundle.Made)
		}
		if n >= phaseAttempts || !r.worthRepeating(ctx, err) {
			return err
		}
		r.note("", "%s: looked at, and made again where it was missing, after: %v", describe(kind, r.plan.nameOf(kind)), err)
		if err := r.pause(ctx, n); err != nil {
			return err
		}
		made, err := r.prepareAgain(ctx, c)
		if err != nil {
			return err
		}
		if made {
			return r.mark(c, bundle.Made)
		}
	}
}

func (r *router) execAll(ctx context.Context, commands []iosxe.Command) error {
	for _, c := range commands {
		if _, err := r.exec(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// prepareAgain looks at what an interrupted change left. A part of it is removed, so that it can be made again.
func (r *router) prepareAgain(ctx context.Context, c *change) (made bool, err error) {
	there, err := r.look(ctx, c.kind, phaseAttempts)
	switch {
	case err != nil:
		return false, err
	case there == whole:
		return true, nil
	case there == foreign:
		return false, fmt.Errorf("%s is there, and is not what was defined", describe(c.kind, r.plan.nameOf(c.kind)))
	case there == partial && c.kind != kindActive:
		return false, r.remove(ctx, c.kind)
	}
	return false, nil
}

// remove sends what takes a thing back. A thing that is not there any more is no error.
func (r *router) remove(ctx context.Context, kind string) error {
	for _, cmd := range r.plan.undo(kind) {
		_, err := r.exec(ctx, cmd)
		if err != nil && !refusedAs(err, iosxe.Missing) && !refusedAs(err, iosxe.NotActive) {
			return err
		}
	}
	return nil
}
