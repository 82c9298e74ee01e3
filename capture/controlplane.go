package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

// A packet for the router itself passes twice: its interface, and the way to the control plane. A
// capture point that is on both holds it twice, and the file that it exports does not say where
// each was taken; nor has anybody published such a file. So the control plane gets a capture point
// of its own beside that of the interfaces: nothing has to be told apart, no copy takes the place
// of a packet, and a router that refuses it captures as before. Its packets are few, and are read
// by `buffer dump` when the captures are here.

// kindControlPlane is the capture point at the control plane, running.
const kindControlPlane = "control-plane-capture"

const (
	// controlPlaneLetter makes the name of that capture point out of the run's.
	controlPlaneLetter = "p"
	// controlPlaneSlack is by how much it outlasts the capture at the interfaces: it begins before,
	// and ends after it.
	controlPlaneSlack = 5 * time.Minute
	// controlPlaneLimit is how long a router may take to show what it holds.
	controlPlaneLimit = 40 * time.Second
	// controlPlanePatience is how long a router may take to begin it, or to end it: well within the
	// phase, so that one that hangs at it is captured without it.
	controlPlanePatience = 20 * time.Second
)

// ControlPlaneDuration is after how long a capture at the control plane stops by itself.
func (s Settings) ControlPlaneDuration() time.Duration { return s.Duration + controlPlaneSlack }

// controlPlan is the capture point at the control plane of one side.
type controlPlan struct {
	name  iosxe.Name
	point iosxe.CapturePoint
	make  []iosxe.Command // defines it, and starts it
}

func (p *SidePlan) planControlPlane(local netip.Addr, s Settings) error {
	name, err := iosxe.ParseName(p.Name.String() + controlPlaneLetter)
	if err != nil {
		return fmt.Errorf("the capture point at the control plane is called like the other, with a %q behind: %w",
			controlPlaneLetter, err)
	}
	c := &controlPlan{name: name, point: iosxe.CapturePoint{
		Name: name, ACL: p.ACL, Local: local, Remote: p.Remote, UDPOnly: true, ControlPlane: true, BufferMB: 1,
		Duration: s.ControlPlaneDuration(), Packets: iosxe.ControlPlanePackets, PacketLen: iosxe.ControlPlaneBytes,
		PPS: 1000,
	}}
	if c.make, err = iosxe.DefineCapture(c.point); err != nil {
		return err
	}
	c.make = append(c.make, iosxe.StartCapture(name))
	p.control = c
	return nil
}

func (p *SidePlan) controlPlaneThing() thing {
	name := p.control.name
	return thing{
		kind: kindControlPlane, name: name.String(), words: "capture point " + name.String() + " at the control plane",
		undo:  []iosxe.Command{iosxe.NoCapture(name)},
		shows: []iosxe.Command{iosxe.ShowCapture(name)}, look: (*router).lookControlPlane,
		stop:     []iosxe.Command{iosxe.StopCapture(name)},
		patience: 2 * controlPlanePatience,
	}
}

// controlPlaneSteps are its steps of the plan in a phase.
func (p *SidePlan) controlPlaneSteps(phase Phase) []Step {
	if p.control == nil {
		return nil
	}
	var steps []Step
	switch phase {
	case PhaseDefine:
		for i, c := range p.control.make {
			step := Step{Phase: phase, Command: c}
			if i == 0 {
				step.Undo = p.controlPlaneThing().undo
			}
			steps = append(steps, step)
		}
	case PhaseStop:
		steps = append(steps, Step{Phase: phase, Command: iosxe.StopCapture(p.control.name)})
	case PhaseObserve:
		steps = append(steps, Step{Phase: phase, Command: iosxe.ShowBuffer(p.control.name)},
			Step{Phase: phase, Command: iosxe.ShowDump(p.control.name), Note: "only when it holds packets"})
	}
	return steps
}

// startControlPlane captures at the control plane, too, before the capture at the interfaces
// begins. A router that refuses it, or hangs at it, is captured without it: nothing else depends on
// it. What may be there of it then is taken back by the clean-up.
func (r *router) startControlPlane(ctx context.Context) error {
	if r.plan.control == nil {
		return nil
	}
	making, cancel := noLonger(ctx, controlPlanePatience)
	defer cancel()
	err := r.make(making, kindControlPlane, r.plan.control.make, nil)
	refusal := refusalOf(err)
	switch {
	case err == nil && !iosxe.CaptureStarted(r.said):
		r.note(PhaseDefine, "the router answered the capture at its control plane with %s", quote(r.said))
	case err == nil:
	case refusal != nil:
		r.note(PhaseDefine, "there is no capture at its control plane: %v", refusal)
	case ctx.Err() != nil || lasting(err) || ofThisMachine(err):
		return err
	default:
		r.note(PhaseDefine, "there is no capture at its control plane: %v", err)
	}
	return nil
}

