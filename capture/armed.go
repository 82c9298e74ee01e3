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

// Arming makes a run a flight recorder: its captures run in circular buffers until something
// happens to the tunnel, and a little longer.
type Arming struct {
	On    []string      `json:"on"`       // the events that end the wait, by their kinds
	After time.Duration `json:"after_ns"` // how long the captures go on after one
	For   time.Duration `json:"for_ns"`   // how long one is waited for
}

// The kinds of events that a run finds out by itself, as it asks its routers. Others are told to
// it, by their own names.
const (
	EventLost   = "lost"               // the tunnel was up on a router, and is not any more
	EventFailed = "negotiation-failed" // a negotiation came to nothing
	EventUp     = "sa-up"              // the tunnel came up
	EventRekey  = "rekey"              // another IKE SA took the place of the one before
	EventReload = "reload"             // a router lost its capture and the packets in it: mostly it was restarted
)

// ArmedEvents lists the kinds of events that a run finds out by itself.
func ArmedEvents() []string {
	return []string{EventLost, EventReload, EventFailed, EventUp, EventRekey}
}

// The bounds of an armed run. IOS XE takes a capture's duration up to a million seconds (`limit
// duration ?`).
const (
	MaxArmed      = 1_000_000*time.Second - MaxAfter - armedSlack
	MaxAfter      = 10 * time.Minute
	armedSlack    = 10 * time.Minute // that the routers stop by themselves after the run should have
	armedPoll     = 15 * time.Second
	armedLoad     = 10 * time.Minute
	armedGrace    = 500 * time.Millisecond // what a look under way gets when the wait ends
	nearlyFull    = 80                     // per cent of the packets after which a router ends a capture by itself
	rekeyedByLife = 70                     // per cent of its life after which an IKE SA is replaced as planned
)

// Duration is after how long the routers of a run that is armed so are to stop by themselves, in
// case nobody comes back.
func (a Arming) Duration() time.Duration { return (a.For + a.After + armedSlack).Truncate(time.Second) }

func (a *Arming) check(s Settings) error {
	switch {
	case a == nil:
		return nil
	case a.For < time.Second || a.For > MaxArmed:
		return fmt.Errorf("armed for %s: want 1s to %s", a.For, MaxArmed)
	case a.After < 0 || a.After > MaxAfter:
		return fmt.Errorf("armed, %s after an event: want 0s to %s", a.After, MaxAfter)
	case len(a.On) == 0:
		return errors.New("armed: want the kind of an event at least")
	case s.Trigger != "" || s.Until.Kind != UntilNothing || s.Keep || s.Debug || s.ControlPlane:
		return errors.New("an armed run waits for an event: no trigger, no other end of the wait, no debug, no capture at " +
			"the control plane and nothing kept")
	}
	return nil
}

// Arm is how an armed run works together with whoever armed it. All of it may be left out.
type Arm struct {
	Ready     func()                  // is called when both captures run
	Events    <-chan bundle.Catch     // what others say of the tunnel
	Relieve   <-chan struct{}         // closed: another run has taken over, or nobody wants this one: it is taken back
	Renew     func(why string)        // asks for another run to take over soon; nil: there is none, and the run ends
	Takes     func(bundle.Catch) bool // says whether an event is this run's; nil: each is
	Beside    []string                // capture points of the same watch, which count as one with this run
	Poll      time.Duration           // between two looks; 15 s when zero
	LoadEvery time.Duration           // between two looks at the load of a router; 10 minutes when zero
}

// Ending says how the wait of an armed run ended.
type Ending string

// The endings. After the first two the captures are fetched, after the others they are thrown away.
const (
	EndEvent    Ending = "event"
	EndStopped  Ending = "stopped"  // somebody asked for the packets
	EndRelieved Ending = "relieved" // another run took over, or nobody wants it any more
	EndOver     Ending = "over"     // no event came in time
	EndBusy     Ending = "busy"     // a router has too much to do
	EndSpent    Ending = "spent"    // a router ended its capture by itself, or is about to
	EndGone     Ending = "gone"     // a router lost its capture
)

// Collects says whether the captures are fetched after it.
func (e Ending) Collects() bool { return e == EndEvent || e == EndStopped }

// glance is what one look at a router of an armed run found. What is empty was not.
type glance struct {
	side         Side
	catch        *bundle.Catch
	busy         string
	spent, ended string // it is about to end by itself, or has
	gone         string
}

// guard looks after one router of an armed run.
type guard struct {
	r        *router
	side     int // of the run's two
	poll     time.Duration
	load     time.Duration
	nextLoad time.Time
	misses   int       // looks in a row that were not answered
	away     time.Time // since when it is said not to answer; zero: it does
	recorded time.Time // when a look was, last
	tunnel   tunnelLife
	brief    *briefAttempts // of both guards; nil: failed negotiations are not waited for
	told     struct{ gone, spent, ended, blind, uncounted bool }
}

