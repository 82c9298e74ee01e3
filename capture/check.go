package capture

import (
	"context"
	"errors"
	"fmt"
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

// Check looks at both routers and changes nothing. What is wrong with a router is in the results; the error says which
// router could not be looked at.
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
	return all, errors.Join(errs...)
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
		return r.remember(ctx)
	}
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
	if err := refusals([]CheckResult{u.compareClocks()}, u); err != nil {
		return &PhaseError{Phase: PhaseCheck, Err: err}
	}
	return nil
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
		c.Level, c.Text = Refuse, fmt.Sprintf("the routers' clocks are %s apart, the limit is %s: their logs would mislead", skew, limit)
	}
	return c
}

// checker collects the items of one router.
type checker struct {
	r       *router
	results []CheckResult
}

func (c *checker) add(item string, level Level, format string, args ...any) {
	c.results = append(c.results, CheckResult{c.r.side, c.r.plan.Endpoint.Name, item, level, fmt.Sprintf(format, args...)})
}

// ask sends a command for an item. A refusal is an item of the given level; ok is false then.
func (c *checker) ask(ctx context.Context, item string, level Level, cmd iosxe.Command) (out string, ok bool, err error) {
	out, err = c.r.repeat(ctx, cmd)
	if refusal := refusalOf(err); refusal != nil {
		c.add(item, level, "%s", refusal.Error())
		return "", false, nil
	}
	return out, err == nil, err
}

// check does the items in an order in which the plainest reason comes first.
func (r *router) check(ctx context.Context) ([]CheckResult, error) {
	c := &checker{r: r}
	items := []func(context.Context) error{c.version, c.clock, c.load, c.memory, c.iface, c.names, c.lines}
	if !r.plan.ACL.IsZero() {
		items = append(items, c.privilege, c.acl)
	}
	switch {
	case r.plan.byDump():
		items = append(items, c.dump)
	case r.plan.Upload == "":
		items = append(items, c.flash, c.scp)
	}
	if len(r.plan.debugOn) > 0 {
		items = append(items, c.debugs)
	}
	for _, item := range items {
		if err := item(ctx); err != nil {
			return c.results, err
		}
	}
	return c.results, nil
}

// checkCommands lists what check asks a router. With an account that can only capture and read, only what that may.
func (p *SidePlan) checkCommands(s Settings) []iosxe.Command {
	commands := []iosxe.Command{iosxe.ShowVersion(), iosxe.ShowClock(), iosxe.ShowCPU(), iosxe.ShowMemory(),
		iosxe.ShowInterfaces(), iosxe.ShowCaptures(), iosxe.ShowUsers(), iosxe.ShowLines()}
	if !p.ACL.IsZero() {
		commands = append(commands, iosxe.ShowPrivilege(), iosxe.ShowACL(p.ACL))
	}
	if !p.File.IsZero() {
		commands = append(commands, iosxe.Dir(), iosxe.ShowSCPServer())
	}
	if s.Debug {
		commands = append(commands, iosxe.ShowDebug())
	}
	return append(commands, p.waitShows()...)
}
