package pair

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
)

type flowKey struct {
	spi  uint32
	from Side
	ah   bool
}

// joinFlows groups the flows of both captures by SPI and direction. What has the same SPI in both
// and other packets is two SAs, of different times: keys by hand keep their SPI, and numbers
// collide.
func joinFlows(parties *[2]Party, c *compass) []*Flow {
	byKey := map[flowKey]*Flow{}
	var all []*Flow
	for _, s := range Both {
		if parties[s].Story == nil {
			continue
		}
		for _, f := range parties[s].Story.Flows {
			k := flowKey{f.SPI, c.sender(s, f.Src.Addr()), f.AH}
			o := byKey[k]
			if o == nil {
				o = &Flow{SPI: k.spi, From: k.from}
				byKey[k] = o
				all = append(all, o)
			}
			switch {
			case o.At[s] == nil:
				o.At[s] = f
			case len(o.moved[s]) == 0: // the story keeps its own
				o.At[s] = o.At[s].Clone()
				fallthrough
			default:
				o.moved[s] = append(o.moved[s], *f)
				o.At[s].Merge(f)
			}
		}
	}
	for _, o := range all {
		if o.At[A] != nil && o.At[B] != nil && differ(o.At[A], o.At[B]) {
			twin := &Flow{SPI: o.SPI, From: o.From}
			twin.At[B], twin.moved[B], o.At[B], o.moved[B] = o.At[B], o.moved[B], nil, nil
			all = append(all, twin)
		}
	}
	return all
}

// differ says whether two flows are of different SAs: numbers that both have are on other packets
// in each, and none on the same.
func differ(a, b *exchange.Flow) bool {
	const enough = 3
	if a.Restart != nil || b.Restart != nil || a.Short || b.Short {
		return false // one SA has the numbers twice itself, or the bytes do not tell
	}
	n, rest := 0, b.Samples
	for _, p := range a.Samples {
		for len(rest) > 0 && rest[0].Seq < p.Seq {
			rest = rest[1:]
		}
		if len(rest) == 0 {
			break
		}
		if rest[0].Seq != p.Seq {
			continue
		}
		if rest[0].Mark == p.Mark {
			return false
		}
		n++
	}
	return n >= enough
}

// Moved are f's parts in the capture of s that have other addresses or ports than At, which holds
// all of them as well.
func (f *Flow) Moved(s Side) []exchange.Flow { return f.moved[s] }

// sourceOf is where the sender's own capture shows number n of f to come from, if it holds that.
func (f *Flow) sourceOf(n uint64) (netip.AddrPort, bool) {
	for i := range f.moved[f.From] {
		if f.moved[f.From][i].Seqs.Has(n) {
			return f.moved[f.From][i].Src, true
		}
	}
	return f.At[f.From].Src, f.At[f.From].Seqs.Has(n)
}

// beginning is the time in which the first packet of an SA in its sender's capture is one of the
// first of the capture itself, and the last one of its last.
const beginning = 1_000_000_000

// hiddenTimes returns the aligned times of packets at the receiver that the sender's capture lacks,
// as far as the samples show them, and counts all of them in Hidden. n are those that it lacks
// although it was at work, first is the first of these.
func (f *Flow) hiddenTimes(c *Case, own *Coverage) (times []int64, first, n uint64) {
	to := f.From.Other()
	r, s := f.At[to], f.At[f.From]
	if r == nil || c.Story(f.From) == nil {
		return nil, 0, 0
	}
	if s == nil {
		s = &exchange.Flow{}
	}
	untimed := c.Untimed()
	for gap := range r.Seqs.Minus(&s.Seqs) {
		f.Hidden += gap.Len()
		proven := covered{run: gap, n: gap.Len()}
		if s.Packets > 0 && (untimed && (gap.High < s.Seqs.Min() || gap.Low > s.Seqs.Max()) ||
			gap.High < s.Seqs.Min() && c.Aligned(s.First.Nanos, f.From)-own.first < beginning ||
			gap.Low > s.Seqs.Max() && own.last-c.Aligned(s.Last.Nanos, f.From) < beginning) {
			// they left before the capture's first ones or behind its last, whenever they arrived; without
			// times, before or after it
			proven = covered{}
		} else if s.Packets == 0 || gap.Low < s.Seqs.Min() || gap.High > s.Seqs.Max() {
			proven = within(gap, func(n uint64) bool { return own.within(f.From, f.From, c.Aligned(timeOf(r, n), to), false) })
		}
		if n == 0 {
			first = proven.run.Low
		}
		n += proven.n
		if len(times) < MaxGaps {
			times = append(times, c.Aligned(timeOf(r, gap.Low), to), c.Aligned(timeOf(r, gap.High), to))
		}
	}
	return times, first, n
}

