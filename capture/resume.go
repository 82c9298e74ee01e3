package capture

import (
	"errors"
	"fmt"
	"slices"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

// NameError says that a bundle's run has a name of somebody's choice. Anything on a router may be
// called so, and a bundle may come from anywhere, so the name has to be given here, too.
type NameError struct{ Bundle, Name string }

func (e *NameError) Error() string {
	return fmt.Sprintf(
		"bundle %s: its run did not take a name of its own, but %q: nothing of that name is touched unasked",
		e.Bundle, iosxe.Printable(e.Name))
}

// Hint says how to go on.
func (e *NameError) Hint() string {
	return "when that is the name that you gave it, say so: --name " + iosxe.Printable(e.Name)
}

// books is what a bundle says of what its run may have left on the routers.
type books struct {
	plan   *Plan
	run    *bundle.Run
	open   []bundle.Change // that the journal has not seen gone
	damage error           // of the journal: it may have said more
	clean  bool            // it is proven that nothing is left
}

// readBooks reads what is needed to go on with a run. name is the one that the
// operator gave, if any.
func readBooks(b *bundle.Bundle, name string) (*books, error) {
	p, err := LoadPlan(b)
	if err != nil {
		return nil, err
	}
	run, err := b.Run()
	if err != nil {
		return nil, err
	}
	for _, s := range bundle.Sides() {
		if peer := run.Router(s).Peer; run.ID != p.RunID || peer != "" && peer != p.Get(s).Endpoint.Name {
			return nil, fmt.Errorf("bundle %s: run.json: the plan is that of another run", b.Dir())
		}
	}
	k := &books{plan: p, run: run}
	k.audit(b)
	if !k.clean && !p.A.bound && p.Settings.Name != name {
		return nil, &NameError{b.Dir(), p.Settings.Name}
	}
	return k, nil
}

// audit finds out what the journal proves.
func (k *books) audit(b *bundle.Bundle) {
	entries, err := b.Journal()
	k.open, k.damage = bundle.OpenChanges(entries), err
	digest, exists, err := b.JournalDigest()
	if err != nil {
		k.damage = errors.Join(k.damage, err)
		return
	}
	began := slices.ContainsFunc(k.run.Phases,
		func(p bundle.Phase) bool { return Phase(p.Name) != PhaseCheck && Phase(p.Name) != PhaseClean })
	switch {
	case len(entries) > 0 || k.damage != nil:
	case began:
		k.damage = fmt.Errorf("bundle %s: its journal is gone", b.Dir())
	case k.run.Ended.IsZero():
		k.damage = fmt.Errorf("bundle %s: it has no journal: its run was ended in its check, or the journal is gone", b.Dir())
	}
	switch {
	case k.run.Proof != "":
		k.clean = k.run.Clean && k.run.Proof == digest
	case !exists && len(k.run.Phases) == 0 && !k.run.Ended.IsZero(): // it ended in its first phase, which changes nothing
		k.clean = true
	default:
		k.clean = k.run.Clean && !k.run.Ended.IsZero() && k.damage == nil && len(k.open) == 0
	}
}

// Outstanding lists what Clean would look for, and remove, as far as the bundle itself says; proven
// says that nothing is left, and that Clean would ask no router. The error is a *DirtyError when
// the bundle does not say what was done.
func Outstanding(b *bundle.Bundle, name string) (left []Leftover, proven bool, err error) {
	u, err := resume(b, Hosts{}, Options{Name: name})
	if err != nil {
		return nil, false, unknown(b, err)
	}
	if u.books.clean {
		return nil, true, nil
	}
	if u.books.damage != nil {
		u.suspect()
	}
	return u.mayBeLeft(), false, nil
}

// resume loads the run of a bundle, to go on with it.
func resume(b *bundle.Bundle, h Hosts, o Options) (*runner, error) {
	k, err := readBooks(b, o.Name)
	if err != nil {
		return nil, err
	}
	u := newRunner(k.plan, h, b, o, k.run)
	u.books = k
	if k.clean {
		return u, nil
	}
	for _, c := range k.open {
		u.adopt(c)
	}
	if k.damage != nil {
		u.note("", "", k.damage.Error())
	}
	// Whoever was killed while it captured has written the moments, and not what is between them.
	if k.run.StartGapMS == 0 && !k.run.A.StartDone.IsZero() && !k.run.B.StartDone.IsZero() {
		u.measureGap()
	}
	return u, nil
}

// dirty is the error of a run that left something.
func (u *runner) dirty(left []Leftover, err error) error {
	d := &DirtyError{Left: left, Bundle: u.b.Dir(), Err: err}
	if !u.plan.A.bound {
		d.Name = u.plan.Settings.Name
	}
	return d
}

// unknown is the error of a bundle that does not say what its run left.
func unknown(b *bundle.Bundle, err error) error {
	if err == nil {
		return nil
	}
	return &DirtyError{Bundle: b.Dir(), Err: err}
}

// adopt takes an open change of the journal over. It is looked at before it is touched. One that
// the plan cannot have made is not touched at all.
func (u *runner) adopt(c bundle.Change) {
	i := slices.IndexFunc(u.sides, func(r *router) bool { return r.side == c.Side })
	if i < 0 {
		return
	}
	r := u.sides[i]
	t, ok := r.plan.thing(c.Kind)
	if !ok || t.name != c.Name {
		u.odd = append(u.odd, Leftover{
			Side: c.Side, Peer: r.plan.Endpoint.Name, What: iosxe.Printable(fmt.Sprintf("%q %q", c.Kind, c.Name)),
			Reason: ReasonJournal,
			Why:    "the journal names it, and this plan does not make it: it is not touched",
		})
		return
	}
	r.changes = append(r.changes, &change{thing: t, state: c.State, adopted: true})
}

// suspect adds everything else that the plan makes to what is looked for: a journal may have lost
// what it knew.
func (u *runner) suspect() {
	for _, r := range u.sides {
		var all []*change
		for _, t := range r.plan.things() {
			i := slices.IndexFunc(r.changes, func(c *change) bool { return c.kind == t.kind && c.open() })
			switch {
			case i >= 0:
				all = append(all, r.changes[i])
			case t.kind != kindActive: // it goes with its capture point
				all = append(all, &change{thing: t, adopted: true})
			}
		}
		r.changes = all
	}
}

// prove writes down with which journal it was found that nothing is left. Without a proof a later
// clean looks again.
func (u *runner) prove() {
	u.run.Proof = ""
	if !u.run.Clean || u.b == nil {
		return
	}
	if digest, _, err := u.b.JournalDigest(); err == nil {
		u.run.Proof = digest
	}
}
