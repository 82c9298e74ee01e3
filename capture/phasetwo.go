package capture

import (
	"context"
	"slices"
	"time"

	"github.com/moncap/moncap/device/iosxe"
)

// An IKEv1 SA in QM_IDLE has nothing but phase 1 behind it (RFC 2409, Section 5). Whether the
// tunnel is up is decided in Quick Mode, whose first message is repeated for about a minute when
// nothing answers it: packets that a capture which ends with phase 1 lacks. The crypto session says
// more, and is asked only while an IKEv1 SA is new and nothing is known of its child SAs.
const (
	// unseenAfter is after how long such an SA counts as a tunnel that is up, on a router that does
	// not show its sessions.
	unseenAfter = 10 * time.Second
	// stillAfter is how long nothing may be captured on either side before a Quick Mode is taken for
	// failed that left no child SA: longer than between two repetitions of IOS XE, which are 10 s
	// apart. It is also longer than unseenAfter.
	stillAfter = 12 * time.Second
	// stuckAfter is after how long it is, whatever else is captured: dead peer detection may go on
	// for ever, and the ESP of a side that has child SAs while the other has none. A Quick Mode that
	// is not answered is over by then: it is repeated five times.
	stuckAfter = 75 * time.Second
)

// The crypto session of an IKE SA that is up: with its IPsec SAs, and without.
const (
	sessionActive = "UP-ACTIVE"
	sessionIdle   = "UP-IDLE"
)

// phaseTwo is what is known of the child SAs of an IKEv1 SA that is new.
type phaseTwo struct {
	since   time.Time // when it was seen to be up; zero: there is none
	child   bool      // it has child SAs
	refused bool      // the router does not show its sessions, of no SA
}

// forget is for when there is no such SA any more.
func (p *phaseTwo) forget() { *p = phaseTwo{refused: p.refused} }

// sessions are the states of the crypto sessions with the peer that the router shows.
func (p *SidePlan) sessions(out string) []string {
	var all []string
	for _, s := range iosxe.ParseCryptoSessions(out) {
		if s.Peer.Addr().Unmap() == p.Remote {
			all = append(all, s.Status)
		}
	}
	return all
}

// phaseTwo asks whether an IKEv1 SA that is up has child SAs. Where the router does not say, it is
// taken to have some after a while.
func (r *router) phaseTwo(ctx context.Context) (done bool, err error) {
	q := &r.second
	if q.since.IsZero() {
		q.since = time.Now()
	}
	if q.child {
		return true, nil
	}
	told := false
	for _, cmd := range r.plan.aboutPeer(iosxe.ShowCryptoSession) {
		if q.refused {
			break
		}
		out, err := r.repeatAtMost(ctx, cmd, 1)
		if refusalOf(err) != nil {
			q.refused = true
			r.note(PhaseWait, "%s is refused: that Quick Mode came to its end is not seen, and an IKEv1 SA counts as a "+
				"tunnel that is up after %s", cmd.Lines[0], unseenAfter)
			break
		}
		if err != nil {
			return false, err
		}
		sessions := r.plan.sessions(out)
		q.child = slices.Contains(sessions, sessionActive)
		told = len(sessions) > 0
	}
	return q.child || !told && time.Since(q.since) >= unseenAfter, nil
}

// stillness follows how long IKEv1 SAs have been without child SAs, and how long nothing was
// captured meanwhile.
type stillness struct {
	began, heard time.Time
	packets      [2]int
}

// failed says whether that is long enough to be taken for the outcome.
func (s *stillness) failed(a, b sighting) bool {
	if a.idle+b.idle == 0 {
		*s = stillness{}
		return false
	}
	now, packets := time.Now(), [2]int{a.packets, b.packets}
	if s.began.IsZero() {
		s.began = now
	}
	others := a.pending+b.pending > a.idle+b.idle // negotiations that go on
	if s.heard.IsZero() || others || packets != s.packets {
		s.heard, s.packets = now, packets
	}
	return now.Sub(s.heard) >= stillAfter || now.Sub(s.began) >= stuckAfter
}

// phaseTwoSteps lists what is asked of an IKEv1 SA while a run waits.
func (p *SidePlan) phaseTwoSteps() []Step {
	var steps []Step
	if len(p.waitShows()) == 0 {
		return nil
	}
	for _, c := range p.aboutPeer(iosxe.ShowCryptoSession) {
		steps = append(steps, Step{Phase: PhaseWait, Command: c,
			Note: "only while an IKEv1 SA is new, and its phase 2 not known to be done"})
	}
	return steps
}
