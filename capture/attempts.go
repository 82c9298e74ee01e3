package capture

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moncap/moncap/device/iosxe"
)

// A negotiation that is refused is over within milliseconds: no table shows it at looks that are
// seconds apart. What remains of it are counters: its packets are in both buffers, and both routers
// counted an IKE_SA_INIT. One that is begun again as soon as it failed is the other way round: the
// table is never empty, but each time it is another attempt.

// givenUpAfter is how long one attempt may take before it counts as failed. Retransmissions of
// IKEv2 and a user who is asked for a code (EAP) end sooner.
const givenUpAfter = 3 * time.Minute

// failedInARow is how many attempts must be gone, each with another one under way, before that is
// told: of two that both ends begin at once, one goes and the other comes up.
const failedInARow = 2

// leastExchanged is a request and its answer.
const leastExchanged = 2

// attempt is a negotiation that a router lists as under way.
type attempt struct {
	sa    iosxe.IKESA
	looks int // at which it was listed, in a row
}

// attempts follows the negotiations that a router lists while its tunnel is not up.
type attempts struct {
	listed []attempt
	gone   int // looks at which one of them was gone and another one was there
}

// see says what the negotiations under way, of which there is one at least, tell of those before.
func (l *attempts) see(sas []iosxe.IKESA, between time.Duration) (failed string) {
	before := l.listed
	l.listed = nil
	for _, sa := range sas {
		now := attempt{sa, 1}
		before = slices.DeleteFunc(before, func(old attempt) bool {
			if !sameAttempt(old.sa, sa) {
				return false
			}
			now.looks = max(now.looks, old.looks+1)
			return true
		})
		l.listed = append(l.listed, now)
	}
	if len(before) > 0 {
		l.gone++
	}
	if l.gone >= failedInARow {
		l.gone = 0
		return "one attempt follows the other, and none comes up"
	}
	for i := range l.listed {
		if took := time.Duration(l.listed[i].looks-1) * between; took >= givenUpAfter {
			l.listed[i].looks = 1
			return fmt.Sprintf("it is under way for %s, and does not come up", took)
		}
	}
	return ""
}

// sameAttempt goes by either SPI: the responder's is not known at first, and may be another after
// INVALID_KE_PAYLOAD (RFC 7296, Section 2.6). The table of IKEv1 has none, so that all of its
// attempts look the same.
func sameAttempt(a, b iosxe.IKESA) bool {
	same := func(x, y string) bool { return x == y && strings.Trim(x, "0") != "" }
	if a.Version == b.Version && a.LocalSPI+a.RemoteSPI == "" && b.LocalSPI+b.RemoteSPI == "" {
		return true
	}
	return a.Version == b.Version && (same(a.LocalSPI, b.LocalSPI) || same(a.RemoteSPI, b.RemoteSPI))
}

// standing is how a tunnel stood on a router at a look, as far as an attempt that no table shows
// could be told by.
type standing uint8

const (
	unsure standing = iota // up, or an SA is, or it cannot be told
	trying                 // a negotiation is listed
	idle                   // neither an SA nor a negotiation
)

// tally is what a router had counted at a look, before it showed how the tunnel stood: what is
// counted, and listed nowhere after that, is over.
type tally struct {
	stands  standing
	read    bool
	packets int // in the buffer; only if read
	counts  bool
	inits   iosxe.ExchangeCount // IKE_SA_INIT, with everybody; only if counts
}

// briefAttempts finds attempts that came and went between two looks, by what both routers of a run
// counted. Packets alone would not do: UDP of something else may pass between the two addresses,
// and a filter may take those of other peers. Nor would the exchanges, which are everybody's.
type briefAttempts struct {
	mu    sync.Mutex
	sides [2]counting
}

// counting is what one router counted since the looks at both began, or began again.
type counting struct {
	base, last tally
	looked     bool
	hits       int // looks at it in a row that found an attempt counted by both
}

// saw notes a look, and says whether it makes an attempt certain that came to nothing: counted by
// both, and followed by a further look at which nothing has come of it. Of nil nothing is noted.
func (u *briefAttempts) saw(side int, t tally) (failed bool) {
	if u == nil {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	s, other := &u.sides[side], &u.sides[1-side]
	if !t.read {
		s.looked = false
		u.restart()
		return false
	}
	if !s.looked || t.counts && !s.base.counts {
		s.base = t
	}
	s.last, s.looked = t, true
	switch {
	case t.stands == unsure, other.looked && other.last.stands == unsure, s.fell():
		u.restart()
		return false
	case t.stands == trying, other.last.stands == trying:
		s.hits, other.hits = 0, 0
		return false
	case !other.looked || !exchanged(s, other):
		return false
	}
	s.hits++
	if other.hits == 0 || s.hits+other.hits < 3 {
		return false
	}
	u.restart()
	return true
}

func (u *briefAttempts) restart() {
	for i := range u.sides {
		u.sides[i].base, u.sides[i].hits = u.sides[i].last, 0
	}
}

// exchanged says whether both captured a request and an answer, and one of them counted an
// IKE_SA_INIT that it sent and the other one that it received. One may refuse its counters.
func exchanged(a, b *counting) bool {
	return a.captured() && b.captured() && (a.knows() || b.knows()) &&
		(a.sent() && b.received() || b.sent() && a.received())
}

// fell says that something was cleared, or overwritten.
func (c *counting) fell() bool {
	was, is := c.base.inits, c.last.inits
	return c.last.packets < c.base.packets ||
		c.knows() && (is.SentRequests < was.SentRequests || is.ReceivedRequests < was.ReceivedRequests)
}

func (c *counting) captured() bool { return c.last.packets-c.base.packets >= leastExchanged }

// knows says whether the router shows what it counted.
func (c *counting) knows() bool { return c.base.counts && c.last.counts }

// sent and received say whether it may have begun a negotiation, and whether the other may have.
func (c *counting) sent() bool {
	return !c.knows() || c.last.inits.SentRequests > c.base.inits.SentRequests
}

func (c *counting) received() bool {
	return !c.knows() || c.last.inits.ReceivedRequests > c.base.inits.ReceivedRequests
}

// stands says how the tunnel stands. A session that is not up may have an IKE SA that is.
func (v tunnelView) stands() standing {
	switch {
	case v.blind || v.state() == up || slices.ContainsFunc(v.sas, iosxe.IKESA.Established):
		return unsure
	case v.pending():
		return trying
	}
	return idle
}
