package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

// Why something is left on a router, in words that stay: Leftover.Reason and run.json's "reason".
const (
	ReasonForeign     = "foreign"      // it has the run's name, and is not what the plan defines
	ReasonOtherRouter = "other-router" // another router answers at the address of the one that was changed
	ReasonUnreachable = "unreachable"  // the router could not be asked
	ReasonRefused     = "refused"      // the router does not show it, or does not take it back
	ReasonJournal     = "journal"      // the journal names what the plan does not make
	ReasonStuck       = "stuck"        // the router answers, and not to that; or in words that nobody can read
	ReasonOnlyCopy    = "only-copy"    // it holds the only copy of the packets
	ReasonKept        = "kept"         // it was asked for
	ReasonUnknown     = "unknown"      // the journal does not tell whether it is there
)

var (
	// errForeign marks something that another hand made.
	errForeign = errors.New("it is not what moncap defined")
	// errWhose marks something of a chosen name that no journal speaks of: another run may have given
	// it the same name.
	errWhose = errors.New("nothing proves that this run made it")
	// errStillThere marks something that the router took back, by its own word, and still shows.
	errStillThere = errors.New("the router still shows it after it was removed")
)

// cleanUp undoes what this side made, in reverse, and returns what it could not undo; with keep
// only what is never kept. All of it is tried before anything is tried again: one thing at which
// the router hangs, or which it shows in words that nobody can read, keeps nothing else on it.
func (r *router) cleanUp(ctx context.Context, keep bool) []Leftover {
	for r.undoTogether(ctx, keep) {
	}
	failed, spared := map[*change]error{}, map[*change]bool{}
	var all []*change
	for _, c := range slices.Backward(r.changes) {
		if !c.goes(keep) {
			continue
		}
		if spared[c] = r.spares(c.kind) && r.maybeOurs(ctx, c); !spared[c] {
			all = append(all, c)
		}
	}
	again := r.undoEach(ctx, all, 1, failed)
	r.undoEach(ctx, again, cleanAttempts, failed)
	var left, unasked []Leftover
	for _, c := range slices.Backward(r.changes) {
		err := failed[c]
		_, silent := errors.AsType[*SilentError](err)
		if err != nil && reasonOf(err) == ReasonUnreachable && !silent && r.talk.heard() > c.heard {
			err = &stuckError{err} // it answered about the others
		}
		switch {
		case spared[c]:
			left = append(left, r.spared(c))
		case err == nil:
		case c.state == "" && r.u.books.damage == nil && reasonOf(err) == ReasonForeign:
			r.note(PhaseClean, "%v; the journal is whole, and this run never made one", err)
		case c.state == "" && r.u.books.damage == nil && nobodySaid(err):
			unasked = append(unasked, r.leftover(c.thing, reasonOf(err), err))
		default:
			left = append(left, r.leftover(c.thing, reasonOf(err), err))
		}
	}
	if len(left) == 0 && len(unasked) > 0 {
		left = append(left, notLookedAt(unasked[0]))
	}
	return left
}

// nobodySaid says whether the router of the run told nothing of a thing.
func nobodySaid(err error) bool {
	reason := reasonOf(err)
	return reason == ReasonOtherRouter || reason == ReasonUnreachable
}

// notLookedAt stands for all that the journal does not have on a router, where that could not be
// looked at. It is not called left, as a whole journal knows it as gone, and the router is not
// called clean, as the journal may be an older one.
func notLookedAt(l Leftover) Leftover {
	l.What, l.Remove = "nothing, by the journal, and the router could not be looked at", nil
	return l
}

// undoEach takes changes back, each in so many attempts, and returns those that may go when they
// are tried again. Why the others did not is in failed. A router that is another, or that answers
// nothing of what is asked about two things in a row, is not asked about the rest; in further
// attempts one will do.
func (r *router) undoEach(ctx context.Context, all []*change, attempts int,
	failed map[*change]error) (again []*change) {
	var dead error
	silent := 0
	for _, c := range all {
		err := dead
		if err == nil {
			err = r.limitsStill(c, failed, again)
		}
		if err == nil {
			heard := r.talk.heard()
			r.u.o.Events(Event{Side: r.side, Phase: PhaseClean, Kind: Removing, Text: c.words})
			if err = r.undoInTime(ctx, c, attempts); err == nil {
				continue
			}
			answers := r.talk.heard() > heard
			switch reason := reasonOf(err); {
			case reason == ReasonOtherRouter:
				dead = err
			case reason != ReasonUnreachable:
				silent = 0
			case answers: // other questions, and not this one
				silent, err = 0, &stuckError{err}
			default:
				if silent++; attempts > 1 || silent > 1 || r.host == nil || lasting(err) {
					dead = err
				}
			}
		}
		if attempts == 1 {
			c.heard = r.talk.heard()
		}
		if attempts == 1 && !final(err) && ctx.Err() == nil {
			again = append(again, c)
			continue
		}
		failed[c] = err
	}
	return again
}

