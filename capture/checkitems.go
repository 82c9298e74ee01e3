package capture

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/internal/lazyregexp"
)

func (c *checker) version(ctx context.Context) error {
	out, ok, err := c.ask(ctx, "version", Warn, iosxe.ShowVersion())
	if err != nil {
		return err
	}
	if ok {
		c.r.keepShow(iosxe.ShowVersion(), out)
	}
	late := !c.met
	v, err := c.meet(out)
	if late { // what was asked before may have been answered by another router, as long as nobody said who answered
		clear(c.replies)
	}
	if err != nil {
		if ok {
			c.add("version", Warn, "%v", err)
		}
		return nil
	}
	want := c.r.plan.Endpoint.ExpectHostname
	switch err := v.CaptureSupport(); {
	case want != "" && !strings.EqualFold(want, v.Hostname):
		c.add("hostname", Refuse, "the router calls itself %q, the inventory expects %q", v.Hostname, want)
	case err != nil:
		c.add("platform", Refuse, "%v", err)
	case c.unsupported(v) != nil:
		c.add("platform", Refuse, "%v", c.unsupported(v))
	case !v.KnownRouter():
		c.add("platform", Warn, "%s, IOS XE %s: not a model that moncap was tried with", v.Model, v.Software)
	default:
		c.add("platform", OK, "%s, %s, IOS XE %s", v.Hostname, v.Model, v.Software)
	}
	return c.mode(ctx, v)
}

// unsupported says on which of the interfaces the release does not capture; nil: on none.
func (c *checker) unsupported(v iosxe.Version) error {
	for _, i := range append([]iosxe.Interface{c.r.plan.Interface}, c.r.plan.Also...) {
		if err := v.InterfaceSupport(i); err != nil {
			return err
		}
	}
	return nil
}

// meet keeps who the router is, by its version.
func (c *checker) meet(version string) (iosxe.Version, error) {
	v, err := iosxe.ParseVersion(version)
	if !c.met {
		c.met = true
		c.r.meet(v)
	}
	return v, err
}

// open opens the session, as soon as the router has a terminal line for it. With a host that cannot
// be told to, that is the first show's.
func (c *checker) open(ctx context.Context) error {
	for n := 1; ; n++ {
		err := c.r.onceThereIsALine(ctx, func() error { return c.r.talk.Open(ctx) })
		if err == nil || !c.r.worthRepeating(ctx, err) || c.r.tired(n, phaseAttempts) {
			return err
		}
		if err := c.r.pause(ctx, n); err != nil {
			return err
		}
	}
}

// pager warns of a session whose pager could not be turned off.
func (c *checker) pager() {
	if h, ok := c.r.host.(interface{ Paged() bool }); ok && h.Paged() {
		c.add("pager", Warn,
			"it stays on, as `terminal length 0` has no effect: every screenful takes a turn; let the account do it")
	}
}

// mode refuses a router whose configuration is its controller's: an access list cannot be put into
// it from here.
func (c *checker) mode(ctx context.Context, v iosxe.Version) error {
	if c.r.plan.ACL.IsZero() {
		return nil
	}
	controlled := v.Controlled()
	if v.Mode == "" && v.MayBeSDWAN() {
		a := c.reply(ctx, iosxe.ShowSDWAN())
		if a.err != nil && refusalOf(a.err) == nil {
			return a.err
		}
		controlled = a.err == nil && strings.TrimSpace(a.out) != ""
	}
	if controlled {
		c.add("mode", Refuse,
			"a controller configures the router (SD-WAN), so it takes no access list from here: use --zero-config")
	}
	return nil
}

