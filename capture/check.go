package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

// Level is how one item of a check came out.
type Level string

// The levels of a check.
const (
	OK     Level = "ok"
	Warn   Level = "warn"   // a run goes on, and its report says so
	Refuse Level = "refuse" // a run is not begun
)

// CheckResult is one item of a check.
type CheckResult struct {
	Side  Side // empty: it concerns both
	Peer  string
	Item  string
	Level Level
	Text  string
}

// Check looks at both routers and changes nothing. What is wrong with a router is in the results;
// the error says which router could not be looked at.
func Check(ctx context.Context, p *Plan, h Hosts, o Options) ([]CheckResult, error) {
	u := newRunner(p, h, nil, o, &bundle.Run{})
	results := make([][]CheckResult, len(u.sides))
	errs := make([]error, len(u.sides))
	limit := u.o.timeout(PhaseCheck)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %s", limit))
	defer cancel()
	var wg sync.WaitGroup
	for i, r := range u.sides {
		wg.Go(func() {
			results[i], errs[i] = r.check(ctx)
			errs[i] = u.blame(PhaseCheck, r, errs[i])
		})
	}
	wg.Wait()
	all := append(results[0], results[1]...)
	if errors.Join(errs...) == nil {
		all = append(all, u.compareClocks())
	}
	return append(all, u.checkHere(o.Folder)), errors.Join(errs...)
}

// checkPhase is check as a phase: what it refuses is an error, what it warns of is noted.
func (r *router) checkPhase(ctx context.Context) error {
	results, err := r.check(ctx)
	if err != nil {
		return err
	}
	if err := refusals(results, r.u); err != nil {
		return err
	}
	if len(r.plan.waitShows()) > 0 {
		if err := r.remember(ctx); err != nil {
			return err
		}
	}
	r.countDrops(ctx)
	return nil
}

func refusals(results []CheckResult, u *runner) error {
	var refused []string
	for _, c := range results {
		switch c.Level {
		case Refuse:
			refused = append(refused, c.Item+": "+c.Text)
		case Warn:
			u.note(c.Side, PhaseCheck, strings.TrimPrefix(c.Peer+": "+c.Item+": "+c.Text, ": "))
		}
	}
	if len(refused) > 0 {
		return errors.New(strings.Join(refused, "; "))
	}
	return nil
}

// checkTogether compares what only both sides together can tell.
func (u *runner) checkTogether() error {
	if err := refusals([]CheckResult{u.compareClocks(), u.checkHere(u.b.Dir())}, u); err != nil {
		return &PhaseError{Phase: PhaseCheck, Err: err}
	}
	return nil
}

// checkHere looks whether this machine has room for both captures, in the folder of the bundle or
// of bundles to come.
func (u *runner) checkHere(folder string) CheckResult {
	c := CheckResult{Item: "disk here", Level: OK}
	free, err := bundle.Free(folder)
	need := int64(2*u.plan.Settings.BufferMB+1) << 20
	switch {
	case err != nil:
		c.Level, c.Text = Refuse, err.Error()
	case free < 0:
		c.Text = "files can be written"
	case free < need:
		c.Level, c.Text = Refuse, fmt.Sprintf("%d MB free in %s, %d MB needed for two full buffers", free>>20, folder,
			need>>20)
	default:
		c.Text = fmt.Sprintf("%d MB free", free>>20)
	}
	return c
}

func (u *runner) compareClocks() CheckResult {
	c := CheckResult{Item: "clocks", Level: OK}
	a, b := u.run.A.ClockMS, u.run.B.ClockMS
	if a == nil || b == nil {
		c.Level, c.Text = Warn, "the routers' clocks could not be compared"
		return c
	}
	skew := time.Duration((*b - *a) * float64(time.Millisecond)).Abs().Round(time.Millisecond)
	c.Text = fmt.Sprintf("%s apart", skew)
	if limit := u.plan.Settings.MaxClockSkew; skew > limit {
		c.Level, c.Text = Refuse, fmt.Sprintf("the routers' clocks are %s apart, the limit is %s: their logs would mislead",
			skew, limit)
	}
	return c
}

// checker collects the items of one router.
type checker struct {
	r       *router
	results []CheckResult
	replies map[string]reply // by what was typed, of the shows that were asked ahead
	free    map[string]bool  // the kinds of things whose names were seen to be free
	probed  chan error       // what the SCP server says, asked beside the shows; nil: it is not
	met     bool             // it is kept who the router is
	silent  int              // shows that the router did not answer
}

// refused says whether the router is refused already, so that nothing more is typed at
// it than a question.
func (c *checker) refused() bool {
	return slices.ContainsFunc(c.results, func(r CheckResult) bool { return r.Level == Refuse })
}

// reply is what came back for a show, and when.
type reply struct {
	out          string
	err          error
	began, ended time.Time
}

func (c *checker) add(item string, level Level, format string, args ...any) {
	c.results = append(c.results, CheckResult{c.r.side, c.r.plan.Endpoint.Name, item, level, fmt.Sprintf(format, args...)})
}