// limitsStill is why a change is not taken back yet: what it limits is on still, and would go on
// without a limit; nil: there is nothing of that kind. What is left to others does not need it.
func (r *router) limitsStill(c *change, failed map[*change]error, again []*change) error {
	for _, o := range r.changes {
		if c.limits == "" || o.kind != c.limits || !o.open() {
			continue
		}
		err := failed[o]
		if err == nil && slices.Contains(again, o) {
			err = errNotYet
		}
		if err != nil && reasonOf(err) != ReasonForeign {
			return fmt.Errorf("%s may be on still, and this limits it: %w", o.words, err)
		}
	}
	return nil
}

// final says whether an error of taking something back is the same next time.
func final(err error) bool {
	reason := reasonOf(err)
	return reason == ReasonForeign || refusalOf(err) != nil || lasting(err)
}

// undoInTime takes a change back, in so many attempts and the time that there is for it. An error
// is errSlow when that is why.
func (r *router) undoInTime(ctx context.Context, c *change, attempts int) error {
	if c.patience == 0 {
		return r.tryUndo(ctx, c, attempts)
	}
	ctx, cancel := noLonger(ctx, c.patience)
	defer cancel()
	err := r.tryUndo(ctx, c, attempts)
	if err != nil && errors.Is(context.Cause(ctx), errSlow) && !errors.Is(err, errSlow) {
		err = errors.Join(errSlow, err)
	}
	return err
}

// goes says whether a change is to be taken back.
func (c *change) goes(keep bool) bool { return c.open() && (!keep || c.fleeting) }

// undoTogether takes back, and looks for, all that this session saw being made, without waiting for
// each answer. What is not known to be gone then is looked at, and taken back by itself. more says
// that there is something which had to wait until it was known what became of the rest.
func (r *router) undoTogether(ctx context.Context, keep bool) (more bool) {
	var made []*change
	var all []iosxe.Command
	for _, c := range slices.Backward(r.changes) {
		if !c.goes(keep) || r.spares(c.kind) || !r.sawMade(c) {
			continue
		}
		if o := r.open(c.limits); o != nil {
			if more = slices.Contains(made, o); more {
				break
			}
			continue // what it limits did not go
		}
		made = append(made, c)
		all = slices.Concat(all, c.undo, c.shows)
		r.u.o.Events(Event{Side: r.side, Phase: PhaseClean, Kind: Removing, Text: c.words})
	}
	if len(made) == 0 {
		return false
	}
	replies, err := r.sendAll(ctx, all, isLost)
	if err != nil {
		return false // nothing was sent
	}
	defer func() { r.answers = nil }()
	for _, c := range made {
		r.answers = map[string]reply{}
		for _, cmd := range slices.Concat(c.undo, c.shows) {
			r.answers[cmd.Lines[0]], replies = replies[0], replies[1:]
		}
		c.tried = true
		there, err := r.remove(ctx, c.thing)
		if c.taken = err == nil; c.taken {
			err = r.readBack(ctx, c)
		}
		if c.seen = 0; err == nil {
			r.markGone(c, there)
		}
	}
	return more
}

// stuckError is the error of something that a router does not answer, or in words that nobody can
// read, while it answers other questions.
type stuckError struct{ error }

func (e *stuckError) Unwrap() error { return e.error }

// errNotYet is for what has to wait.
var errNotYet = errors.New("it is not known yet whether it goes")

func reasonOf(err error) string {
	var other *OtherRouterError
	var stuck *stuckError
	switch {
	case errors.As(err, &other):
		return ReasonOtherRouter
	case errors.Is(err, errForeign), errors.Is(err, errWhose):
		return ReasonForeign
	case refusalOf(err) != nil, errors.Is(err, errStillThere):
		return ReasonRefused
	case errors.As(err, &stuck):
		return ReasonStuck
	}
	return ReasonUnreachable
}

func (r *router) leftover(t thing, reason string, why error) Leftover {
	l := Leftover{Side: r.side, Peer: r.plan.Endpoint.Name, What: t.words, Reason: reason}
	for _, cmd := range t.undo {
		l.Remove = append(l.Remove, typed(cmd)...)
	}
	if why != nil {
		l.Why = iosxe.Printable(why.Error())
	}
	return l
}