func (c *checker) clock(ctx context.Context) error {
	a := c.reply(ctx, iosxe.ShowClock())
	if dir, asked := c.replies[iosxe.Dir().Lines[0]]; asked && dir.err == nil {
		c.r.learnOffset(dir.out)
	}
	if a.err != nil && refusalOf(a.err) == nil {
		return a.err
	}
	clock, err := iosxe.ParseClock(a.out)
	if a.err != nil {
		err = a.err
	}
	if err != nil {
		c.add("clock", Warn, "%v", err)
		return nil
	}
	c.r.keepClock(clock, a.began, a.ended)
	switch {
	case c.tooFar():
		c.add("clock", Refuse, "%.0f ms from ours, the limit is %s", *c.r.info.ClockMS, c.r.plan.Endpoint.Limits.MaxSkew)
	case c.r.info.ClockNote != "":
		c.add("clock", Warn, "%.0f ms from ours; %s", *c.r.info.ClockMS, c.r.info.ClockNote)
	default:
		c.add("clock", OK, "%.0f ms from ours", *c.r.info.ClockMS)
	}
	return nil
}

func (c *checker) tooFar() bool {
	limit := c.r.plan.Endpoint.Limits.MaxSkew
	skew := time.Duration(*c.r.info.ClockMS * float64(time.Millisecond)).Abs()
	return limit > 0 && skew > limit
}

func (r *router) limits() Limits {
	l, d := r.plan.Endpoint.Limits, DefaultLimits()
	if l.MaxCPU == 0 {
		l.MaxCPU = d.MaxCPU
	}
	if l.MaxMemory == 0 {
		l.MaxMemory = d.MaxMemory
	}
	if l.MinFreeMB == 0 {
		l.MinFreeMB = d.MinFreeMB
	}
	return l
}

func (c *checker) load(ctx context.Context) error {
	out, ok, err := c.ask(ctx, "cpu", Warn, iosxe.ShowCPU())
	if !ok {
		return err
	}
	cpu, err := iosxe.ParseCPU(out)
	limit := c.r.limits().MaxCPU
	switch {
	case err != nil:
		c.add("cpu", Warn, "%v", err)
	case cpu.FiveMinutes > limit:
		c.add("cpu", Refuse, "%d%% over five minutes, the limit is %d%%", cpu.FiveMinutes, limit)
	default:
		c.add("cpu", OK, "%d%% over five minutes", cpu.FiveMinutes)
	}
	return nil
}

func (c *checker) memory(ctx context.Context) error {
	out, ok, err := c.ask(ctx, "memory", Warn, iosxe.ShowMemory())
	if !ok {
		return err
	}
	m, err := iosxe.ParseMemory(out)
	if err != nil || m.Total <= 0 {
		c.add("memory", Warn, "it could not be read: %v", err)
		return nil
	}
	used, limit := int(m.Used*100/m.Total), c.r.limits().MaxMemory
	switch {
	case used > limit:
		c.add("memory", Refuse, "%d%% in use, the limit is %d%%", used, limit)
	case m.Free < int64(c.r.plan.settings.BufferMB)<<20:
		c.add("memory", Refuse, "%d MB free, the buffer takes %d MB", m.Free>>20, c.r.plan.settings.BufferMB)
	default:
		c.add("memory", OK, "%d%% in use", used)
	}
	return nil
}

func (c *checker) iface(ctx context.Context) error {
	out, ok, err := c.ask(ctx, "interface", Warn, iosxe.ShowInterfaces())
	if !ok {
		return err
	}
	all, err := iosxe.ParseInterfaces(out)
	if err != nil {
		c.add("interface", Warn, "%v", err)
		return nil
	}
	for _, i := range c.r.plan.Also {
		switch state := stateOf(i, all); {
		case state == nil:
			c.add("interface", Refuse, "%s does not exist; there are: %s", i, interfaceNames(all))
		case !state.Up(): // the other way may be up
			c.add("interface", Warn, "%s is %s, line protocol %s", state.Name, state.Status, state.Protocol)
		}
	}
	if state := stateOf(c.r.plan.Interface, all); state != nil {
		c.interfaceState(*state, all)
		return nil
	}
	c.add("interface", Refuse, "%s does not exist; there are: %s", c.r.plan.Interface, interfaceNames(all))
	return nil
}

