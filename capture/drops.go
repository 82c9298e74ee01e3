package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/moncap/moncap/device/iosxe"
)

// countLimit is how long a router may take to say what it dropped so far. It is asked before the capture, which must not wait for
// what it can do without.
const countLimit = 10 * time.Second

// countShows list what counts drops inside the router, on this interface and with this peer.
func (p *SidePlan) countShows() []iosxe.Command {
	if p.settings.NoDropCounters {
		return nil
	}
	return append(iosxe.ShowDrops(p.Interface), p.inFVRF(iosxe.ShowIPsecSADetail)...)
}

// countDrops reads the counters as they stand before the capture. The same shows are asked again when it is here, and what lies
// between is what the router dropped meanwhile. Nothing of it can end a run: what is not answered is not compared.
func (r *router) countDrops(ctx context.Context) {
	commands := r.plan.countShows()
	if len(commands) == 0 || r.u.b == nil {
		return
	}
	counting, cancel := context.WithTimeoutCause(ctx, countLimit, errors.New("the router takes too long"))
	defer cancel()
	counting, enough := context.WithCancelCause(counting)
	defer enough(nil)
	r.askAll(counting, commands, func(i int, out string, err error) {
		switch {
		case err == nil:
			cmd := commands[i]
			cmd.Name = iosxe.Before(cmd.Name)
			r.keepShow(cmd, out)
		case refusalOf(err) != nil:
			r.uncounted = append(r.uncounted, commands[i].Name)
		case counting.Err() == nil:
			enough(fmt.Errorf("%s: %w", commands[i].Lines[0], err))
		}
	})
	if counting.Err() != nil && ctx.Err() == nil {
		r.note(PhaseCheck, "what the router dropped before the capture is not known: %v", context.Cause(counting))
	}
}

// countAgain lists the shows whose counters can be compared: those that the router did not refuse before.
func (r *router) countAgain() []iosxe.Command {
	return slices.DeleteFunc(r.plan.countShows(), func(c iosxe.Command) bool { return slices.Contains(r.uncounted, c.Name) })
}