// sampleAt is the place of f's first sample from the number n on, and whether it is that of n.
func sampleAt(f *exchange.Flow, n uint64) (place int, exact bool) {
	return slices.BinarySearchFunc(f.Samples, n, func(p exchange.Point, n uint64) int { return cmp.Compare(p.Seq, n) })
}

// between tells the times between which f's number n was seen: those of the samples around it, or
// its own twice.
func between(f *exchange.Flow, n uint64) (early, late int64) {
	i, exact := sampleAt(f, n)
	if exact || n <= f.First.Seq || n >= f.Last.Seq {
		at := timeOf(f, n)
		return at, at
	}
	before, after := f.First, f.Last
	if i > 0 {
		before = f.Samples[i-1]
	}
	if i < len(f.Samples) {
		after = f.Samples[i]
	}
	return min(before.Nanos, after.Nanos), max(before.Nanos, after.Nanos)
}

// timeOf tells when f's number n was seen: exactly for the ends and samples, else between the
// samples around it.
func timeOf(f *exchange.Flow, n uint64) int64 {
	i, exact := sampleAt(f, n)
	if exact {
		return f.Samples[i].Nanos
	}
	before, after := f.First, f.Last
	if i > 0 && i <= len(f.Samples) {
		before = f.Samples[i-1]
	}
	if i < len(f.Samples) {
		after = f.Samples[i]
	}
	switch {
	case n <= before.Seq || after.Seq <= before.Seq:
		return before.Nanos
	case n >= after.Seq:
		return after.Nanos
	}
	part := float64(n-before.Seq) / float64(after.Seq-before.Seq)
	return before.Nanos + int64(part*float64(after.Nanos-before.Nanos))
}

// SentAt is the aligned time at which f's number n was sent, as far as the samples of the sender's
// capture tell.
func (c *Case) SentAt(f *Flow, n uint64) int64 { return c.Aligned(timeOf(f.At[f.From], n), f.From) }

// SeenAt is the aligned time at which the capture of s held f's number n, as far
// as its samples tell.
func (c *Case) SeenAt(f *Flow, s Side, n uint64) int64 { return c.Aligned(timeOf(f.At[s], n), s) }

// Near is the sampled packet of f in the capture of s that is nearest to the number n.
func (f *Flow) Near(s Side, n uint64) exchange.Point { return pointNear(f.At[s], n) }

// pointNear returns the sampled packet of f that is nearest to n.
func pointNear(f *exchange.Flow, n uint64) exchange.Point {
	best := f.First
	near := func(p exchange.Point) uint64 { return max(p.Seq, n) - min(p.Seq, n) }
	i, _ := sampleAt(f, n)
	for _, k := range []int{i - 1, i} {
		if k >= 0 && k < len(f.Samples) && near(f.Samples[k]) < near(best) {
			best = f.Samples[k]
		}
	}
	if near(f.Last) < near(best) {
		best = f.Last
	}
	return best
}

// finishFlows counts what each flow lost while the receiver's capture worked.
func (j *joiner) finishFlows() {
	c := j.c
	slices.SortStableFunc(c.Flows, func(x, y *Flow) int { return cmp.Compare(x.start(c), y.start(c)) })
	j.underWay()
	rests := newRests(c)
	for _, f := range c.Flows {
		f.settle(c, rests)
	}
}

func (f *Flow) start(c *Case) int64 {
	for _, s := range [2]Side{f.From, f.From.Other()} {
		if f.At[s] != nil {
			return c.Aligned(f.At[s].First.Nanos, s)
		}
	}
	return 0
}

func (f *Flow) settle(c *Case, rests *rests) {
	s, to := f.At[f.From], f.From.Other()
	if s == nil {
		f.Sent = f.At[to].Seqs.Len()
		return
	}
	f.Sent = s.Seqs.Len()
	r := f.At[to]
	if r == nil {
		r = &exchange.Flow{}
	}
	if f.Foreign || c.Story(to) == nil {
		return
	}
	f.Twice = max(0, r.Duplicates-s.Duplicates)
	if c.Parties[to].copiesOwn {
		f.Twice = 0
	}
	arrived := r.Whole()
	for gap := range s.Seqs.Minus(arrived) {
		f.Missing += gap.Len()
		lost, beyond := c.coveredPart(f, s, r, gap)
		f.Sent -= gap.Len() - lost.n
		f.Lost += lost.n
		f.Beyond += beyond
		if lost.n > 0 {
			f.Tail = lost.run
		}
		if lost.n > 0 && len(f.Gaps) < MaxGaps {
			f.Gaps = append(f.Gaps, lost.run)
			f.Gap = append(f.Gap, pointNear(s, lost.run.Low))
		}
	}
	f.settleSplit(c, r, arrived, rests)
}