// ask finds the answer to a command for an item. A refusal is an item of the given level; ok is
// false then. So it is when the router does not answer a show that a run can do without, once: a
// second one says that it answers nothing.
func (c *checker) ask(ctx context.Context, item string, level Level,
	cmd iosxe.Command) (out string, ok bool, err error) {
	a := c.reply(ctx, cmd)
	if refusal := refusalOf(a.err); refusal != nil {
		c.add(item, level, "%s", refusal.Error())
		return "", false, nil
	}
	if a.err != nil && level == Warn && ctx.Err() == nil && !lasting(a.err) {
		if c.silent++; c.silent == 1 {
			c.add(item, Warn, "%s could not be read: %v", cmd.Lines[0], a.err)
			return "", false, nil
		}
	}
	return a.out, a.err == nil, a.err
}

// reply is what came back for a show that was asked ahead. One that was not, or whose answer was
// lost, is asked now.
func (c *checker) reply(ctx context.Context, cmd iosxe.Command) reply {
	a, asked := c.replies[cmd.Lines[0]]
	if asked && (a.err == nil || refusalOf(a.err) != nil) {
		return a
	}
	attempts := phaseAttempts
	if asked {
		attempts = 2
	}
	a.began = time.Now()
	a.out, a.err = c.r.repeatAtMost(ctx, cmd, attempts)
	a.ended = time.Now()
	return a
}

// read asks the shows of the check ahead of their items.
func (c *checker) read(ctx context.Context) {
	commands := c.r.plan.checkShows(c.r.plan.settings)
	began, lost := time.Now(), 0
	reading, enough := context.WithCancel(ctx)
	defer enough()
	c.r.askAll(reading, commands, func(i int, out string, err error) {
		ended := time.Now()
		if err != nil && refusalOf(err) == nil {
			if lost++; lost == mostUnanswered { // their items ask again, and say what is wrong
				enough()
			}
		}
		c.replies[commands[i].Lines[0]] = reply{out, err, began, ended}
		if commands[i].Equal(iosxe.ShowVersion()) && (err == nil || refusalOf(err) != nil) {
			c.meet(out) // before anything is asked in another session, which may be another router's
		}
		began = ended
	})
}

// check does the items in an order in which the plainest reason comes first. The SCP server is
// asked beside the shows.
func (r *router) check(ctx context.Context) ([]CheckResult, error) {
	c := &checker{r: r, replies: map[string]reply{}, free: map[string]bool{}}
	beside, end := context.WithCancel(ctx)
	defer c.settle()
	defer end()
	c.probe(beside)
	if err := c.open(ctx); err != nil {
		return c.results, err // whoever does not answer at all is not asked more
	}
	c.read(ctx)
	c.pager() // after the shows, whose answers it would have broken up
	items := []func(context.Context) error{c.version, c.clock, c.load, c.memory, c.iface, c.names, c.lines}
	if !r.plan.ACL.IsZero() {
		items = append(items, c.privilege, c.acl)
	}
	if !r.plan.File.IsZero() {
		items = append(items, c.flash)
	}
	if len(r.plan.debugOn) > 0 {
		items = append(items, c.debugs)
	}
	if r.plan.tracing != nil {
		items = append(items, c.tracing)
	}
	items = append(items, c.undo)
	switch {
	case r.plan.byDump():
		items = append(items, c.dump)
	case r.plan.Upload == "":
		items = append(items, c.scp)
	}
	for _, item := range items {
		if err := item(ctx); err != nil {
			return c.results, err
		}
	}
	return c.results, nil
}

// checkShows lists what check asks a router. With an account that can only capture and read, only
// what that may. The clock is the first, so that the time between its question and its answer is
// its own.
func (p *SidePlan) checkShows(s Settings) []iosxe.Command {
	commands := []iosxe.Command{iosxe.ShowClock(), iosxe.ShowVersion(), iosxe.ShowCPU(), iosxe.ShowMemory(),
		iosxe.ShowInterfaces(), iosxe.ShowCaptures(), iosxe.ShowUsers(), iosxe.ShowLines()}
	if !p.ACL.IsZero() {
		commands = append(commands, iosxe.ShowPrivilege(), iosxe.ShowACL(p.ACL))
	}
	if !p.File.IsZero() {
		commands = append(commands, iosxe.Dir())
	}
	if s.Debug {
		commands = append(commands, iosxe.ShowDebug())
	}
	if p.tracing != nil {
		commands = append(commands, traceShows()...)
	}
	return append(commands, p.waitShows()...)
}

// proofs are what check types to find out whether the account may clean up: what would take back
// each thing whose name was seen to be free, so that it takes back nothing.
func (p *SidePlan) proofs() []thing {
	var all []thing
	if !p.File.IsZero() {
		all = append(all, p.file())
	}
	all = append(all, p.capturePoint())
	if !p.ACL.IsZero() {
		all = append(all, p.acl())
	}
	if len(p.debugOn) > 0 {
		all = append(all, p.debug(), p.condition())
	}
	things := p.traceThings()
	slices.Reverse(things)
	return append(all, things...)
}