// stateOf finds an interface among those that a router lists; nil: it has none of that name.
func stateOf(i iosxe.Interface, all []iosxe.InterfaceState) *iosxe.InterfaceState {
	for n := range all {
		if i.Is(all[n].Name) {
			return &all[n]
		}
	}
	return nil
}

func (c *checker) interfaceState(i iosxe.InterfaceState, all []iosxe.InterfaceState) {
	own := c.r.plan.Endpoint.Address.Unmap()
	other := c.r.u.plan.Get(c.r.side.Other()).Endpoint
	carrier := interfaceWith(own, all)
	switch {
	case !i.Up():
		c.add("interface", Refuse, "%s is %s, line protocol %s", i.Name, i.Status, i.Protocol)
	case i.Address.IsValid() && i.Address == other.Address.Unmap():
		c.add("interface", Refuse,
			"%s has %s, which is the address of %s: the two routers' hosts are swapped in the inventory", i.Name, i.Address,
			other.Name)
	case i.Address != own && carrier != "" && tunnelInterface.Get().MatchString(i.Name):
		c.add("interface", Refuse, "%s carries what is inside of a tunnel; what goes between the two gateways passes %s, "+
			"which has %s: set wan.interface to it", i.Name, carrier, own)
	case i.Address != own && tunnelInterface.Get().MatchString(i.Name):
		c.add("interface", Warn, "%s carries what is inside of a tunnel: name the interface on which %s leaves the router",
			i.Name, own)
	case own.Is4() && i.Address.IsValid() && i.Address != own:
		c.add("interface", Warn, "%s has %s, the inventory says %s", i.Name, i.Address, own)
	default:
		c.add("interface", OK, "%s is up", i.Name)
	}
}

// tunnelInterface matches interfaces on which no packet has the gateways' own addresses.
var tunnelInterface = lazyregexp.New(`(?i)^(?:tunnel|virtual-access|virtual-template)\d`)

// interfaceWith names the interface that has an address; empty when none shows it.
func interfaceWith(a netip.Addr, all []iosxe.InterfaceState) string {
	for _, i := range all {
		if i.Address.IsValid() && i.Address == a {
			return i.Name
		}
	}
	return ""
}

func interfaceNames(all []iosxe.InterfaceState) string {
	var names []string
	for _, i := range all[:min(len(all), 20)] {
		names = append(names, i.Name)
	}
	return strings.Join(names, ", ")
}

// anyRun is what a run calls its capture point unless it was given a name.
var anyRun = lazyregexp.New(`^mc[0-9a-f]{6}$`)

func (c *checker) names(ctx context.Context) error {
	out, ok, err := c.ask(ctx, "capture point", Refuse, iosxe.ShowCaptures())
	if !ok {
		return err
	}
	all, err := iosxe.ParseCaptures(out)
	if err != nil {
		c.add("capture point", Refuse, "%v", err)
		return nil
	}
	level := OK
	c.free[kindCapture] = true
	var ours []string
	for _, other := range all {
		control := c.r.plan.control
		if other.Name == c.r.plan.Name.String() || control != nil && other.Name == control.name.String() {
			c.free[kindCapture] = false
			c.add("capture point", Refuse, "%s exists already; it is not touched: choose another --name", other.Name)
			return nil
		}
		if !other.Active || slices.Contains(c.r.u.o.Arm.Beside, other.Name) {
			continue
		}
		level = Warn
		c.add("capture point", Warn, "another capture runs: %s", other.Name)
		if anyRun.Get().MatchString(other.Name) {
			ours = append(ours, other.Name)
		}
	}
	// Whoever's runs they are, of this machine or another: the router is the one place where all of
	// them show.
	if limit := c.r.plan.Endpoint.Limits.Runs; limit > 0 && len(ours) >= limit {
		verb := "captures"
		if len(ours) > 1 {
			verb = "capture"
		}
		c.add("capture point", Refuse, "%s %s for other runs of moncap, and limits.runs allows %d at a time",
			strings.Join(ours, ", "), verb, limit)
		return nil
	}
	if level == OK {
		c.add("capture point", OK, "%s is free", c.r.plan.Name)
	}
	return nil
}

