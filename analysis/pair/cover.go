package pair

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
)

// margin is how long before its first and after its last packet a capture is still taken to have worked, when nothing speaks
// against it: routers start and stop both captures of a run within seconds, and IKE repeats itself within seconds.
const margin = 10_000_000_000

// maxHiddenKept bounds Coverage.HiddenAt.
const maxHiddenKept = 16

// cover finds out when each capture provably worked. What the other side received from this one, and this one's own capture does not
// hold, proves that it was blind at that moment.
func (j *joiner) cover() {
	c := j.c
	c.Overlap = j.overlap()
	first := true
	for _, s := range Both {
		story := c.Story(s)
		if story == nil {
			continue
		}
		v := &c.Parties[s].Coverage
		v.SnapLen = story.Info.SnapLen
		if story.Counts.Packets == 0 {
			continue
		}
		from, to := c.Aligned(story.First, s), c.Aligned(story.Last, s)
		if first {
			c.First, c.Last, first = from, to, false
		}
		c.First, c.Last = min(c.First, from), max(c.Last, to)
		if story.Counts.Tunnel() == 0 && len(story.Datagrams) == 0 {
			continue // it worked, but maybe on another interface
		}
		v.From, v.To = from-margin, to+margin
		v.first, v.last = from, to
		if o := c.Story(s.Other()); o != nil && j.blind() {
			v.From, v.To = min(v.From, c.Aligned(o.First, s.Other())-margin), max(v.To, c.Aligned(o.Last, s.Other())+margin)
			v.first, v.last = v.From, v.To
		}
		v.vague = c.vague()
		j.share(s, v)
		v.limit(&c.Parties[s], from, to)
		if story.Info.Damage != nil { // what the file held behind its fault nobody knows
			v.To, v.last = min(v.To, to), min(v.last, to)
		}
		c.Parties[s].copiesOwn = story.CopiesOwn(c.Parties[s].Addresses)
		if c.Overlap { // captures of different times know nothing of each other
			j.hidden(s, v, from, to)
			v.hides = j.hiddenKinds(s)
		}
	}
}

// saw says whether the capture holds packets before and after the aligned time t. Of a flow that it holds in part, the ends prove
// nothing else: the margins are for what it holds nothing of.
func (v *Coverage) saw(t int64) bool { return v.first <= t && t <= v.last }

// within says whether s's capture was at work when a packet of from passed, that only the other capture shows, at t of its aligned time:
// between two packets that both hold, or between its own first and last one, as far as the clocks are known. Two captures never begin and
// end together: what one lacks outside of that, it may lack for no other reason. proven says that it is known to have begun before
// a packet of s, or to have ended after one of the other side.
func (v *Coverage) within(s, from Side, t int64, proven bool) bool {
	if v.first+v.vague <= t && t <= v.last-v.vague {
		return true
	}
	own, other := v.shared[s], v.shared[s.Other()]
	after, before := own.some && own.first <= t, other.some && t <= other.last
	if from == s { // it left s before t
		return (after || proven) && (before || own.some && t <= own.last)
	}
	return after && (before || proven) // it reaches s after t
}

// window is from the first to the last of packets that both captures hold, in aligned time of the other capture.
type window struct {
	some        bool
	first, last int64
}

func (w *window) take(t int64) {
	if !w.some {
		*w = window{true, t, t}
	}
	w.first, w.last = min(w.first, t), max(w.last, t)
}

// share finds the packets that both captures hold, as the capture that is not s's shows them.
func (j *joiner) share(s Side, v *Coverage) {
	other := s.Other()
	for _, l := range j.links {
		for _, t := range l.Transmissions() {
			if t.At[A] != nil && t.At[B] != nil {
				v.shared[l.From].take(j.c.Aligned(t.At[other].Nanos, other))
			}
		}
	}
	for _, f := range j.c.Flows {
		x, y := f.At[s], f.At[other]
		if x == nil || y == nil {
			continue
		}
		if low, high := max(x.Seqs.Min(), y.Seqs.Min()), min(x.Seqs.Max(), y.Seqs.Max()); low <= high {
			v.shared[f.From].take(j.c.Aligned(timeOf(y, low), other))
			v.shared[f.From].take(j.c.Aligned(timeOf(y, high), other))
		}
	}
}

