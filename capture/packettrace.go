package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/moncap/moncap/device/iosxe"
)

// The kinds of things that a packet trace makes, in the order in which they are made.
const (
	kindTraceCondition = "trace-condition"
	kindTrace          = "packet-trace"
	kindTracing        = "conditions-started"
)

// tracePlan is the packet trace of one side.
type tracePlan struct {
	trace      iosxe.PacketTrace
	conditions []iosxe.Command
	off        []iosxe.Command // takes the conditions back
	keep, free iosxe.Command
}

// planTrace makes the commands of the packet trace: of the other side's packets, on the interfaces
// of the capture.
func (p *SidePlan) planTrace(packets int) (err error) {
	t := &tracePlan{trace: iosxe.PacketTrace{Peer: p.Remote, Interfaces: append([]iosxe.Interface{p.Interface}, p.Also...),
		Packets: packets}}
	var errs [4]error
	t.conditions, errs[0] = t.trace.Conditions()
	t.off, errs[1] = t.trace.NoConditions()
	t.keep, errs[2] = t.trace.Keep()
	t.free, errs[3] = t.trace.NoKeep()
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	p.tracing = t
	return nil
}

// traceShows are what shows whether somebody traces packets.
func traceShows() []iosxe.Command {
	return []iosxe.Command{iosxe.ShowConditions(), iosxe.ShowTraceConfiguration()}
}

// traceThings are what the trace makes. None has a name of the run's own: another hand can make the
// same, and one global state is everybody's. So each is looked at before it is taken back, and is
// left where others depend on it.
func (p *SidePlan) traceThings() []thing {
	if p.tracing == nil {
		return nil
	}
	t := p.tracing
	peer := p.Remote.String()
	return []thing{
		{kind: kindTraceCondition, name: peer, words: "platform condition for peer " + peer, undo: t.off,
			shows: []iosxe.Command{iosxe.ShowConditions()}, look: (*router).lookTraceCondition, fleeting: true, shared: true,
			limits: kindTracing},
		{kind: kindTrace, name: peer, words: fmt.Sprintf("packet trace of %d packets", t.trace.Packets),
			undo:  []iosxe.Command{t.free},
			shows: []iosxe.Command{iosxe.ShowTraceConfiguration()}, look: (*router).lookTrace, fleeting: true, shared: true},
		{kind: kindTracing, name: peer, words: "started platform conditions", undo: []iosxe.Command{iosxe.StopConditions()},
			shows: []iosxe.Command{iosxe.ShowConditions()}, look: (*router).lookTracing, fleeting: true, shared: true},
	}
}

// traceSteps are the trace's steps of the plan.
func (p *SidePlan) traceSteps() []Step {
	if p.tracing == nil {
		return nil
	}
	var steps []Step
	for _, c := range traceShows() {
		steps = append(steps, Step{Phase: PhaseDefine, Command: c, Note: "the run ends when somebody traces packets by now"})
	}
	for i, c := range p.tracing.conditions {
		steps = append(steps, Step{Phase: PhaseDefine, Command: c, Undo: p.tracing.off[i : i+1]})
	}
	return append(steps, Step{Phase: PhaseDefine, Command: iosxe.ShowConditions()},
		Step{Phase: PhaseDefine, Command: p.tracing.keep, Undo: []iosxe.Command{p.tracing.free}},
		Step{Phase: PhaseDefine, Command: iosxe.StartConditions(), Undo: []iosxe.Command{iosxe.StopConditions()}})
}

// startTrace has the data plane trace the peer's packets, unless somebody else traces by now.
func (r *router) startTrace(ctx context.Context) error {
	if r.plan.tracing == nil {
		return nil
	}
	if r.open(kindTraceCondition) == nil {
		if err := r.nobodyTraces(ctx); err != nil {
			return err
		}
	}
	for _, m := range []struct {
		kind     string
		commands []iosxe.Command
	}{
		{kindTraceCondition, r.plan.tracing.conditions}, {kindTrace, []iosxe.Command{r.plan.tracing.keep}},
		{kindTracing, []iosxe.Command{iosxe.StartConditions()}},
	} {
		if err := r.make(ctx, m.kind, m.commands, nil); err != nil {
			return err
		}
		if m.kind == kindTraceCondition {
			r.learnRows(ctx)
		}
	}
	return nil
}

// learnRows keeps how the router lists the conditions that were set just now, when there was none
// before: releases may spell them in a way that is not known.
func (r *router) learnRows(ctx context.Context) {
	if c, err := r.conditions(ctx, 1); err == nil && len(c.Rows) == len(r.plan.tracing.conditions) {
		r.ownRows = c.Rows
	}
}

// sortConditions says how many of the conditions are ours, and how many are others'.
func (r *router) sortConditions(c iosxe.Conditions) (own, others int) {
	known := len(c.Rows)
	c.Rows = slices.DeleteFunc(slices.Clone(c.Rows), func(row string) bool { return slices.Contains(r.ownRows, row) })
	known -= len(c.Rows)
	own, others = c.Own(r.plan.tracing.trace)
	return own + known, others
}

// nobodyTraces makes sure that the platform has no condition and no trace: a router has one set of
// them, which is everybody's.
func (r *router) nobodyTraces(ctx context.Context) error {
	c, lines, err := r.traced(ctx, phaseAttempts)
	if err != nil {
		return err
	}
	return r.traceFree(c, lines)
}

