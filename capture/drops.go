package capture

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/moncap/moncap/device/iosxe"
)

// countLimit is how long a router may take to say what it dropped so far. It is asked before the
// capture, which must not wait for what it can do without.
const countLimit = 10 * time.Second

// countShows list what counts drops inside the router, on this interface and with this peer.
func (p *SidePlan) countShows() []iosxe.Command {
	return slices.Concat(p.cryptoCounts(), p.planeCounts())
}

// cryptoCounts list what IKE and IPsec count themselves. It is asked behind the proofs of the
// check, whose last turn of the line has room for it.
func (p *SidePlan) cryptoCounts() []iosxe.Command {
	if p.settings.NoDropCounters {
		return nil
	}
	return slices.Concat(iosxe.ShowIKECounters(), p.inFVRF(iosxe.ShowIPsecSADetail))
}

// planeCounts list what the data plane counts: as many as are typed in one turn of the line.
func (p *SidePlan) planeCounts() []iosxe.Command {
	if p.settings.NoDropCounters {
		return nil
	}
	return iosxe.ShowDrops(p.Interface)
}

// countDrops reads the counters as they stand before the capture, as far as the check has not. The
// same shows are asked again when it is here, and what lies between is what the router dropped
// meanwhile. Nothing of it can end a run: what is not answered is not compared.
func (r *router) countDrops(ctx context.Context) {
	if commands := r.toCount(r.plan.countShows()); len(commands) > 0 {
		counting, cancel := noLonger(ctx, countLimit)
		defer cancel()
		r.askAll(counting, commands, func(i int, out string, err error) {
			if r.takeCount(counting, commands[i], out, err); r.uncounted != nil {
				cancel()
			}
		})
	}
	if r.uncounted != nil && ctx.Err() == nil {
		r.note(PhaseCheck, "what the router dropped before the capture is not known: %v", r.uncounted)
	}
}

// toCount are those of the shows that are to be asked before the capture still: none without a
// bundle to keep them in, nor of a router that has left one unanswered.
func (r *router) toCount(shows []iosxe.Command) []iosxe.Command {
	if r.u.b == nil || r.uncounted != nil {
		return nil
	}
	return slices.DeleteFunc(shows, func(c iosxe.Command) bool { _, asked := r.asked[c.Name]; return asked })
}

// takeCount keeps a counter as it stands before the capture, which was asked for in ctx.
func (r *router) takeCount(ctx context.Context, cmd iosxe.Command, out string, err error) {
	switch {
	case err == nil:
		r.asked[cmd.Name] = true
		cmd.Name = iosxe.Before(cmd.Name)
		r.keepShow(cmd, out)
	case refusalOf(err) != nil:
		r.asked[cmd.Name] = false
	case r.uncounted == nil && ctx.Err() != nil:
		r.uncounted = context.Cause(ctx)
	case r.uncounted == nil:
		r.uncounted = fmt.Errorf("%s: %w", cmd.Lines[0], err)
	}
}

// countAgain lists the shows whose counters can be compared: those that the router did
// not refuse before.
func (r *router) countAgain() []iosxe.Command {
	return slices.DeleteFunc(r.plan.countShows(), func(c iosxe.Command) bool {
		has, asked := r.asked[c.Name]
		return asked && !has
	})
}