// vague is how far aligned times may be wrong: the clocks' bounds, or a second where they are not bounded.
func (c *Case) vague() int64 {
	const most = 1_000_000_000
	if k := c.Clock; k != nil && k.Low != nil && k.High != nil {
		return min(*k.High-*k.Low, most)
	}
	return most
}

// limit takes the margins off a capture that is known to have been full, and all trust off one that left packets out.
func (v *Coverage) limit(p *Party, from, to int64) {
	if p.FullAtEnd {
		v.To = to
	}
	if p.FullAtStart {
		v.From = from
	}
	if p.Leaky {
		v.From, v.To = 0, 0
	}
}

// overlap says whether both captures worked at some common time.
func (j *joiner) overlap() bool {
	c := j.c
	if !c.TwoSided() || c.Story(A).Counts.Packets == 0 || c.Story(B).Counts.Packets == 0 {
		return true
	}
	return c.Story(A).First <= c.Aligned(c.Story(B).Last, B)+slack && c.Aligned(c.Story(B).First, B) <= c.Story(A).Last+slack
}

// slack is what the ends of two captures may miss each other by.
const slack = margin

// hidden cuts the margins of s where the other side's capture shows packets of s that its own lacks.
func (j *joiner) hidden(s Side, v *Coverage, from, to int64) {
	var blind []int64
	for _, l := range j.links {
		if l.From != s || l.Conversation.Foreign {
			continue
		}
		for _, t := range l.Transmissions() {
			if t.Duplicate || t.At[s] != nil || t.At[s.Other()] == nil {
				continue
			}
			blind = append(blind, t.Aligned)
			if q := l.Answers(); !v.within(s, s, t.Aligned, q != nil && q.Transmissions()[0].At[s] != nil) {
				continue
			}
			v.Hidden++
			if len(v.HiddenAt) < maxHiddenKept {
				v.HiddenAt = append(v.HiddenAt, Sight{s.Other(), *t.At[s.Other()]})
			}
		}
	}
	for _, f := range j.c.Flows {
		if f.From != s || f.Foreign || f.At[s.Other()] == nil {
			continue
		}
		times, first, n := f.hiddenTimes(j.c, v)
		blind = append(blind, times...)
		v.Hidden += int(n)
		if r := f.At[s.Other()]; n > 0 && len(v.HiddenAt) < maxHiddenKept {
			v.HiddenAt = append(v.HiddenAt, Sight{s.Other(), r.Sight(pointNear(r, first))})
		}
	}
	for _, t := range blind {
		switch {
		case t < from:
			v.From, v.cutShort = max(v.From, t+1), true
		case t > to:
			v.To, v.cutShort = min(v.To, t-1), true
		default:
			v.lacksOwn = true
		}
	}
	j.beforeFirst(s, v, from)
	j.partlyBegun(s, v, from)
	slices.SortFunc(v.HiddenAt, func(x, y Sight) int { return cmp.Compare(int(x.Frame), int(y.Frame)) })
}

// beforeFirst: what s answered must have reached it. A request that s's capture does not hold, though its answer was sent, was not lost
// but is from before the capture.
func (j *joiner) beforeFirst(s Side, v *Coverage, from int64) {
	for m := range j.c.Messages() {
		if m.From == s || m.AnsweredBy() == nil || m.Copy(s) != nil || m.Conversation.Foreign {
			continue
		}
		if t := m.Transmissions()[0].Aligned; t < from {
			v.From = max(v.From, t+1)
		}
	}
}

// partlyBegun: where the capture of s holds a flow of the other side from a number on, and the sender's holds several packets of it from
// before all that s's capture holds, that capture had not begun. What else was sent until then is no loss either.
func (j *joiner) partlyBegun(s Side, v *Coverage, from int64) {
	const several = 3
	for _, f := range j.c.Flows {
		mine, sent := f.At[s], f.At[s.Other()]
		if f.From == s || f.Foreign || mine == nil || sent == nil || sent.Seqs.Min()+several > mine.Seqs.Min() {
			continue
		}
		if t := j.c.Aligned(timeOf(sent, mine.Seqs.Min()-1), s.Other()); t < from {
			v.From = max(v.From, t+1)
		}
	}
}