// traceIsFree is an error when packets are traced already: what is, as the router says it.
func traceIsFree(c iosxe.Conditions, configuration []string) (what string, err error) {
	const others = "--packet-trace would mix with it, and end it afterwards"
	switch {
	case len(c.Rows) > 0:
		return c.Rows[0], fmt.Errorf("somebody has set platform conditions already (%s): %s", iosxe.Printable(c.Rows[0]),
			others)
	case len(configuration) > 0:
		return configuration[0], fmt.Errorf("somebody has set a packet trace already (%s): %s",
			iosxe.Printable(configuration[0]), others)
	case c.Started:
		return "", fmt.Errorf("somebody has started the platform's conditions already: %s", others)
	}
	return "", nil
}

// traced reads what is traced, by anybody.
func (r *router) traced(ctx context.Context, attempts int) (c iosxe.Conditions, configuration []string, err error) {
	out, err := r.repeatAtMost(ctx, iosxe.ShowConditions(), attempts)
	if err != nil {
		return c, nil, err
	}
	if c, err = iosxe.ParseConditions(out); err != nil {
		return c, nil, fmt.Errorf("`%s`: %w", iosxe.ShowConditions().Lines[0], err)
	}
	if out, err = r.repeatAtMost(ctx, iosxe.ShowTraceConfiguration(), attempts); err != nil {
		return c, nil, err
	}
	return c, iosxe.ParseTraceConfiguration(out), nil
}

func (r *router) conditions(ctx context.Context, attempts int) (iosxe.Conditions, error) {
	out, err := r.repeatAtMost(ctx, iosxe.ShowConditions(), attempts)
	if err != nil {
		return iosxe.Conditions{}, err
	}
	return iosxe.ParseConditions(out)
}

// lookTraceCondition takes rows that it does not recognise for no proof that ours is gone: what
// takes it back names it, and nothing else.
func (r *router) lookTraceCondition(ctx context.Context, made *change, attempts int) (presence, error) {
	c, err := r.conditions(ctx, attempts)
	if err != nil {
		return absent, err
	}
	switch own, others := r.sortConditions(c); {
	case own == 0 && others > 0 && !made.taken:
		return partial, nil
	case own == 0:
		return absent, nil
	case own < len(r.plan.tracing.conditions):
		return partial, nil
	}
	return whole, nil
}

// lookTrace takes a trace that the router does not list for one that may be there, as long as it
// was not taken back: not every release need list it.
func (r *router) lookTrace(ctx context.Context, c *change, attempts int) (presence, error) {
	out, err := r.repeatAtMost(ctx, iosxe.ShowTraceConfiguration(), attempts)
	if err != nil {
		return absent, err
	}
	lines := iosxe.ParseTraceConfiguration(out)
	switch {
	case len(lines) == 0:
		return c.unseen(), nil
	case r.plan.tracing.trace.Configured(lines):
		return whole, nil
	}
	return foreign, nil
}

// lookTracing takes the started state for ours as long as no condition of others applies by it.
func (r *router) lookTracing(ctx context.Context, _ *change, attempts int) (presence, error) {
	c, err := r.conditions(ctx, attempts)
	switch _, others := r.sortConditions(c); {
	case err != nil || !c.Started:
		return absent, err
	case others > 0:
		return foreign, nil
	}
	return whole, nil
}

// endTrace ends the trace when the capture ends, so that it costs the data plane nothing
// while that is fetched. What was traced stays until it is read. Nothing depends on it: the
// clean-up ends it, too.
func (r *router) endTrace(ctx context.Context) {
	c := r.open(kindTracing)
	if c == nil {
		return
	}
	ending, cancel := noLonger(ctx, controlPlanePatience)
	defer cancel()
	if err := r.tryUndo(ending, c, 1); err != nil && ctx.Err() == nil {
		r.note(PhaseStop, "the packet trace goes on until the clean-up: %v", err)
	}
}

// showTraces lists what shows the traced packets.
func (p *SidePlan) showTraces() []iosxe.Command {
	if p.tracing == nil {
		return nil
	}
	return []iosxe.Command{iosxe.ShowTraceSummary(), iosxe.ShowTracedPackets()}
}

// tracing refuses a router on which somebody traces packets.
func (c *checker) tracing(ctx context.Context) error {
	out, ok, err := c.ask(ctx, "packet trace", Refuse, iosxe.ShowConditions())
	if !ok {
		return err
	}
	conditions, err := iosxe.ParseConditions(out)
	if err != nil {
		c.add("packet trace", Refuse, "%v: leave --packet-trace out", err)
		return nil
	}
	out, ok, err = c.ask(ctx, "packet trace", Refuse, iosxe.ShowTraceConfiguration())
	if !ok {
		return err
	}
	if err := c.r.traceFree(conditions, iosxe.ParseTraceConfiguration(out)); err != nil {
		c.add("packet trace", Refuse, "%v", err)
		return nil
	}
	c.free[kindTraceCondition], c.free[kindTrace], c.free[kindTracing] = true, true, true
	c.add("packet trace", OK, "nobody traces packets")
	return nil
}
