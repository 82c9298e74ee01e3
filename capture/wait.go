package capture

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/moncap/moncap/device/iosxe"
)

// grace is how long a look that is under way when the wait ends may still take.
const grace = 2 * time.Second

// preparedFor is how long a connection for the transfer may wait for it: see Host.Prepare.
const preparedFor = 100 * time.Second

// idleLines is how many terminal lines a router must have free for one of them to be held for the
// transfer ahead of it.
const idleLines = 3

// sighting is what one look at a side's capture found.
type sighting struct {
	seen    bool // the router answered
	active  bool
	packets int
	fresh   int // IKE SAs with the peer that were not there before and are up
	pending int // those that are being negotiated
	idle    int // of the pending, those of IKEv1 that are up, and not known to have child SAs
	old     int // those that were there before and still are
}

// wait watches both captures until the duration is over, both have ended by themselves, or what was
// asked for came to pass. A router that does not answer is asked again later: its capture runs on,
// and is stopped in the next phase.
func (u *runner) wait(ctx context.Context) error {
	deadline := time.NewTimer(time.Until(u.started.Add(u.plan.Settings.Duration)))
	defer deadline.Stop()
	next := time.NewTimer(u.o.Poll)
	defer next.Stop()
	for _, r := range u.sides {
		defer r.talk.excuse()()
	}
	var judge judge
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline.C:
			return nil
		case <-u.o.Stop:
			return nil
		case <-next.C:
		}
		began := time.Now()
		seen, over, err := u.lookUntil(ctx, deadline.C)
		if err == nil && first {
			err = u.running(seen)
		}
		if err != nil || over || judge.over(u.plan.Settings.Until, seen) {
			return err
		}
		next.Reset(max(judge.soon(u.pollEvery())-time.Since(began), 0))
	}
}

// pollEvery is the time between two looks.
func (u *runner) pollEvery() time.Duration {
	if u.plan.Settings.Until.Kind == UntilNothing && u.o.Live == nil {
		return 5 * u.o.Poll
	}
	return u.o.Poll
}

// running finds a capture that ended right after its start, without a packet and before its time:
// the rest of the wait would be for nothing.
func (u *runner) running(seen [2]sighting) error {
	if time.Since(u.started) >= u.plan.Settings.Duration {
		return nil
	}
	var errs []error
	for i, r := range u.sides {
		if s := seen[i]; s.seen && !s.active && s.packets == 0 {
			err := fmt.Errorf("the capture is not active right after its start, and has no packet; the router answered the "+
				"start with %s", quote(r.said))
			errs = append(errs, u.blame(PhaseWait, r, err))
		}
	}
	return errors.Join(errs...)
}

// lookUntil looks at both sides at the same time. When the wait ends meanwhile, the looks get a
// moment to finish, for breaking one off costs the session.
func (u *runner) lookUntil(ctx context.Context, deadline <-chan time.Time) (seen [2]sighting, over bool, err error) {
	looking, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	for i, r := range u.sides {
		wg.Go(func() { seen[i] = r.sight(looking) })
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
		return seen, false, nil
	case <-ctx.Done():
	case <-deadline:
		over = true
	case <-u.o.Stop:
		over = true
	}
	if over {
		_ = waitFor(ctx, done, grace)
	}
	stop(errors.New("the wait is over"))
	<-done
	if ctx.Err() != nil {
		return seen, over, context.Cause(ctx)
	}
	return seen, over, nil
}

