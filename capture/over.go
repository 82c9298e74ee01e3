package capture

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/moncap/moncap/capture/bundle"
)

// ErrOver says that a run is over, and that none of what it left on its routers is anything that
// can be stopped or collected: it is only to be removed.
var ErrOver = errors.New("its run is over, and nothing of it can be stopped or collected any more")

// Over is a *DirtyError that wraps ErrOver when that is so of a bundle's run, as far as the bundle
// itself says: what stop and collect would answer, without asking a router. Whatever else is wrong
// with the bundle is left to those who go on with it.
func Over(b *bundle.Bundle, name string) error {
	u, err := resume(b, Hosts{}, Options{Name: name})
	if err != nil {
		return nil
	}
	u.findCollected()
	return u.over()
}

// over is that error; nil: the run is not over, or there is something to collect. A journal that
// may have said more is no proof.
func (u *runner) over() error {
	cleaned := slices.ContainsFunc(u.run.Phases, func(p bundle.Phase) bool { return Phase(p.Name) == PhaseClean })
	if u.books.clean || u.books.damage != nil || !cleaned || u.run.Ended.IsZero() {
		return nil
	}
	for _, r := range u.sides {
		if !r.had && (r.open(kindCapture) != nil || r.open(kindFile) != nil || r.open(kindControlPlane) != nil) {
			return nil
		}
	}
	left := u.mayBeLeft()
	for i := range left {
		left[i] = u.asTold(left[i])
	}
	ended := u.run.Ended.UTC().Format(time.RFC3339)
	return u.dirty(left, fmt.Errorf("bundle %s: %w (it ended at %s)", u.b.Dir(), ErrOver, ended))
}

// asTold is what is left with what its run said of it when it ended.
func (u *runner) asTold(l Leftover) Leftover {
	i := slices.IndexFunc(u.run.Left, func(told bundle.Left) bool { return told.Side == l.Side && told.What == l.What })
	if i < 0 {
		l.Reason = ReasonUnknown
		return l
	}
	l.Reason, l.Why, l.Fetch = u.run.Left[i].Reason, u.run.Left[i].Why, u.run.Left[i].Fetch
	return l
}
