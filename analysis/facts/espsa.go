package facts

import (
	"cmp"
	"math"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
)

// birth is a pair.Agreement of a Peer.
type birth struct {
	at    int64
	fresh bool      // by a new IKE SA, which leaves nothing of older ones
	began int64     // when the negotiation of the IKE SA began; 0 where it is older than these SAs, or the captures
	by    pair.Side // who began that
}

// agreements are what the IKE of a case says of its child SAs: when some were made, and when some
// ended, each in order of time.
type agreements struct {
	births []birth // IKE_AUTH, CREATE_CHILD_SA and Quick Mode that were answered
	// Deletes that were answered by the Delete of the other halves (RFC 7296, Section 1.4.1): neither
	// side has them any more
	deaths []int64
}

// agree gives the peers of a case, by Peer.Remote, what was agreed with each: most peers have no
// traffic, and are not among them.
func agree(c *pair.Case, remotes *pair.Remotes, peers map[netip.Addr]*Peer) {
	if len(peers) == 0 {
		return
	}
	for _, a := range c.Agreements() {
		p := peers[remotes.With(a.By)]
		if p == nil {
			continue
		}
		b := birth{at: a.At, fresh: a.In == ike.IKEAuth && a.By.Complete, by: a.By.Initiator}
		if b.fresh || a.In == ike.V1QuickMode && a.By.Complete {
			b.began = a.By.First
		}
		p.births = append(p.births, b)
	}
	for m := range c.MessagesWhere(func(v *pair.Conversation) bool {
		return !v.Foreign && v.MayHold(ike.Informational, exchange.Response)
	}) {
		if m.Exchange == ike.Informational && m.Kind == exchange.Response && m.FirstInner == ike.PayloadD {
			if p := peers[remotes.With(m.Conversation)]; p != nil {
				p.deaths = append(p.deaths, m.Transmissions()[0].Aligned)
			}
		}
	}
	for _, p := range peers {
		slices.Sort(p.deaths)
	}
}

// Stale is an SPI that one side goes on using although the other one has moved on to a newer SA.
type Stale struct {
	*pair.Flow
	Newest  *pair.Flow // by which the other side sends
	Since   int64      // aligned: when that began
	Packets int        // with the old SPI since then
	First   exchange.Point
	In      pair.Side // whose capture First is of
}

// Both sides move to a new SA within moments. An old one that is in use for longer, and so often,
// was kept.
const (
	handover    = 10_000_000_000
	handoverNew = 3_000_000_000 // after a new IKE SA
	fewestStale = 5
	stepAside   = 2_000_000_000 // doubt about the order of what both sides do at the same moment
	soonUsed    = 60_000_000_000
	overtaken   = pair.Overtaken
)

// Stale lists the SPIs that a side kept.
func (t *Traffic) Stale() []Stale {
	if !t.c.Related() {
		return nil
	}
	var all []Stale
	for _, p := range t.Peers {
		for _, s := range pair.Both {
			if found, ok := p.stale(s); ok {
				all = append(all, found)
			}
		}
	}
	return all
}

func (p *Peer) stale(s pair.Side) (Stale, bool) {
	used, newest, until := usesOf(p.seen[s.Other()]), int64(math.MinInt64), int64(math.MinInt64)
	for _, f := range p.seen[s] {
		if f.Packets > 1 && !p.underway(f) {
			newest = max(newest, f.first())
		}
		until = max(until, f.last())
	}
	for _, next := range p.seen[s.Other()] {
		if next.Packets < fewestStale || p.underway(next) {
			continue
		}
		since, wait, ok := p.movedOn(used, next)
		if !ok {
			continue
		}
		if newest > since-stepAside || until <= since+wait {
			continue // it has moved on too, or sends nothing any more
		}
		for _, f := range p.seen[s] {
			if f.last() <= since+wait || f.first() >= since-stepAside && !p.underway(f) {
				continue
			}
			if n, in := f.within(span{since + stepAside, f.last() + 1}); n >= fewestStale {
				return Stale{f.of, next.of, since, n, firstIn(p.c, f.Flow, f.side, span{from: in.from}), f.side}, true
			}
		}
	}
	return p.outlived(s)
}

// outlived is an SPI of s that it keeps although the other side has a new IKE SA, be it within
// moments of the old one: the other side used the old one, began a negotiation of its own and used
// only what came of it. Two that begin at the same moment have no ESP until then.
func (p *Peer) outlived(s pair.Side) (Stale, bool) {
	o, newest := s.Other(), p.lastBegun(s)
	i := slices.IndexFunc(p.births, func(b birth) bool { return b.by == o && b.began > newest+overtaken })
	if i < 0 {
		return Stale{}, false
	}
	b, wait := p.births[i], int64(handover)
	if b.fresh {
		wait = handoverNew
	}
	var next *seenFlow
	used := false
	for _, f := range p.seen[o] {
		switch {
		case f.first() >= b.began:
			if next == nil && f.Packets >= fewestStale && !p.underway(f) {
				next = f
			}
		case f.last() >= b.at+overtaken:
			return Stale{}, false // it uses both
		default:
			used = used || f.first() < b.began-overtaken
		}
	}
	if next == nil || !used {
		return Stale{}, false
	}
	for _, f := range p.seen[s] {
		if f.last() <= b.at+wait {
			continue
		}
		if n, in := f.within(span{b.at + stepAside, f.last() + 1}); n >= fewestStale {
			return Stale{f.of, next.of, b.at, n, firstIn(p.c, f.Flow, f.side, span{from: in.from}), f.side}, true
		}
	}
	return Stale{}, false
}

