package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

// pointGone is said of a capture point that was made and that the router does not know any more.
// Its buffer went with it.
const pointGone = "the capture point is gone: the router was reloaded, its standby took over, or somebody removed it"

// gone is the error of a capture point that is not there any more.
func (r *router) gone(ctx context.Context, refusal error) error {
	if r.info.StartDone.IsZero() {
		return fmt.Errorf("%s: %w", pointGone, refusal)
	}
	return fmt.Errorf("%s: %w", r.whyGone(ctx, time.Since(r.info.StartDone)), refusal)
}

// whyGone says why a capture point is not there any more that was made so long ago: where the
// router says since when it is up, and since when its processor is the active one, that tells. Else
// it is pointGone.
func (r *router) whyGone(ctx context.Context, since time.Duration) string {
	out, err := r.repeatAtMost(ctx, iosxe.ShowRedundancy(), 1)
	if err != nil {
		return pointGone
	}
	up, err := iosxe.ParseRedundancy(out)
	switch {
	case err != nil:
		return pointGone
	case up.System < since && since >= time.Minute:
		return fmt.Sprintf("the capture point is gone: the router was reloaded while it captured, it is up for %s", up.System)
	case up.Active < since && since >= time.Minute:
		return fmt.Sprintf("the capture point is gone: the standby processor took over while it captured, %s ago (%s)",
			up.Active, iosxe.Printable(up.Reason))
	case up.System > since && up.Active > since:
		return "the capture point is gone: somebody removed it, as the router and its processor are up for longer"
	}
	return pointGone
}

// spareOnlyCopies decides, when the phases that collect are over, what of a side stays on its
// router because it holds the only copy of the packets. Who interrupts gives them up.
func (u *runner) spareOnlyCopies(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	for _, r := range u.sides {
		if r.err == nil || r.done || errors.Is(r.err, errForeign) || r.counted && r.info.Packets == 0 ||
			errors.Is(r.err, errNoCapture) && u.books.damage == nil {
			continue
		}
		why := r.err
		if phase, ok := errors.AsType[*PhaseError](why); ok {
			why = phase.Err
		}
		r.sparing = "it holds the only copy of the packets: " + why.Error()
	}
}

// spares says whether a thing is left on purpose: the exported file; or, without one that has them
// all, the capture point with its packets, and the access list that it refers to. What was captured
// at the control plane meanwhile, which refers to that list as well, is left beside either.
func (r *router) spares(kind string) bool {
	return r.sparing != "" && slices.Contains(r.onlyCopy(), kind)
}

func (r *router) onlyCopy() []string {
	var beside []string
	if r.atControlPlane() != nil {
		beside = []string{kindACL, kindControlPlane}
	}
	captures := append(beside, kindACL, kindCapture)
	if r.short && !r.lost && r.open(kindCapture) != nil {
		return captures
	}
	if c := r.open(kindFile); c != nil && !r.vanished && (r.exported || c.state == bundle.Made) {
		return append(beside, kindFile)
	}
	if r.exported || r.lost { // what has the packets is a server, or nothing
		return nil
	}
	return captures
}

func (r *router) spared(c *change) Leftover {
	l := r.leftover(c.thing, ReasonOnlyCopy, errors.New(r.sparing))
	if c.kind == kindFile {
		l.Fetch = "scp -O USER@" + l.Peer + ":" + c.name + " ."
	}
	return l
}