func (c *checker) acl(ctx context.Context) error {
	out, ok, err := c.ask(ctx, "access list", Refuse, iosxe.ShowACL(c.r.plan.ACL))
	if !ok {
		return err
	}
	for _, l := range iosxe.ParseAccessLists(out) {
		if l.Name == c.r.plan.ACL.String() {
			c.add("access list", Refuse, "%s exists already; it is not touched: choose another --name", l.Name)
			return nil
		}
	}
	c.free[kindACL] = true
	c.add("access list", OK, "%s is free", c.r.plan.ACL)
	return nil
}

func (c *checker) privilege(ctx context.Context) error {
	out, ok, err := c.ask(ctx, "privilege", Warn, iosxe.ShowPrivilege())
	if !ok {
		return err
	}
	level, err := iosxe.ParsePrivilege(out)
	switch {
	case err != nil:
		c.add("privilege", Warn, "%v", err)
	case level < 15:
		c.add("privilege", Refuse, "level %d, an access list needs 15: set enable in the inventory, or use --zero-config",
			level)
	default:
		c.add("privilege", OK, "level %d", level)
	}
	return nil
}

func (c *checker) flash(ctx context.Context) error {
	out, ok, err := c.ask(ctx, "bootflash", Warn, iosxe.Dir())
	if !ok {
		return err
	}
	d, err := iosxe.ParseDir(out)
	if err != nil {
		c.add("bootflash", Warn, "%v", err)
		return nil
	}
	need := c.r.plan.settings.BufferMB + c.r.limits().MinFreeMB
	_, there := d.File(c.r.plan.File.Base())
	there = there || d.Mentions(c.r.plan.File.Base())
	c.free[kindFile] = !there
	switch {
	case there:
		c.add("bootflash", Refuse, "%s exists already; it is not overwritten: choose another --name", c.r.plan.File)
	case d.Free < 0:
		c.add("bootflash", Warn, "the router does not say how much is free")
	case d.Free < int64(need)<<20:
		c.add("bootflash", Refuse, "%d MB free, %d MB needed (the buffer and %d MB to spare)", d.Free>>20, need,
			c.r.limits().MinFreeMB)
	default:
		c.add("bootflash", OK, "%d MB free", d.Free>>20)
	}
	return nil
}

// undo types what would take back each thing that the run makes, while there is nothing that it
// could take back: what the account may not undo is not made.
func (c *checker) undo(ctx context.Context) error {
	if c.refused() {
		return nil
	}
	for _, t := range c.r.plan.proofs() {
		if !c.free[t.kind] {
			return nil // it could not be looked at
		}
	}
	var things []thing
	var all []iosxe.Command
	for _, t := range c.r.plan.proofs() {
		for _, cmd := range t.undo {
			things, all = append(things, t), append(all, cmd)
		}
	}
	if free, err := c.stillFree(ctx); !free {
		return err
	}
	replies, err := c.prove(ctx, all)
	if err != nil {
		return err
	}
	var stay []string
	var first *iosxe.Refusal
	for i, a := range replies {
		if a.err != nil && c.r.worthRepeating(ctx, a.err) {
			_, a.err = c.r.repeat(ctx, all[i])
		}
		refusal := refusalOf(a.err)
		if a.err != nil && refusal == nil {
			return a.err
		}
		if refusal == nil || things[i].provenBy(refusal) {
			continue
		}
		if first == nil {
			first = refusal
		}
		if !slices.Contains(stay, things[i].words) {
			stay = append(stay, things[i].words)
		}
	}
	if first != nil {
		c.add("clean-up", Refuse, "a run could not take back what it would make (%s): %s", strings.Join(stay, ", "), first)
		return nil
	}
	c.add("clean-up", OK, "the account may take back what a run makes")
	return nil
}