// stand looks again and again, until quit is closed.
func (g *guard) stand(ctx context.Context, quit <-chan struct{}, out chan<- glance) {
	for wait := time.Duration(0); ; {
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-quit:
			t.Stop()
			return
		}
		began := time.Now()
		recorded := g.record()
		seen, interesting := g.look(ctx)
		recorded(interesting || g.misses > 0)
		if interesting {
			select {
			case out <- seen:
			case <-quit:
				return
			}
		}
		wait = max(g.poll-time.Since(began), g.poll/10)
		switch {
		case g.misses == 1: // a session that was ended for idleness, most of the time: another one is opened
			wait = g.r.u.o.Retry
		case g.misses > 1:
			wait = max(wait, min(time.Since(g.away)/4, time.Minute)) // each attempt opens a session
		}
	}
}

// record has a look left out of the transcript that found nothing: of those, one an hour is in it.
func (g *guard) record() (end func(interesting bool)) {
	h, ok := g.r.host.(interface{ Hold() func(keep bool) })
	if !ok {
		return func(bool) {}
	}
	release := h.Hold()
	return func(interesting bool) {
		due := time.Since(g.recorded) >= time.Hour
		if release(interesting || due); due && g.misses == 0 {
			g.recorded = time.Now()
		}
	}
}

// look looks once. What does not answer is told of once, and is there again some time, or is not.
func (g *guard) look(ctx context.Context) (seen glance, interesting bool) {
	r := g.r
	seen.side = r.side
	r.talk.forget()
	loadDue := !time.Now().Before(g.nextLoad)
	r.ask(ctx, g.commands(loadDue))
	defer func() { r.answers = nil }()
	c, err := r.capture(ctx, 1)
	if err != nil {
		g.lost(ctx, err)
		return seen, false
	}
	if c == nil {
		if g.told.gone {
			return seen, false
		}
		r.answers = nil
		g.told.gone = true
		seen.gone = g.whyGone(ctx)
		return seen, true
	}
	g.found()
	var now tally
	seen.ended, seen.spent = g.fill(ctx, c, &now)
	if loadDue {
		seen.busy = g.busy(ctx)
	}
	g.count(ctx, &now) // before the tables: what is counted by then, and in none of them, is over
	if v, err := g.view(ctx); err != nil {
		g.lost(ctx, err)
	} else {
		seen.catch = g.event(v, now)
	}
	r.unlisted = true
	return seen, seen.catch != nil || seen.busy != "" || seen.ended != "" || seen.spent != ""
}

// event is what happened to the tunnel since the look before; nil: nothing did. What whoever arms
// should know is noted.
func (g *guard) event(v tunnelView, counted tally) *bundle.Catch {
	r := g.r
	counted.stands = v.stands()
	failed := g.brief.saw(g.side, counted)
	if v.blind {
		if !g.told.blind {
			g.told.blind = true
			r.u.tell(r.side, r.plan.Endpoint.Name+": it refuses every show that tells of the tunnel: what becomes of that is "+
				"not seen on it")
		}
		return nil
	}
	kind, text := g.tunnel.see(v, g.poll)
	if kind == "" && failed {
		kind, text = EventFailed, fmt.Sprintf("a negotiation with %s came up and was lost again, or came to nothing "+
			"between two looks: both counted its messages, and neither has an SA of it", g.tunnel.peer)
	}
	if kind == "" {
		if text != "" {
			r.note(PhaseWait, "%s", text)
		}
		return nil
	}
	return &bundle.Catch{At: time.Now(), Kind: kind, Side: r.side, Text: r.plan.Endpoint.Name + ": " + text}
}

func (g *guard) commands(load bool) []iosxe.Command {
	r := g.r
	all := []iosxe.Command{iosxe.ShowCapture(r.plan.Name), iosxe.ShowBuffer(r.plan.Name)}
	if g.counts() {
		all = append(all, iosxe.ShowIKEv2Exchanges())
	}
	all = append(all, r.plan.guardShows()...)
	if load {
		all = append(all, iosxe.ShowCPU())
	}
	return all
}

// guardShows lists what tells how the tunnel is.
func (p *SidePlan) guardShows() []iosxe.Command {
	return slices.Concat(p.aboutPeer(iosxe.ShowCryptoSession), p.aboutPeer(iosxe.ShowIKEv2SA),
		[]iosxe.Command{iosxe.ShowISAKMPSA()})
}

// counts says whether what IKE counts is looked at: of a tunnel that is up, no negotiation of its
// own can fail unseen.
func (g *guard) counts() bool { return g.brief != nil && g.tunnel.was == down && !g.told.uncounted }