// undoChange takes one change back. Unless this session saw it being made, the router is looked at
// first; so it is after an attempt of which nobody knows whether it got through, and always where
// the name is one of somebody's choice: others may have made something of that name since.
func (r *router) undoChange(ctx context.Context, c *change) error {
	return r.tryUndo(ctx, c, cleanAttempts)
}

// tryUndo does so in so many attempts. A refusal gets a second one.
func (r *router) tryUndo(ctx context.Context, c *change, attempts int) error {
	for n := 1; ; n++ {
		removed, err := r.undoOnce(ctx, c)
		if err == nil {
			r.markGone(c, removed)
			return nil
		}
		if errors.Is(err, errForeign) || errors.Is(err, errWhose) || ctx.Err() != nil || r.host == nil || lasting(err) {
			return err
		}
		enough := n >= 2
		if refusalOf(err) == nil {
			enough = n >= attempts && (attempts == 1 || r.tired(n, attempts))
		}
		if enough {
			return err
		}
		c.seen = 0
		if err := r.pause(ctx, n); err != nil {
			return err
		}
	}
}

// sawMade says whether a thing need not be looked at before it is removed: this session saw it
// being made, under a name that no other hand gives, and no other depends on it.
func (r *router) sawMade(c *change) bool {
	return c.seen != 0 && c.seen == r.session() && r.plan.bound && !c.shared
}

// undoOnce takes a thing back. removed says that it was there.
func (r *router) undoOnce(ctx context.Context, c *change) (removed bool, err error) {
	if !r.sawMade(c) {
		there, err := r.isOurs(ctx, c)
		if err != nil || !there {
			return c.tried, err
		}
	}
	c.tried = true
	there, err := r.remove(ctx, c.thing)
	if len(c.stop) > 0 && refusalOf(err) != nil {
		if _, err := r.remove(ctx, thing{undo: c.stop}); err != nil {
			return false, err
		}
		there, err = r.remove(ctx, c.thing)
	}
	if err != nil {
		return false, err
	}
	c.taken = true
	return there, r.readBack(ctx, c)
}

// isOurs looks whether a thing is there, and is what the plan defines. A router that does not show
// it is no proof: only what this process made itself is taken back then.
func (r *router) isOurs(ctx context.Context, c *change) (there bool, err error) {
	look, err := c.look(r, ctx, c, 1)
	switch {
	case err != nil && (refusalOf(err) == nil || c.adopted):
		return false, err
	case err == nil && look == absent:
		return false, nil
	case look == foreign:
		return false, fmt.Errorf("%s: %w", c.words, errForeign)
	case c.state == "" && (c.shared || !r.plan.bound):
		return false, fmt.Errorf("%s: %w", c.words, errWhose)
	}
	c.seen = r.session()
	return true, nil
}

// maybeOurs says whether a thing may be there. Of one that the journal does not speak of the router
// is asked.
func (r *router) maybeOurs(ctx context.Context, c *change) bool {
	if c.state != "" {
		return true
	}
	there, err := r.isOurs(ctx, c)
	return there || err != nil && reasonOf(err) != ReasonForeign
}

// readBack looks whether a thing that was removed is gone. A router that does not show it is taken
// at its word.
func (r *router) readBack(ctx context.Context, c *change) error {
	if len(c.shows) == 0 { // what stop answers is what show would
		return nil
	}
	there, err := c.look(r, ctx, c, 1)
	switch {
	case err != nil && refusalOf(err) == nil:
		return err
	case err == nil && (there == whole || there == partial):
		return errStillThere
	}
	return nil
}

// markGone records that a change was taken back. A journal that cannot be written any more does not
// undo that: a later clean looks, and finds nothing.
func (r *router) markGone(c *change, removed bool) {
	if removed && c.kind != kindActive { // it goes with its capture point
		r.u.tookBack(r.leftover(c.thing, "", nil))
	}
	if c.state == "" && !removed { // it never was
		c.state = bundle.Void
		return
	}
	if err := r.mark(c, bundle.Gone); err != nil {
		c.state = bundle.Gone
		r.note(PhaseClean, "%v", err)
	}
}

// remaining lists what is, or may be, on the router still, for a reason that holds for all of it.
func (r *router) remaining(reason string) []Leftover {
	var kept []Leftover
	for _, c := range r.changes {
		switch {
		case !c.open():
		case c.state == "":
			kept = append(kept, r.leftover(c.thing, ReasonUnknown, nil))
		default:
			kept = append(kept, r.leftover(c.thing, reason, nil))
		}
	}
	return kept
}