// prove sends the proofs and, in the same turn of the line, what crypto counts. A run can do
// without that: it has a limit, behind which the proofs alone are repeated. What was not reached is
// left to countDrops.
func (c *checker) prove(ctx context.Context, proofs []iosxe.Command) ([]reply, error) {
	counts := c.r.toCount(c.r.plan.cryptoCounts())
	if len(counts) == 0 {
		return c.r.sendAll(ctx, proofs, isLost)
	}
	limited, cancel := noLonger(ctx, countLimit)
	defer cancel()
	replies, err := c.r.sendAll(limited, slices.Concat(proofs, counts), isLost)
	if err != nil {
		return nil, err
	}
	for i, a := range replies[len(proofs):] {
		if !errors.Is(a.err, errUnanswered) {
			c.r.takeCount(limited, counts[i], a.out, a.err)
		}
	}
	return replies[:len(proofs)], nil
}

// nothingThere says whether a router refuses because there is nothing to take back.
func nothingThere(r *iosxe.Refusal) bool {
	return r.Kind == iosxe.Missing || missingWords.Get().MatchString(r.Text)
}

// provenBy says whether a router that refuses to take back what is not there would take it back if
// it were. What has no name of the run's own is a state more than a thing: in which words a router
// says that it is not on, nobody has published. There, only what the account may not type counts.
func (t thing) provenBy(r *iosxe.Refusal) bool {
	if t.fleeting {
		return r.Kind != iosxe.Unauthorized && r.Kind != iosxe.InvalidInput
	}
	return nothingThere(r)
}

var missingWords = lazyregexp.New(
	`(?i)not (?:exist|found|defined|configured)|doesn't exist|no such|non-existent|unknown`)

// probe asks the SCP server for the run's file, beside what goes on.
func (c *checker) probe(ctx context.Context) {
	if c.r.plan.byDump() || c.r.plan.Upload != "" {
		return
	}
	c.probed = make(chan error, 1)
	go func() { c.probed <- c.r.talk.ProbeFile(ctx, c.r.plan.source(), true) }()
}

// settle waits until nothing is asked beside the session.
func (c *checker) settle() {
	if c.probed != nil {
		<-c.probed
		c.probed = nil
	}
}

// answer is what the SCP server says. Where there is no room for a connection beside the session,
// the session makes some.
func (c *checker) answer(ctx context.Context) error {
	err := <-c.probed
	c.probed = nil
	var full interface{ NoLine() bool }
	if errors.As(err, &full) && full.NoLine() && ctx.Err() == nil {
		c.r.broken++ // the host may give its session up
		return c.r.talk.ProbeFile(ctx, c.r.plan.source(), false)
	}
	return err
}

// scp reports on the run's file, which does not exist yet: the server's answer proves the server,
// the account's right to use it, a second terminal line and the form of the path. When the file
// cannot be had, the dump has to do, and has its limits.
func (c *checker) scp(ctx context.Context) error {
	if c.refused() {
		return nil
	}
	err := c.answer(ctx)
	switch {
	case err == nil:
		c.add("scp", OK, "the server answers the account, on a connection of its own")
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case refusedAs(err, iosxe.AlreadyThere):
		c.add("scp", Refuse, "%s exists already; it is not overwritten: choose another --name", c.r.plan.File)
		return nil
	}
	c.r.keyChanged(err)
	why := c.r.withoutName(err)
	if refusal := refusalOf(err); refusal != nil {
		why = "the router says: " + refusal.Text
	}
	c.r.dump = "SCP: " + why
	c.add("scp", Warn, "%s: the capture will be rebuilt from `buffer dump`", why)
	return c.dump(ctx)
}