type covered struct {
	run exchange.Interval
	n   uint64
}

// coveredPart cuts a gap to the numbers that were sent while the receiver's capture worked. Between
// two numbers that arrived it did, unless packets overtake each other on the way: near the ends,
// one may have come before the capture, or come after it. beyond are those of Flow.Beyond.
func (c *Case) coveredPart(f *Flow, s, r *exchange.Flow, gap exchange.Interval) (lost covered, beyond uint64) {
	v := &c.Parties[f.From.Other()].Coverage
	if !c.Overlap || v.From == 0 || v.hides[f.kind()] || v.Deaf {
		return covered{}, 0
	}
	untimed := c.Untimed()
	timeless := untimed || c.Clock.Uneven()
	if room := r.Displaced; r.Packets > 0 && gap.Low > r.Seqs.Min() && gap.High < r.Seqs.Max() &&
		(timeless || gap.Low > r.Seqs.Min()+room && gap.High+room < r.Seqs.Max()) {
		return covered{gap, gap.Len()}, 0
	}
	sent := func(n uint64) int64 { return c.Aligned(timeOf(s, n), f.From) }
	seen := within(gap, func(n uint64) bool {
		early, late := between(s, n)
		return c.due(f.From.Other(), c.Aligned(early, f.From)) && c.due(f.From.Other(), c.Aligned(late, f.From))
	})
	if r.Packets > 0 || v.cutShort {
		return seen, 0
	}
	wide := within(gap, func(n uint64) bool { return v.Covers(sent(n)) })
	switch {
	case untimed && wide.n < fewestInMargin:
		return covered{}, 0 // nothing tells that it was not the last packet
	case !untimed && (wide.n < fewestInMargin ||
		sent(wide.run.High)-sent(wide.run.Low) < max(shortestInMargin, c.underway(f.From.Other()))):
		coarse := c.Coarse()
		if coarse == 0 || wide.n == 0 ||
			sent(wide.run.High)-sent(wide.run.Low)+coarse < max(shortestInMargin, c.grace-coarse) {
			return seen, 0
		}
		// it may well have taken so long, and the order tells more than the times
		wide = within(gap, func(n uint64) bool { return v.shared[A].reaches(&v.shared[B], sent(n)) })
		if wide.n < max(fewestInMargin, seen.n) {
			return seen, 0
		}
	}
	return seen, wide.n - seen.n
}

// A flow of which the receiver's capture holds nothing may also be lost in the margins of that
// capture, where nothing speaks against it, and nothing proves it. What begins as the capture ends
// is on its way, and no more: only so many packets over so long a time are more than that.
const (
	fewestInMargin   = 3
	shortestInMargin = 300_000_000
)

// due says whether the capture of s would hold a packet that was sent to it at the aligned time t:
// it holds others from before and from after the time in which that must have arrived. Of what is
// on its way when a capture begins or ends nobody knows anything.
func (c *Case) due(s Side, t int64) bool {
	v := &c.Parties[s].Coverage
	if c.Untimed() { // only the order tells
		return v.shared[A].reaches(&v.shared[B], t)
	}
	late := c.underway(s)
	return v.saw(t-late/2) && v.saw(t+late)
}

// within cuts a run to the numbers for which at holds, given that it holds for one stretch of them.
func within(gap exchange.Interval, at func(uint64) bool) covered {
	low, high := gap.Low, gap.High
	if !at(low) {
		low = firstTrue(gap, at)
	}
	if low > gap.High {
		return covered{}
	}
	if !at(high) {
		high = firstTrue(exchange.Interval{Low: low, High: high}, func(n uint64) bool { return !at(n) }) - 1
	}
	n := high - low + 1
	return covered{exchange.Interval{Low: low, High: high}, n}
}

// firstTrue returns the first number of the run for which ok holds, given that it holds for all
// behind one; one more than the run without any.
func firstTrue(run exchange.Interval, ok func(uint64) bool) uint64 {
	low, high := run.Low, run.High+1
	for low < high {
		mid := low + (high-low)/2
		if ok(mid) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}

// spread is by how much the sampled delays differ.
func (f *Flow) spread() int64 {
	all := flowObservations(f, exchange.MaxSamples)
	if len(all) == 0 {
		return 0
	}
	low, high := all[0].diff(), all[0].diff()
	for _, o := range all {
		low, high = min(low, o.diff()), max(high, o.diff())
	}
	return high - low
}