// count notes how many negotiations IKE began, with everybody. A router that does not say it once
// is not asked again.
func (g *guard) count(ctx context.Context, t *tally) {
	if !g.counts() {
		return
	}
	out, err := g.r.exec(ctx, iosxe.ShowIKEv2Exchanges())
	if err != nil && refusalOf(err) == nil {
		return // of a router that is away, the next question says so
	}
	for _, c := range iosxe.ParseExchanges(out) {
		if c.Name == "IKE_SA_INIT" {
			t.inits, t.counts = c, true
		}
	}
	if !t.counts {
		g.told.uncounted = true
		g.r.u.tell(g.r.side, g.r.plan.Endpoint.Name+": it does not show how many messages of IKEv2 it counted: unless the "+
			"other router does, a negotiation that fails between two looks is not seen")
	}
}

func (g *guard) lost(ctx context.Context, err error) {
	if g.misses++; ctx.Err() != nil || g.misses != 2 {
		return
	}
	g.away = time.Now()
	g.brief.saw(g.side, tally{})
	g.r.u.tell(g.r.side,
		fmt.Sprintf("%s does not answer: it is not given up while the run is armed; its capture goes on, if it does (%s)",
			g.r.plan.Endpoint.Name, g.r.withoutName(err)))
}

func (g *guard) found() {
	g.misses = 0
	if g.away.IsZero() {
		return
	}
	g.r.u.tell(g.r.side, fmt.Sprintf("%s answers again, after %s", g.r.plan.Endpoint.Name,
		time.Since(g.away).Round(time.Second)))
	g.away = time.Time{}
}

// whyGone finds out why the capture point is not there any more. What a router does not say by
// `show redundancy`, such as that it was reloaded within the first minute, its uptime may.
func (g *guard) whyGone(ctx context.Context) string {
	r := g.r
	since := time.Since(r.u.started)
	why := r.whyGone(ctx, since)
	if why == pointGone {
		out, err := r.exec(ctx, iosxe.ShowVersion())
		// The uptime is shown in whole minutes, and not at all in the first.
		if v, parseErr := iosxe.ParseVersion(out); err == nil && parseErr == nil && v.Uptime < since {
			why = "the capture point is gone: the router was reloaded while it captured"
		}
	}
	return r.plan.Endpoint.Name + ": " + why + "; the packets in it went with it"
}

// fill says whether the capture ended by itself, or will soon, and notes what is in it.
func (g *guard) fill(ctx context.Context, c *iosxe.Capture, t *tally) (ended, spent string) {
	r := g.r
	if !c.Active {
		if !g.told.ended {
			g.told.ended = true
			ended = r.plan.Endpoint.Name + ": its capture ended by itself, at a limit"
		}
		return ended, ""
	}
	out, err := r.exec(ctx, iosxe.ShowBuffer(r.plan.Name))
	if err != nil {
		return "", ""
	}
	b, err := iosxe.ParseBuffer(out)
	if err != nil {
		return "", ""
	}
	t.packets, t.read = b.Packets, true
	r.u.o.Events(Event{Side: r.side, Phase: PhaseWait, Kind: Packets, Count: b.Packets})
	if b.Packets*100 >= r.plan.settings.Packets*nearlyFull && !g.told.spent {
		g.told.spent = true
		spent = fmt.Sprintf("%s: %d packets are captured, and its capture ends at %d", r.plan.Endpoint.Name, b.Packets,
			r.plan.settings.Packets)
	}
	return "", spent
}

// busy says that the router has too much to do to be captured on. What cannot be read says nothing.
func (g *guard) busy(ctx context.Context) string {
	r := g.r
	out, err := r.exec(ctx, iosxe.ShowCPU())
	if err != nil {
		return ""
	}
	g.nextLoad = time.Now().Add(g.load)
	cpu, err := iosxe.ParseCPU(out)
	if limit := r.limits().MaxCPU; err == nil && cpu.FiveMinutes > limit {
		return fmt.Sprintf("%s: CPU %d%% over five minutes, the limit is %d%%", r.plan.Endpoint.Name, cpu.FiveMinutes, limit)
	}
	return ""
}

// view asks for the state of the tunnel. A show that the router refuses shows nothing.
func (g *guard) view(ctx context.Context) (v tunnelView, err error) {
	r := g.r
	v.blind = true
	for _, cmd := range r.plan.guardShows() {
		out, err := r.exec(ctx, cmd)
		if refusalOf(err) != nil {
			continue
		}
		if err != nil {
			return v, err
		}
		v.blind = false
		switch {
		case strings.HasPrefix(cmd.Name, "show-crypto-session"):
			v.sessions = append(v.sessions, r.plan.sessions(out)...)
		default:
			v.sas = append(v.sas,
				slices.DeleteFunc(parseSAs(cmd, out), func(sa iosxe.IKESA) bool { return !r.withPeer(sa) || sa.Deleted() })...)
		}
	}
	return v, nil
}