// dump refuses a buffer that would take too long to read without SCP.
func (c *checker) dump(context.Context) error {
	mb, most := c.r.plan.settings.BufferMB, c.r.u.o.MaxDumpMB
	if mb > most {
		c.add("dump", Refuse, "a buffer of %d MB would take about %s to read by `buffer dump`: set buffer_mb to %d or less",
			mb, dumpTakes(mb), most)
		return nil
	}
	c.add("dump", OK, "a full buffer takes about %s to read", dumpTakes(mb))
	return nil
}

// vtyInUse and vtyLine match a terminal line of `show users` and of `show line`.
var (
	vtyInUse = lazyregexp.New(`(?mi)^\*?\s*\d+\s+vty\s+\d+`)
	vtyLine  = lazyregexp.New(`(?mi)^[*AI]?\s*\d+\s+(?:\d+\s+)?VTY\b`)
)

// lines counts the terminal lines: the transfer takes one more than the session has.
func (c *checker) lines(ctx context.Context) error {
	users, ok, err := c.ask(ctx, "vty lines", Warn, iosxe.ShowUsers())
	if !ok {
		return err
	}
	all, ok, err := c.ask(ctx, "vty lines", Warn, iosxe.ShowLines())
	if !ok {
		return err
	}
	used, total := len(vtyInUse.Get().FindAllString(users, -1)), len(vtyLine.Get().FindAllString(all, -1))
	c.r.freeLines = max(total-used, 0)
	switch {
	case total == 0:
		c.add("vty lines", Warn, "their number could not be read")
	case used >= total && !c.r.plan.File.IsZero():
		c.add("vty lines", Warn, "%d of %d in use: none is left for the transfer", used, total)
	default:
		c.add("vty lines", OK, "%d of %d in use", used, total)
	}
	return nil
}

func (c *checker) debugs(ctx context.Context) error {
	out, ok, err := c.ask(ctx, "debug", Refuse, iosxe.ShowDebug())
	if !ok {
		return err
	}
	if err := c.r.debugFree(out); err != nil {
		c.add("debug", Refuse, "%v", err)
		return nil
	}
	c.free[kindDebug], c.free[kindCondition] = true, true
	c.add("debug", OK, "no crypto debug is on")
	return nil
}

// debugIsFree is an error when somebody debugs already, by what `show debug` shows: what is on, as
// the router says it. A heading without a debug below it counts as one.
func debugIsFree(shown string) (what string, err error) {
	for _, line := range iosxe.ParseDebug(shown) {
		heading := what == "" || strings.HasSuffix(what, ":")
		if low := strings.ToLower(line); heading && (strings.Contains(low, "ikev2") || strings.Contains(low, "condition")) {
			what = line
		}
	}
	if what != "" {
		err = fmt.Errorf("somebody debugs already (%s): --debug would end it afterwards", iosxe.Printable(what))
	}
	return what, err
}

// stillFree looks once more whether what is everybody's is nobody's, right before the proofs: they
// would end what somebody began meanwhile.
func (c *checker) stillFree(ctx context.Context) (free bool, err error) {
	if len(c.r.plan.debugOn) > 0 {
		out, err := c.r.repeat(ctx, iosxe.ShowDebug())
		if err != nil {
			return false, err
		}
		if err := c.r.debugFree(out); err != nil {
			c.add("debug", Refuse, "%v", err)
			return false, nil
		}
	}
	if c.r.plan.tracing == nil {
		return true, nil
	}
	conditions, lines, err := c.r.traced(ctx, phaseAttempts)
	if err != nil {
		return false, err
	}
	if err := c.r.traceFree(conditions, lines); err != nil {
		c.add("packet trace", Refuse, "%v", err)
		return false, nil
	}
	return true, nil
}
