package capture

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

// ownLeftover is the error of a debug, or of a packet trace, that is on already because a run of
// which the bundle is here has it on the same router, or left it there.
type ownLeftover struct {
	what   string // what is on, as the router says it
	bundle string
	over   bool // the run
}

func (e *ownLeftover) Error() string {
	if e.over {
		return fmt.Sprintf("an earlier run left it on (%s): moncap clean %s ends it", e.what, e.bundle)
	}
	return fmt.Sprintf("another run from here has it on (%s), and has not ended: wait for it; moncap clean %s ends it "+
		"when nobody works on that run any more", e.what, e.bundle)
}

// whose says of what is on already, and is everybody's, when it is ours: err is what is known of it
// from the router alone, and mine says whether a change of a journal is what the router shows. That
// a bundle names it proves nothing by itself: its run may have taken it back unseen.
func (r *router) whose(err error, what string, mine func(bundle.Change) bool) error {
	if err == nil || r.u.o.OpenRuns == nil {
		return err
	}
	for _, dir := range r.u.o.OpenRuns() {
		b, openErr := bundle.Open(dir)
		if openErr != nil {
			continue
		}
		run, runErr := b.Run()
		entries, _ := b.Journal() // what can be read of it
		has := slices.ContainsFunc(bundle.OpenChanges(entries), func(c bundle.Change) bool {
			return c.Peer == r.plan.Endpoint.Name && mine(c)
		})
		if errors.Join(runErr, b.Close()) == nil && has {
			return &ownLeftover{what: iosxe.Printable(what), bundle: dir, over: !run.Ended.IsZero()}
		}
	}
	return err
}

// debugFree is an error that says who debugs already, by what `show debugging` shows.
func (r *router) debugFree(shown string) error {
	what, err := debugIsFree(shown)
	return r.whose(err, what, func(c bundle.Change) bool {
		peer, notOne := netip.ParseAddr(c.Name)
		return c.Kind == kindDebug && notOne == nil && iosxe.DebugsPeer(shown, peer)
	})
}

// traceFree is an error that says who traces packets already.
func (r *router) traceFree(conditions iosxe.Conditions, configuration []string) error {
	what, err := traceIsFree(conditions, configuration)
	return r.whose(err, what, func(c bundle.Change) bool {
		own, _ := conditions.Own(r.plan.tracing.trace)
		condition := c.Kind == kindTraceCondition && own > 0
		return condition || c.Kind == kindTrace && r.plan.tracing.trace.Configured(configuration)
	})
}
