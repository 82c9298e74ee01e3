package capture

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/moncap/moncap/device/iosxe"
)

// aboutPeer makes a show of one peer. The address was validated by the filter's
// constructor already.
func (p *SidePlan) aboutPeer(show func(peer netip.Addr) (iosxe.Command, error)) []iosxe.Command {
	if c, err := show(p.Remote); err == nil {
		return []iosxe.Command{c}
	}
	return nil
}

// inFVRF makes a show of one peer that looks in one table only.
func (p *SidePlan) inFVRF(show func(netip.Addr, iosxe.VRF) (iosxe.Command, error)) []iosxe.Command {
	return p.aboutPeer(func(peer netip.Addr) (iosxe.Command, error) { return show(peer, p.fvrf) })
}

// waitShows lists what decides whether the wait is over, beside the buffer's counters.
func (p *SidePlan) waitShows() []iosxe.Command {
	if !p.settings.Until.asksSAs() {
		return nil
	}
	return append(p.aboutPeer(iosxe.ShowIKEv2SA), iosxe.ShowISAKMPSA())
}

// observeCommands lists what is asked when the capture is here already, what says most about it
// first. All of it may fail.
func (p *SidePlan) observeCommands() []iosxe.Command {
	// The clock is the first, so that the time between its question and its answer is its own.
	commands := []iosxe.Command{iosxe.ShowClock(), iosxe.ShowCapture(p.Name), iosxe.ShowCaptureParameter(p.Name)}
	if len(p.debugOn) > 0 {
		commands = append(commands, iosxe.ShowDebug(), iosxe.ShowLog())
	}
	commands = append(commands, p.showTraces()...)
	commands = slices.Concat(commands, p.aboutPeer(iosxe.ShowIKEv2SA), p.inFVRF(iosxe.ShowIPsecSA),
		p.aboutPeer(iosxe.ShowCryptoSession))
	return append(commands,
		iosxe.ShowIKEv2Diagnose(), iosxe.ShowIKEv2Stats(), iosxe.ShowNTP(), iosxe.ShowIKEv2Proposal(),
		iosxe.ShowIKEv2Policy(),
		iosxe.ShowIKEv2Profile(), iosxe.ShowISAKMPPolicy(), iosxe.ShowTransformSet(), iosxe.ShowIPsecProfile(),
		iosxe.ShowInterfaces(), iosxe.ShowISAKMPSA(), iosxe.ShowEventTrace(), iosxe.ShowBrief(p.Name), iosxe.ShowCryptoMap(),
	)
}

// mostUnanswered is how many of the shows may go wrong otherwise than by a refusal before the rest
// is left alone: each of them can have cost a session, and a long wait.
const mostUnanswered = 2

var errEnough = errors.New("the router did not answer the shows before it")

// observe reads what the router knows about the capture and the tunnel into the bundle. The capture
// is here, so nothing that goes wrong with a show matters: it is noted, and nothing is asked twice.
// Only an interruption is an error.
func (r *router) observe(ctx context.Context) error {
	limit := r.u.o.timeout(PhaseObserve) * 9 / 10 // so that a router which hangs costs the shows alone
	looking, cancel := noLonger(ctx, limit)
	defer cancel()
	looking, enough := context.WithCancelCause(looking)
	defer enough(nil)
	r.readControlPlane(looking)
	var refused, skipped []string
	failed := 0
	commands := append(r.plan.observeCommands(), r.countAgain()...)
	began := time.Now()
	r.askAll(looking, commands, func(i int, out string, err error) {
		cmd := commands[i]
		switch {
		case err == nil:
			r.learn(cmd, out, began)
		case refusalOf(err) != nil:
			refused = append(refused, cmd.Name)
		case looking.Err() != nil:
			skipped = append(skipped, cmd.Name)
		default:
			r.note(PhaseObserve, "%s could not be read: %v", cmd.Lines[0], err)
			if failed++; failed == mostUnanswered {
				enough(errEnough)
			}
		}
		began = time.Now()
	})
	r.readBinaryTrace(looking)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if len(refused) > 0 {
		r.note(PhaseObserve, "the router does not show: %s", strings.Join(refused, ", "))
	}
	if len(skipped) > 0 {
		r.note(PhaseObserve, "not shown, because %v: %s", context.Cause(looking), strings.Join(skipped, ", "))
	}
	return nil
}

// learn keeps a show, and what the result says about the router.
func (r *router) learn(cmd iosxe.Command, out string, began time.Time) {
	switch cmd.Name {
	case "show-clock":
		if c, err := iosxe.ParseClock(out); err == nil {
			r.keepClock(c, began, time.Now())
		}
	case iosxe.ShowDebug().Name:
		if r.debugShows && !debugsIKEv2(out) {
			r.note(PhaseObserve, "somebody turned the debug off while it captured: what its log lacks proves nothing")
		}
	case "show-log":
		// The whole log is kept as a show. What was debugged before is of packets that no capture has.
		if err := r.u.b.SaveDebug(r.side, debugLines(iosxe.LoggedWhile(out, r.plan.Name))); err != nil {
			r.note(PhaseObserve, "%v", err)
		}
	}
	r.keepShow(cmd, out)
}

// keepShow puts a show into the bundle. A disk that is full by now is told, and costs nothing that
// was fetched.
func (r *router) keepShow(cmd iosxe.Command, out string) {
	if r.u.b == nil { // a check without a run
		return
	}
	if cmd.Bulk { // what is read as a stream comes as it was sent
		out = iosxe.Printable(iosxe.Clean(out))
	}
	if r.keptShows[cmd.Name] = len(out); r.showed() > maxShows {
		delete(r.keptShows, cmd.Name)
		r.note(PhaseObserve, "%s: %d bytes are too many to be kept beside the others, and compared", cmd.Lines[0], len(out))
		return
	}
	if err := r.u.b.SaveShow(r.side, cmd.Name, out); err != nil {
		r.note(PhaseObserve, "%v", err)
	}
}

// maxShows bounds what is kept of one router's shows, in bytes: whoever compares the captures reads
// all of them.
const maxShows = 3 << 20

// showed is how much was kept so far.
func (r *router) showed() (sum int) {
	for _, n := range r.keptShows {
		sum += n
	}
	return sum
}

// debugLines picks what the IKEv2 debug wrote out of the router's log: its own lines, and those
// without a prefix that continue them.
func debugLines(log string) string {
	var b strings.Builder
	inside := false
	for line := range strings.Lines(strings.ReplaceAll(log, "\r", "")) {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.Contains(line, "IKEv2:") || strings.Contains(line, "IKEv2-"):
			inside = true
		case trimmed == "" || iosxe.SyslogLine(strings.TrimRight(line, "\n")):
			inside = false
		}
		if inside {
			b.WriteString(line)
		}
	}
	return b.String()
}