// judgeFates says of every transmission what became of it.
func (j *joiner) judgeFates() {
	c := j.c
	c.began = c.flowStarts()
	for m := range c.Messages() {
		to := m.From.Other()
		proven := c.acknowledgedIn(m, to, m.From) && !m.seenAt(to) && !m.Conversation.Foreign // it arrived, whatever the capture says
		for _, t := range m.Transmissions() {
			t.Fate, t.Missing = Unknown, false
			switch {
			case t.At[to] != nil:
				t.Fate = Delivered
			case t.Duplicate || c.Story(to) == nil:
			default:
				t.Missing = !proven && !m.Conversation.Foreign
				if parts := c.arrivedParts(m, t); parts != nil {
					t.strange = &strange{partial: parts}
				}
				switch v := &c.Parties[to].Coverage; {
				case proven && (!c.Overlap || !v.within(to, m.From, t.Aligned, c.acknowledgedIn(m, to))):
				case proven:
					v.unseen(Sight{m.From, *t.Any()}, t.Aligned)
				case !c.Overlap || m.Conversation.Foreign || c.Story(to).Unreadable > 0 || v.hides[t.kind()]:
				case t.Aligned > v.last && m.lateAlone(v.last): // who did not get it would have asked again
				case v.Covers(t.Aligned):
					t.Fate = Lost
				}
			}
		}
		m.settleDuplicates(c)
	}
}

// lateAlone says whether hardly any sending of m is from after a moment, the end of the capture that should hold it: either it is the only
// one, or others arrived before, and these few are no more than what a capture lacks that ends a little earlier.
func (m *Message) lateAlone(end int64) bool {
	const few = 2
	late, arrived := 0, false
	for _, t := range m.Transmissions() {
		if t.Aligned > end {
			late++
		}
		arrived = arrived || t.At[m.From.Other()] != nil
	}
	return len(m.Transmissions()) == 1 || arrived && late <= few
}

// unseen notes a packet that arrived and is not in the capture.
func (v *Coverage) unseen(x Sight, at int64) {
	if len(v.UnseenAt) < maxHiddenKept {
		v.UnseenAt = append(v.UnseenAt, x)
	}
	v.Unseen++
	v.lacksOther = v.lacksOther || v.saw(at)
}

// acknowledgedIn says whether the receiver's own later packets prove that m arrived: the answer to a request; to an answer of the
// negotiation, the request of the next exchange, which is made of it (RFC 7296, Section 1.2), or ESP by the keys that it agreed on.
// Only what the captures in show counts.
func (c *Case) acknowledgedIn(m *Message, in ...Side) bool {
	shown := func(o *Message) bool { return slices.ContainsFunc(in, func(s Side) bool { return o.Copy(s) != nil }) }
	switch {
	case m.AnsweredBy() != nil && shown(m.AnsweredBy()):
		return true
	case m.Kind != exchange.Response || m.SPIr == 0:
		return false
	case m.Exchange == ike.IKEAuth && c.sendsESP(m.From.Other(), m.Transmissions()[0].Aligned, in):
		return true
	case m.Exchange != ike.IKESAInit && m.Exchange != ike.IKEIntermediate && m.Exchange != ike.IKEAuth:
		return false
	}
	return slices.ContainsFunc(m.Conversation.Messages, func(o *Message) bool {
		return o.From != m.From && o.Kind == exchange.Request && o.SPIr == m.SPIr && o.MessageID > m.MessageID && shown(o)
	})
}

// sendsESP says whether, as the captures in show, s began to send ESP of an SA at or soon after a moment.
func (c *Case) sendsESP(s Side, at int64, in []Side) bool {
	const soon = 60_000_000_000
	return slices.ContainsFunc(in, func(x Side) bool {
		began := c.began[s][x]
		if c.Parties[A].Untimed || c.Parties[B].Untimed {
			return len(began) > 0
		}
		i, _ := slices.BinarySearch(began, at)
		return i < len(began) && began[i] < at+soon
	})
}

