package pair

import (
	"cmp"
	"net/netip"
	"slices"
)

// margin is how long before its first and after its last packet a capture is still taken to have
// worked, when nothing speaks against it: routers start and stop both captures of a run within
// seconds, and IKE repeats itself within seconds.
const margin = 10_000_000_000

// maxHiddenKept bounds Coverage.HiddenAt.
const maxHiddenKept = 16

// cover finds out when each capture provably worked. What the other side received from this one,
// and this one's own capture does not hold, proves that it was blind at that moment.
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
		from, to := c.worked(s)
		begins, ends := c.Aligned(story.First, s), c.Aligned(story.Last, s)
		if first {
			c.First, c.Last, first = begins, ends, false
		}
		c.First, c.Last = min(c.First, begins), max(c.Last, ends)
		if !story.Shows() {
			continue // it worked, but maybe on another interface
		}
		v.From, v.To = from-margin, to+margin
		v.first, v.last = from, to
		if o := c.Story(s.Other()); o != nil && c.Untimed() {
			v.From, v.To = min(v.From, c.Aligned(o.First, s.Other())-margin), max(v.To, c.Aligned(o.Last, s.Other())+margin)
			v.first, v.last = v.From, v.To
		}
		v.vague = c.vague(s)
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

// saw says whether the capture holds packets before and after the aligned time t. Of a flow that it
// holds in part, the ends prove nothing else: the margins are for what it holds nothing of.
func (v *Coverage) saw(t int64) bool { return v.first <= t && t <= v.last }

// surely says so of what the clocks' doubt leaves of that time.
func (v *Coverage) surely(t int64) bool { return v.first+v.vague <= t && t <= v.last-v.vague }

// within says whether s's capture was at work when a packet of from passed, that only the other
// capture shows, at t of its aligned time: between two packets that both hold, or between its own
// first and last one, as far as the clocks are known. Two captures never begin and end together:
// what one lacks outside of that, it may lack for no other reason. proven says that it is known to
// have begun before a packet of s, or to have ended after one of the other side.
func (v *Coverage) within(s, from Side, t int64, proven bool) bool {
	if v.surely(t) {
		return true
	}
	own, other := v.shared[s], v.shared[s.Other()]
	after, before := own.some && own.first <= t, other.some && t <= other.last
	if from == s { // it left s before t
		return (after || proven) && (before || own.some && t <= own.last)
	}
	return after && (before || proven) // it reaches s after t
}

// window is from the first to the last of packets that both captures hold, in aligned time of the
// other capture.
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

// reaches says whether t is between two packets of w and o.
func (w *window) reaches(o *window, t int64) bool {
	return (w.some && w.first <= t || o.some && o.first <= t) && (w.some && t <= w.last || o.some && t <= o.last)
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

// vague is how far aligned times of what the capture of s lacks may be wrong: the clocks' bounds,
// or a second where they are not bounded.
func (c *Case) vague(s Side) int64 {
	most := 1_000_000_000 + c.Coarse()
	if k := c.Clock; k != nil && k.Low != nil && k.High != nil {
		return min(*k.High-*k.Low, k.RTT+k.vague+c.Parties[s.Other()].vague, most)
	}
	return most
}

// limit takes the margins off a capture that is known to have been full, and all trust off one that
// left packets out.
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
	a, b := c.Story(A), c.Story(B)
	return a.First <= c.Aligned(b.Last, B)+slack && c.Aligned(b.First, B) <= a.Last+slack
}

// Related says whether times of the two captures can be compared: something that both hold relates
// their clocks, or only one of them holds anything. Else all that was worked out of times of both
// is a guess.
func (c *Case) Related() bool {
	if !c.TwoSided() || c.Clock != nil || c.Untimed() {
		return true
	}
	return c.Story(A).Counts.Tunnel() == 0 || c.Story(B).Counts.Tunnel() == 0
}

// slack is what the ends of two captures may miss each other by.
const slack = margin

// hidden cuts the margins of s where the other side's capture shows packets of s
// that its own lacks.
func (j *joiner) hidden(s Side, v *Coverage, from, to int64) {
	var blind []int64
	for _, l := range j.links {
		if v := l.Conversation; l.From != s || v.Foreign || !v.Spoken() || j.c.Story(s).Unreadable > 0 {
			// it may be there, cut short, or somebody else's
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
			v.From, v.cutShort = from, true // it began somewhere behind t
		case t > to:
			v.To, v.cutShort = to, true
		default:
			v.lacksOwn = v.lacksOwn || v.surely(t)
		}
	}
	if j.answersUnseen(s, from) || j.partlyBegun(s, from) {
		v.From = max(v.From, from)
	}
	slices.SortFunc(v.HiddenAt, func(x, y Sight) int { return cmp.Compare(int(x.Frame), int(y.Frame)) })
}

// answersUnseen says whether s answered a request from before all that its capture holds, and that
// this lacks: it was not lost, but is from before the capture.
func (j *joiner) answersUnseen(s Side, from int64) bool {
	for m := range j.c.MessagesWhere(func(v *Conversation) bool { return v.First < from && !v.Foreign }) {
		if m.From != s && m.AnsweredBy() != nil && !m.seenAt(s) && m.Transmissions()[0].Aligned < from {
			return true
		}
	}
	return false
}

// partlyBegun says whether the capture of s holds a flow of the other side from a number on, and
// the sender's holds several packets of it from before all that s's capture holds: that had not
// begun. What else was sent until then is no loss either.
func (j *joiner) partlyBegun(s Side, from int64) bool {
	const several = 3
	return slices.ContainsFunc(j.c.Flows, func(f *Flow) bool {
		mine, sent := f.At[s], f.At[s.Other()]
		return f.From != s && !f.Foreign && mine != nil && sent != nil && sent.Seqs.Min()+several <= mine.Seqs.Min() &&
			j.c.Aligned(timeOf(sent, mine.Seqs.Min()-1), s.Other()) < from
	})
}

// Is says whether a is one of p's addresses, before or after translation.
func (p *Party) Is(a netip.Addr) bool {
	return a == p.Known || a == p.KnownNAT || p.mine[a]
}