func waitFor(ctx context.Context, done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

// prepareEarly logs the transfer's connection in before the wait, if it lasts that long. Of a
// longer wait, or where others may want the line, the transfer is prepared at the end.
func (u *runner) prepareEarly(ctx context.Context) {
	for _, r := range u.sides {
		if u.plan.Settings.Duration <= preparedFor && r.freeLines >= idleLines {
			r.prepare(ctx)
		}
	}
}

// ask sends what one look takes at once, so that its questions find their answers in r.answers.
func (r *router) ask(ctx context.Context, commands []iosxe.Command) {
	replies, err := r.sendAll(ctx, commands, isLost)
	r.answers = map[string]reply{}
	for i, cmd := range commands {
		if r.answers[cmd.Lines[0]] = (reply{err: err}); err == nil {
			r.answers[cmd.Lines[0]] = replies[i]
		}
	}
}

// sight looks at a capture that runs. What goes wrong is only noted: the next look may find the
// router again.
func (r *router) sight(ctx context.Context) (s sighting) {
	began := time.Now()
	if began.Before(r.nextLook) {
		return s
	}
	r.talk.forget() // it may be away for a while, and is not given up for that
	commands := []iosxe.Command{iosxe.ShowBuffer(r.plan.Name), iosxe.ShowCapture(r.plan.Name)}
	if shows := r.plan.waitShows(); len(shows) > 0 {
		commands = append(commands, shows[0]) // the others are asked only of who has none of these
	}
	r.ask(ctx, commands)
	defer func() { r.answers = nil }()
	out, err := r.exec(ctx, iosxe.ShowBuffer(r.plan.Name))
	if err != nil {
		r.lostSight(ctx, err)
		return s
	}
	b, err := iosxe.ParseBuffer(out)
	if err != nil {
		return s
	}
	s.packets = b.Packets
	r.u.o.Events(Event{Side: r.side, Phase: PhaseWait, Kind: Packets, Count: b.Packets})
	r.bracketFirst(b.Packets, began, time.Now())
	c, err := r.capture(ctx, 1)
	if err != nil {
		r.lostSight(ctx, err)
		return s
	}
	s.active = c != nil && c.Active
	s.seen = true
	if len(r.plan.waitShows()) > 0 {
		if err = r.negotiated(ctx, &s); err != nil {
			r.lostSight(ctx, err)
			return sighting{packets: s.packets}
		}
		s.old = len(r.known)
	}
	r.blind = 0
	r.showLive(ctx, b)
	return s
}

// maxBlind is the longest time between two looks at a router that does not answer.
const maxBlind = 30 * time.Second

// lostSight lets a router that does not answer rest, longer each time: a new session is opened for
// each look.
func (r *router) lostSight(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	r.blind++
	r.nextLook = time.Now().Add(min(r.u.o.Poll<<min(r.blind, 10), maxBlind))
	r.note(PhaseWait, "not reached while waiting: %v", err)
}

// bracketFirst narrows down when the first packet came: after the last look that saw none, before
// the first that saw some.
func (r *router) bracketFirst(packets int, began, ended time.Time) {
	if !r.first.to.IsZero() {
		return
	}
	if packets == 0 {
		r.first.from = began
		return
	}
	if r.first.from.IsZero() {
		r.first.from = r.info.StartSent
	}
	r.first.to = ended
}

// negotiated counts the IKE SAs with the peer that were not there before the capture: those that
// are up, and those that are not yet. An IKEv1 SA has no SPI in the listing, so it counts once it
// had been away, and it is up when phase 2 is done.
func (r *router) negotiated(ctx context.Context, s *sighting) error {
	sas, err := r.ikeSAs(ctx, 1)
	if err != nil {
		return err
	}
	present, first := map[string]bool{}, 0
	for _, sa := range sas {
		key := saKey(sa)
		present[key] = true
		switch {
		case r.known[key]:
		case sa.Established() && sa.Version == 1:
			first++
		case sa.Established():
			s.fresh++
		case sa.Deleted(): // it is listed for a while, and nothing comes of it any more
		default:
			s.pending++
		}
	}
	for key := range r.known {
		if !present[key] {
			delete(r.known, key)
		}
	}
	if first == 0 {
		r.second.forget()
		return nil
	}
	done, err := r.phaseTwo(ctx)
	if done {
		s.fresh += first
	} else {
		s.pending, s.idle = s.pending+first, first
	}
	return err
}

// remember notes the IKE SAs that are there before the capture starts.
func (r *router) remember(ctx context.Context) error {
	sas, err := r.ikeSAs(ctx, phaseAttempts)
	if err != nil {
		return err
	}
	r.known = map[string]bool{}
	for _, sa := range sas {
		if sa.Established() {
			r.known[saKey(sa)] = true
		}
	}
	return nil
}

func saKey(sa iosxe.IKESA) string {
	return fmt.Sprintf("%d %s %s %s %s", sa.Version, sa.Local, sa.Remote, sa.LocalSPI, sa.RemoteSPI)
}

// ikeSAs lists the IKE SAs between this side and its peer. Those of IKEv1, which cannot be asked
// for one peer alone, are looked at only where there is none of IKEv2. A version that the router
// refuses to show has none.
func (r *router) ikeSAs(ctx context.Context, attempts int) ([]iosxe.IKESA, error) {
	var sas []iosxe.IKESA
	for _, cmd := range r.plan.waitShows() {
		if len(sas) > 0 {
			break
		}
		out, err := r.repeatAtMost(ctx, cmd, attempts)
		if refusalOf(err) != nil {
			continue
		}
		if err != nil {
			return nil, err
		}
		sas = slices.DeleteFunc(parseSAs(cmd, out), func(sa iosxe.IKESA) bool { return !r.withPeer(sa) })
	}
	return sas, nil
}

func parseSAs(cmd iosxe.Command, out string) []iosxe.IKESA {
	if cmd.Name == iosxe.ShowISAKMPSA().Name {
		return iosxe.ParseISAKMPSA(out)
	}
	return iosxe.ParseIKEv2SA(out)
}

func (r *router) withPeer(sa iosxe.IKESA) bool {
	is := func(a netip.AddrPort) bool { return a.Addr().Unmap() == r.plan.Remote }
	return is(sa.Remote) || is(sa.Local)
}

// judge decides whether the wait is over by what was seen.
type judge struct {
	quiet int    // looks in a row at which a negotiation had left nothing
	half  int    // looks in a row at which one side had it up, and the other had nothing of it
	tried bool   // a negotiation was under way at some look
	had   bool   // at some look there was an SA of before
	up    bool   // there was at the last one
	base  [2]int // packets when the last SA of before was gone
	first stillness
}

// How many looks in a row have to show the same before it is taken for decided: fewer where the
// negotiation itself was seen.
const (
	looksIfTried = 2
	looksIfNot   = 3
)

func (j *judge) over(u Until, seen [2]sighting) bool {
	a, b := seen[0], seen[1]
	if a.seen && b.seen && !a.active && !b.active {
		return true
	}
	switch u.Kind {
	case UntilPackets:
		return a.packets >= u.Packets || b.packets >= u.Packets
	case UntilEstablished:
		return established(a, b)
	case UntilFailed:
		return j.failed(seen)
	case UntilDecided:
		return established(a, b) || j.failed(seen)
	}
	return false
}

// soon is when to look next. What seems to be over is looked at again sooner, so
// that it is known soon.
func (j *judge) soon(poll time.Duration) time.Duration {
	if j.quiet+j.half > 0 {
		return poll * 2 / 5
	}
	return poll
}

// established says whether both routers have an IKE SA that is new.
func established(a, b sighting) bool { return a.seen && b.seen && a.fresh > 0 && b.fresh > 0 }

// failed says whether a negotiation was captured that has left no SA on either side, or one on only
// one side while the other has nothing that could still become one. A router lists an SA for as
// long as it would take an answer, so that a retransmission which may be answered is not failed. An
// SA of phase 1 alone it may list for a day: there, silence tells.
func (j *judge) failed(seen [2]sighting) bool {
	a, b := seen[0], seen[1]
	if !a.seen || !b.seen {
		j.quiet, j.half = 0, 0
		return false
	}
	pending := a.pending+b.pending > 0
	j.tried = j.tried || pending
	if old := a.old+b.old > 0; old || j.up {
		j.base, j.had, j.up = [2]int{a.packets, b.packets}, true, old
	}
	wanted := looksIfNot
	if j.tried {
		wanted = looksIfTried
	}
	if !pending && (a.fresh > 0) != (b.fresh > 0) && a.packets > 0 && b.packets > 0 {
		j.half++
	} else {
		j.half = 0
	}
	if !pending && a.fresh+b.fresh == 0 && j.captured(a, b) {
		j.quiet++
	} else {
		j.quiet = 0
	}
	return j.first.failed(a, b) || j.half >= looksIfNot || j.quiet >= wanted
}

// captured says whether the packets are those of a negotiation. While an SA of before is up they
// may be its own, and so may be what ended it: only what comes after that counts.
func (j *judge) captured(a, b sighting) bool {
	switch {
	case a.packets+b.packets == 0:
		return false
	case j.tried:
		return true
	case a.old+b.old > 0:
		return false
	case j.had: // a request and its answer on both sides
		return a.packets >= j.base[0]+2 && b.packets >= j.base[1]+2
	}
	return a.packets > 0 && b.packets > 0
}