// flowStarts are, by sender and capture, the aligned times at which flows began, ascending.
func (c *Case) flowStarts() (began [2][2][]int64) {
	for _, f := range c.Flows {
		for _, x := range Both {
			if f.At[x] != nil && !f.Foreign {
				began[f.From][x] = append(began[f.From][x], f.start(c))
			}
		}
	}
	for _, s := range Both {
		for _, x := range Both {
			slices.Sort(began[s][x])
		}
	}
	return began
}

func (m *Message) seenAt(s Side) bool { return m.Copy(s) != nil }

// settleDuplicates tells copies that a capture made from those that the path made: a copy of a packet that the side sent itself, or
// with another TTL or interface than its twin, was made by the capture.
func (m *Message) settleDuplicates(c *Case) {
	for _, t := range m.Transmissions() {
		if !t.Duplicate {
			continue
		}
		to := m.From.Other()
		x := t.At[to]
		if x == nil {
			t.CaptureCopy = true
			continue
		}
		t.CaptureCopy = c.Parties[to].copiesOwn
		if t.CopyOf() != nil && t.CopyOf().At[to] != nil {
			twin := t.CopyOf().At[to]
			t.CaptureCopy = t.CaptureCopy || twin.TTL != x.TTL || twin.Interface != x.Interface
		}
	}
}

// arrivedParts returns the frames of a fragmented datagram that the receiver has, when it does not have all.
func (c *Case) arrivedParts(m *Message, t *Transmission) []int {
	from, to := m.From, m.From.Other()
	x := t.At[from]
	if x == nil || len(x.Fragments) == 0 {
		return nil
	}
	for _, d := range c.Story(to).Datagrams {
		if d.IPID == x.IPID && distance(c.Aligned(d.First, to), t.Aligned) < longestDelay {
			return d.Frames
		}
	}
	return nil
}

// findForeign marks the conversations and flows with somebody else. Whose an address is, is known from the inventory, or from packets
// that matched.
func (c *Case) findForeign() {
	for _, f := range c.Flows {
		f.Foreign = f.toGroup()
	}
	if !c.TwoSided() {
		c.findOtherTunnels()
		return
	}
	matched := slices.ContainsFunc(c.Conversations, (*Conversation).matched) ||
		slices.ContainsFunc(c.Flows, func(f *Flow) bool { return f.At[A] != nil && f.At[B] != nil }) ||
		slices.ContainsFunc(Both[:], func(s Side) bool {
			return len(reachedByPieces(c.Story(s), c.Parties[s.Other()].Addresses)) > 0
		})
	stranger := func(s Side, a netip.Addr) bool {
		p := &c.Parties[s]
		return (matched || p.Known.IsValid()) && !p.Is(a)
	}
	for _, v := range c.Conversations {
		if v.matched() {
			continue
		}
		for _, s := range Both {
			if a, ok := v.target(s); ok && stranger(s, a) {
				v.Foreign = true
			}
		}
	}
	for _, f := range c.Flows {
		for _, s := range Both {
			if x := f.At[s.Other()]; x != nil && f.At[s] == nil {
				a := x.Dst.Addr()
				if f.From == s {
					a = x.Src.Addr()
				}
				f.Foreign = f.Foreign || stranger(s, a)
			}
		}
	}
}

// toGroup says whether f goes to a multicast group, as that of routing protocols does (RFC 4552): a group is no peer.
func (f *Flow) toGroup() bool {
	for _, x := range f.At {
		if x != nil && x.Dst.Addr().IsMulticast() {
			return true
		}
	}
	return false
}

// matched says whether any packet of v is in both captures.
func (v *Conversation) matched() bool {
	return slices.ContainsFunc(v.Messages, func(m *Message) bool { return m.Copy(A) != nil && m.Copy(B) != nil })
}

// target is the address of s that the other side uses in v, by that side's own capture.
func (v *Conversation) target(s Side) (netip.Addr, bool) {
	other := s.Other()
	for _, m := range v.Messages {
		x := m.Copy(other)
		switch {
		case x == nil:
		case m.From == other:
			return x.Sent()[0].Dst.Addr(), true
		default:
			return x.Sent()[0].Src.Addr(), true
		}
	}
	return netip.Addr{}, false
}

// Is says whether a is one of p's addresses, before or after translation.
func (p *Party) Is(a netip.Addr) bool {
	return a == p.Known || a == p.KnownNAT || p.mine[a]
}