// tell is note for what may happen again: it is shown each time, and kept with its time.
func (u *runner) tell(side Side, text string) {
	text = time.Now().UTC().Format("2006-01-02 15:04:05Z ") + iosxe.Printable(text)
	u.note(side, PhaseWait, text)
}

// armed waits for an event, and as much longer as was asked for. A router that is away for a while
// is not given up: what it has captured is there when it comes back.
func (u *runner) armed(ctx context.Context) error {
	a := u.o.Arm
	quit, seen := make(chan struct{}), make(chan glance)
	looking, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	var guards []*guard
	var brief *briefAttempts
	if slices.Contains(u.plan.Settings.Armed.On, EventFailed) {
		brief = &briefAttempts{}
	}
	for i, r := range u.sides {
		defer r.talk.excuse()()
		g := &guard{r: r, side: i, poll: a.Poll, load: a.LoadEvery, nextLoad: time.Now().Add(a.LoadEvery)}
		g.brief, g.tunnel.each = brief, brief != nil
		g.tunnel.peer = r.u.plan.Get(r.side.Other()).Endpoint.Name
		guards = append(guards, g)
		wg.Go(func() { g.stand(looking, quit, seen) })
	}
	if a.Ready != nil {
		a.Ready()
	}
	err := u.awaitEvent(ctx, seen)
	close(quit)
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	_ = waitFor(ctx, done, armedGrace)
	stop(errors.New("the wait is over"))
	<-done
	for _, g := range guards {
		g.r.unlisted = false
		u.seenUp = u.seenUp || g.tunnel.wasUp
	}
	return err
}

// awaitEvent decides how the wait ends: u.ended says so afterwards.
func (u *runner) awaitEvent(ctx context.Context, seen <-chan glance) error {
	a, settings := u.o.Arm, u.plan.Settings.Armed
	over := time.NewTimer(time.Until(u.started.Add(settings.For)))
	defer over.Stop()
	var after <-chan time.Time // not nil: the event came
	relieve, events := a.Relieve, a.Events
	asked := time.NewTicker(time.Second)
	defer asked.Stop()
	caught := func(c *bundle.Catch) {
		if c == nil || after != nil {
			return
		}
		if !slices.Contains(settings.On, c.Kind) || a.Takes != nil && !a.Takes(*c) {
			u.tell(c.Side, c.Text+" (not waited for)")
			return
		}
		u.run.Catch = c
		after = time.After(time.Until(c.At.Add(settings.After)))
		u.tell(c.Side, fmt.Sprintf("EVENT %s: %s; both captures end in %s", c.Kind, c.Text, settings.After))
		relieve = nil // it is this run's
		if err := u.save(); err != nil {
			u.note("", PhaseWait, err.Error())
		}
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-after:
			u.ended = EndEvent
			return nil
		case <-u.o.Stop:
			u.ended = EndStopped
			return nil
		case <-asked.C:
			if u.b.StopAsked() {
				u.tell("", "somebody asked for the packets: both captures end")
				u.ended = EndStopped
				return nil
			}
		case <-relieve:
			u.ended = EndRelieved
			return nil
		case <-over.C:
			if after == nil {
				u.ended = EndOver
				return nil
			}
		case c, open := <-events:
			if !open {
				events = nil
				continue
			}
			c.Text = iosxe.Printable(c.Text)
			caught(&c)
		case g := <-seen:
			caught(g.catch)
			if end := u.weigh(g, caught, after != nil); end != "" {
				u.ended = end
				return nil
			}
		}
	}
}

// weigh decides what else a look means: that the run ends, that another is to
// take over, or nothing.
func (u *runner) weigh(g glance, caught func(*bundle.Catch), pending bool) Ending {
	if g.gone != "" {
		if pending {
			u.tell(g.side, g.gone)
			return ""
		}
		c := &bundle.Catch{At: time.Now(), Kind: EventReload, Side: g.side, Text: g.gone}
		if caught(c); u.run.Catch == c {
			return ""
		}
		return EndGone
	}
	if g.busy != "" && !pending {
		u.tell(g.side, g.busy+": disarmed")
		return EndBusy
	}
	why := g.ended + g.spent
	switch {
	case why == "" || pending:
	case u.o.Arm.Renew != nil:
		u.tell(g.side, why+"; another run takes over")
		u.o.Arm.Renew(why)
	case g.ended != "":
		u.tell(g.side, why)
		return EndSpent
	}
	return ""
}
