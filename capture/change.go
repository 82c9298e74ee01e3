package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

// change is a thing on the router that this run made, or may have made.
type change struct {
	thing
	state bundle.State // empty: the journal does not speak of it
	// adopted says that the bundle names it: this process did not see it being made.
	adopted bool
	// seen is the session in which it was made, or seen to be ours; 0: in none. Only in that one is it
	// removed without a look.
	seen  int
	tried bool // what removes it was sent
	taken bool // and the router answered that
	heard int  // how often the router had answered when the clean-up failed at this first
}

// open says whether the thing may be on the router.
func (c *change) open() bool { return c.state != bundle.Gone && c.state != bundle.Void }

// begin announces a change in the journal, and in the ledger where there is one. Without that it is
// not made.
func (r *router) begin(ctx context.Context, kind string) (*change, error) {
	if c := r.open(kind); c != nil {
		return c, nil
	}
	t, ok := r.plan.thing(kind)
	if !ok {
		return nil, fmt.Errorf("the plan makes no %s", kind)
	}
	c := &change{thing: t}
	if err := r.mark(c, bundle.Intent); err != nil {
		return nil, err
	}
	if err := r.intend(ctx, c); err != nil {
		return nil, errors.Join(&localError{err}, r.mark(c, bundle.Void))
	}
	r.changes = slices.DeleteFunc(r.changes, func(o *change) bool { return o.kind == kind && o.state == "" })
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

// mark writes the state of a change to the journal. The ledger is told what became of it, also when
// that cannot be written here.
func (r *router) mark(c *change, s bundle.State) error {
	e := r.entry(c, s)
	if r.u.o.Ledger != nil && s != bundle.Intent {
		r.u.o.Ledger.Noted(e)
	}
	if err := r.u.b.Record(e); err != nil {
		return err
	}
	c.state = s
	return nil
}

func (r *router) entry(c *change, s bundle.State) bundle.Entry {
	return bundle.Entry{Time: time.Now(), Side: r.side, Peer: r.plan.Endpoint.Name, Kind: c.kind, Name: c.name, State: s}
}

// intend writes a change that is about to be made to the ledger. The bundle is not locked
// meanwhile: the sides do not wait for each other's.
func (r *router) intend(ctx context.Context, c *change) error {
	if r.u.o.Ledger == nil {
		return nil
	}
	return r.u.o.Ledger.Intend(ctx, r.entry(c, bundle.Intent))
}

// made records that the router has the thing, and that this session saw so.
func (r *router) made(c *change) error {
	c.seen = r.session()
	return r.mark(c, bundle.Made)
}

// make makes a thing of the given kind with commands. When the session breaks, the router is looked
// at, and the change is taken for made, or made again. gate is passed after the journal is written;
// it may be nil. looks are asked behind the commands; what they are answered is in r.behind, unless
// something went wrong.
func (r *router) make(ctx context.Context, kind string, commands []iosxe.Command, gate func(context.Context) error,
	looks ...iosxe.Command) error {
	c, err := r.begin(ctx, kind)
	if err != nil {
		return err
	}
	if gate != nil {
		if err := gate(ctx); err != nil {
			return errors.Join(err, r.mark(c, bundle.Void))
		}
	}
	for n := 1; ; n++ {
		err := r.execAll(ctx, commands, looks)
		r.answered = time.Now()
		if err == nil {
			return r.made(c)
		}
		if r.tired(n, phaseAttempts) || !r.worthRepeating(ctx, err) {
			return err
		}
		r.note("", "%s: looked at, and made again where it was missing, after: %v", c.words, err)
		if err := r.pause(ctx, n); err != nil {
			return err
		}
		r.said = ""
		there, err := r.prepareAgain(ctx, c)
		if err != nil {
			return err
		}
		if there {
			return r.made(c)
		}
	}
}

// execAll sends commands that change the router, and looks behind them. Under a name that was
// chosen each command waits for the one before: what a later one makes alone could not be told from
// another hand's.
func (r *router) execAll(ctx context.Context, commands, looks []iosxe.Command) error {
	r.said, r.behind = "", nil
	for ; len(commands) > 1 && !r.plan.bound; commands = commands[1:] {
		if _, err := r.execSome(ctx, commands[:1], nil); err != nil {
			return err
		}
	}
	var err error
	r.behind, err = r.execSome(ctx, commands, looks)
	return err
}

func (r *router) execSome(ctx context.Context, commands, looks []iosxe.Command) (behind []reply, err error) {
	replies, err := r.sendAll(ctx, slices.Concat(commands, looks), func(error) bool { return true })
	if err != nil {
		return nil, err
	}
	for _, a := range replies[:len(commands)] {
		if a.err != nil {
			return nil, a.err
		}
		r.said = strings.TrimSpace(r.said + "\n" + strings.TrimSpace(a.out))
	}
	return replies[len(commands):], nil
}

// prepareAgain looks at what an interrupted change left. A part of it is removed, so that it can be
// made again.
func (r *router) prepareAgain(ctx context.Context, c *change) (made bool, err error) {
	there, err := c.look(r, ctx, c, phaseAttempts)
	switch {
	case err != nil:
		return false, err
	case there == whole:
		return true, nil
	case there == foreign:
		return false, fmt.Errorf("%s is there, and is not what was defined", c.words)
	case there == partial && c.kind != kindActive:
		_, err := r.remove(ctx, c.thing)
		return false, err
	}
	return false, nil
}

// remove sends what takes a thing back. A thing that is not there any more is no error; there says
// whether it was.
func (r *router) remove(ctx context.Context, t thing) (there bool, err error) {
	there = true
	for _, cmd := range t.undo {
		_, err := r.exec(ctx, cmd)
		switch {
		case refusedAs(err, iosxe.Missing), refusedAs(err, iosxe.NotActive):
			there = false
		case err != nil:
			return there, err
		}
	}
	return there, nil
}