// underway says whether a flow is older than the first negotiation that is captured, though nothing
// of it is seen before.
func (p *Peer) underway(f *seenFlow) bool {
	return len(p.births) > 0 && p.births[0].fresh && p.c.Older(f.of, p.births[0].at)
}

// movedOn says whether a side began to use a new SA with the flow next: all that it used before
// ends then, or it used none and the flow is the first of a negotiation. wait is how long the other
// side may take to follow.
func (p *Peer) movedOn(used uses, next *seenFlow) (since, wait int64, ok bool) {
	since, wait = next.first(), handover
	if used.lastOf(since-stepAside) > since+stepAside {
		return 0, 0, false // it uses both
	}
	// The last negotiation belongs to the flow, and none from before the flow before it.
	before, last := false, since-soonUsed
	if at, some := used.before(since); some {
		before, last = true, max(last, at)
	}
	began, born := since+overtaken, int64(math.MinInt64)
	i, _ := slices.BinarySearchFunc(p.births, last, func(b birth, t int64) int { return cmp.Compare(b.at, t+1) })
	for _, b := range p.births[i:] {
		if b.at > began {
			break
		}
		before, born = true, b.at
		if b.fresh {
			since, wait = min(since, b.at), handoverNew
		}
	}
	if i, _ := slices.BinarySearch(p.deaths, born); i < len(p.deaths) && born != math.MinInt64 {
		wait = min(wait, max(0, p.deaths[i]-since)+handoverNew) // the old SA's Delete was answered
	}
	return since, wait, before
}

// uses are the flows of a side in the order of their first packets.
type uses struct {
	firsts []int64
	lasts  []int64 // the latest last packet of the flow and of all before it
}

func usesOf(flows []*seenFlow) uses {
	spans := make([]span, len(flows))
	for i, f := range flows {
		spans[i] = span{f.first(), f.last()}
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	u := uses{make([]int64, len(flows)), make([]int64, len(flows))}
	for i, s := range spans {
		u.firsts[i], u.lasts[i] = s.from, s.to
		if i > 0 {
			u.lasts[i] = max(s.to, u.lasts[i-1])
		}
	}
	return u
}

// lastOf is the last packet of the flows that began before t; the earliest time of all without any.
func (u uses) lastOf(t int64) int64 {
	i, _ := slices.BinarySearch(u.firsts, t)
	if i == 0 {
		return math.MinInt64
	}
	return u.lasts[i-1]
}

// before is when the last flow began that began before t.
func (u uses) before(t int64) (at int64, some bool) {
	i, _ := slices.BinarySearch(u.firsts, t)
	if i == 0 {
		return 0, false
	}
	return u.firsts[i-1], true
}

// Restart is a sequence number that began again.
type Restart struct {
	*pair.Flow
	*exchange.Restart
	In pair.Side // whose capture the first packet is of
}

// Restarts lists the flows whose numbers began again, by the sender's own capture; by the other one
// where that does not reach.
func (t *Traffic) Restarts() []Restart {
	var all []Restart
	for _, p := range t.Peers {
		for _, s := range pair.Both {
			for _, f := range p.Flows[s] {
				if found, ok := t.restart(f); ok && !p.replaced(found) {
					all = append(all, found)
				}
			}
		}
	}
	return all
}

// replaced says whether new SAs were made just before the number began again: then it may be that
// of a new one with the same SPI.
func (p *Peer) replaced(r Restart) bool {
	from, to := p.c.Aligned(r.Prior, r.In), p.c.Aligned(r.Nanos, r.In)
	return slices.ContainsFunc(p.births, func(b birth) bool { return b.at >= from && b.at <= to+stepAside })
}

func (t *Traffic) restart(f *pair.Flow) (Restart, bool) {
	from, to := f.From, f.From.Other()
	mine, other := f.At[from], f.At[to]
	switch {
	case mine != nil && mine.Restart != nil:
		return Restart{f, mine.Restart, from}, true
	case other == nil || other.Restart == nil:
		return Restart{}, false
	case mine != nil && t.c.Between(from, t.c.Aligned(other.Restart.Nanos, to), t.c.Aligned(other.Restart.Nanos, to)):
		return Restart{}, false // its own capture shows that it sent no such thing
	}
	return Restart{f, other.Restart, to}, true
}

// Encapsulation is that of the two directions at the same time.
type Encapsulation struct {
	*Peer
	Of [2]*pair.Flow // by sender
}

// fewestOfForm are so many packets in one form while the other side uses the other that it
// is no change-over.
const fewestOfForm = 3

// Differing lists the peers between which the two sides send ESP in different forms at the same
// time: as protocol 50, in UDP or in TCP.
func (t *Traffic) Differing() []Encapsulation {
	var all []Encapsulation
	for _, p := range t.Peers {
		a, b := p.newest(pair.A), p.newest(pair.B)
		if a == nil || b == nil || a.UDP == b.UDP && a.TCP == b.TCP {
			continue
		}
		overlap := span{max(a.first(), b.first()) - 1, min(a.last(), b.last()) + 1}
		inA, _ := a.within(overlap)
		inB, _ := b.within(overlap)
		if inA >= fewestOfForm && inB >= fewestOfForm && arrives(a.of) && arrives(b.of) {
			all = append(all, Encapsulation{p, [2]*pair.Flow{a.of, b.of}})
		}
	}
	return all
}

// arrives says whether the flow reaches the other side, as far as its capture tells.
func arrives(f *pair.Flow) bool { return f.Lost+f.Beyond == 0 || f.At[f.From.Other()] != nil }

// newest is the ESP flow of s that lasts longest.
func (p *Peer) newest(s pair.Side) *seenFlow {
	var best *seenFlow
	for _, f := range p.seen[s] {
		if !f.AH && (best == nil || f.last() > best.last()) {
			best = f
		}
	}
	return best
}