// atControlPlane is the capture point at the control plane, if it was made; nil: it was not.
func (r *router) atControlPlane() *change {
	if c := r.open(kindControlPlane); c != nil && c.state == bundle.Made {
		return c
	}
	return nil
}

// stopControlPlane ends it behind the capture at the interfaces, so that it holds all that they
// hold. What goes wrong is mended by the clean-up. again says that the run was stopped before, and
// goes on: that it is not active any more is as it should be then.
func (r *router) stopControlPlane(ctx context.Context, again bool) {
	c := r.atControlPlane()
	if c == nil {
		return
	}
	ending, cancel := noLonger(ctx, controlPlanePatience)
	defer cancel()
	err := r.controlIsOurs(ending, c)
	if err == nil {
		_, err = r.exec(ending, iosxe.StopCapture(r.plan.control.name))
	}
	switch {
	case refusedAs(err, iosxe.NotActive):
		if !again {
			r.info.ControlPlaneEnded = true
			r.note(PhaseStop, "the capture at its control plane had ended already: what it lacks proves nothing")
		}
	case errors.Is(err, errForeign):
		r.note(PhaseStop, "it is not stopped: %v", err)
	case err != nil && ctx.Err() == nil:
		r.note(PhaseStop, "the capture at its control plane goes on until the clean-up: %v", err)
	}
}

// controlIsOurs is an error where what bears a name of somebody's choice is another hand's by now.
func (r *router) controlIsOurs(ctx context.Context, c *change) error {
	if r.plan.bound {
		return nil
	}
	if look, err := c.look(r, ctx, c, 1); err != nil || look != foreign {
		return err
	}
	return fmt.Errorf("%s is another hand's by now: %w", c.words, errForeign)
}

// readControlPlane reads what came to the control plane. The captures are here by now: what goes
// wrong is noted.
func (r *router) readControlPlane(ctx context.Context) {
	c := r.atControlPlane()
	if c == nil {
		return
	}
	reading, cancel := noLonger(ctx, controlPlaneLimit)
	defer cancel()
	err := r.controlIsOurs(reading, c)
	if err == nil {
		err = r.dumpControlPlane(reading)
	}
	if err != nil && ctx.Err() == nil {
		r.note(PhaseObserve, "what came to its control plane could not be read: %v", err)
	}
}

func (r *router) dumpControlPlane(ctx context.Context) error {
	name := r.plan.control.name
	show := iosxe.ShowBuffer(name)
	out, err := r.exec(ctx, show)
	if err != nil {
		return err
	}
	b, err := iosxe.ParseBuffer(out)
	if err != nil {
		return err
	}
	show.Name = iosxe.AtControlPlane(show.Name)
	if !r.info.ControlPlaneEnded { // with the count it would pass for whole
		r.keepShow(show, out)
	}
	if b.Packets == 0 {
		return nil
	}
	dump := iosxe.ShowDump(name)
	// Four or five characters for each byte, and a number for each packet; the router keeps no more
	// of them than it was told.
	dump.MaxOutput = min(b.Packets, iosxe.ControlPlanePackets)*(6*iosxe.ControlPlaneBytes+64) + 64<<10
	var text []byte
	var unread error
	err = r.stream(ctx, dump, func(in io.Reader) { text, unread = io.ReadAll(io.LimitReader(in, int64(dump.MaxOutput))) })
	if err = errors.Join(err, unread); err != nil {
		return err
	}
	dump.Name = iosxe.AtControlPlane(dump.Name)
	r.keepShow(dump, string(text))
	return nil
}

// lookControlPlane finds the capture point at the control plane. One that does not run counts as a
// part of it: it may have been interrupted before it was started, or have ended by a limit.
func (r *router) lookControlPlane(ctx context.Context, _ *change, attempts int) (presence, error) {
	c, err := r.captureCalled(ctx, r.plan.control.name, attempts)
	if err != nil || c == nil {
		return absent, err
	}
	return r.plan.compareControlPlane(c), nil
}

func (p *SidePlan) compareControlPlane(c *iosxe.Capture) presence {
	if len(c.Interfaces) == 0 && c.ACL == "" && p.bound {
		return partial
	}
	limited := compareLimits(c, p.control.point)
	switch {
	case limited == foreign, !c.OnlyControlPlane(), !p.filters(c):
		return foreign
	case limited == whole && c.Active:
		return whole
	}
	return partial
}
