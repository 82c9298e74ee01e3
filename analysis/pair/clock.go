package pair

import (
	"cmp"
	"math"
	"slices"

	"github.com/moncap/moncap/internal/nearly"
)

// observation is one packet seen on both sides. Every packet bounds the offset of the clocks, since
// no delay is negative: for A->B, b-a >= offset; for B->A, b-a <= offset (RFC 5905, Section 10,
// takes the smallest delays for the same reason).
type observation struct {
	a, b  int64
	from  Side
	frame int32 // in A's capture: the order in which things happened, whatever the clocks say
	there int32 // its frame in B's
	sure  bool  // it is known for one packet, whatever the clocks say
}

func (o observation) diff() int64 { return o.b - o.a }

// maxDrift is the largest drift that is taken for a drift, in nanoseconds a nanosecond: NTP's own
// limit of slewing (RFC 5905, Section 11.3). Above it a clock was set.
const maxDrift = 500e-6

// maxSteps bounds how many steps of a clock are looked for.
const maxSteps = 8

// drift is only told from enough packets over enough time.
const (
	driftPairs = 4
	driftSpan  = 20e9
)

// segment is a stretch of B's clock between steps.
type segment struct {
	to       int64   // B's clock at which the segment ends
	at       int64   // B's clock at which offset holds
	offset   float64 // nanoseconds, B - A
	slope    float64 // nanoseconds a nanosecond
	low      *float64
	high     *float64
	pairs    [2]int
	from     int64 // A's clock at which it begins
	hasDrift bool
	cut      [2]observation // the last packet of it and the first one behind it, where the clocks' relation jumps
	vague    float64        // of coarse times: how far offset may be wrong where no delay tells
}

// toA returns B's time t on A's clock.
func (c *Clock) toA(t int64) int64 {
	for i := range c.segments {
		s := &c.segments[i]
		if t < s.to || i == len(c.segments)-1 {
			return t - int64(math.Round(s.offset+s.slope*float64(t-s.at)))
		}
	}
	return t - c.Offset
}

// toB returns A's time t on B's clock.
func (c *Clock) toB(t int64) int64 {
	for i := range c.segments {
		s := &c.segments[i]
		b := t + int64(math.Round(s.offset))
		b += int64(math.Round(s.slope * float64(b-s.at)))
		if b < s.to || i == len(c.segments)-1 {
			return b
		}
	}
	return t + c.Offset
}

// fitClock estimates the clocks' relation from matched packets; nil without any. coarse is
// Case.units, by which the packets' differences were widened.
func fitClock(all []observation, coarse int64) *Clock {
	if len(all) == 0 {
		return nil
	}
	nearly.Sort(all,
		func(x, y observation) int { return cmp.Or(cmp.Compare(x.frame, y.frame), cmp.Compare(x.a, y.a)) })
	segments := split(all, maxSteps, float64(coarse))
	best := 0
	for i, s := range segments {
		if s.pairs[A]+s.pairs[B] > segments[best].pairs[A]+segments[best].pairs[B] {
			best = i
		}
	}
	s := segments[best]
	c := &Clock{
		Offset: int64(math.Round(s.offset)), Low: rounded(s.low), High: rounded(s.high), Drift: s.slope * 1e6,
		HasDrift: s.hasDrift, segments: segments, Method: method(s), vague: int64(s.vague),
	}
	for i, s := range segments {
		c.Pairs[A] += s.pairs[A]
		c.Pairs[B] += s.pairs[B]
		if i > 0 {
			c.Steps = append(c.Steps, Step{s.from, int64(s.offset - segments[i-1].offset)})
		}
	}
	if s.low != nil && s.high != nil {
		c.RTT = int64(*s.high - *s.low)
	}
	return c
}

func rounded(f *float64) *int64 {
	if f == nil {
		return nil
	}
	n := int64(math.Round(*f))
	return &n
}

func method(s segment) string {
	switch {
	case s.low == nil || s.high == nil:
		return "smallest delay in one direction: a bound"
	case s.hasDrift:
		return "smallest delays in both directions, drift by the widest line between their convex hulls"
	}
	return "smallest delays in both directions"
}

// split fits one line, and where none fits, because a clock was set, one to each side of the jump.
func split(all []observation, budget int, coarse float64) []segment {
	s, ok := fitSegment(all, coarse)
	if ok || budget == 0 || len(all) < 2 {
		s.to = math.MaxInt64
		if coarse > 0 && ok {
			s.narrow(all, coarse)
		}
		return []segment{s}
	}
	cut := jump(all)
	left, right := split(all[:cut], budget/2, coarse), split(all[cut:], budget/2, coarse)
	left[len(left)-1].to, left[len(left)-1].cut = all[cut-1].b/2+all[cut].b/2, [2]observation{all[cut-1], all[cut]}
	return append(left, right...)
}

// jump returns the index at which the offset changes most, by the medians of a few packets on
// either side.
func jump(all []observation) int {
	const reach = 4
	best, at := int64(-1), len(all)/2
	for i := 1; i < len(all); i++ {
		before := medianDiff(all[max(0, i-reach):i])
		after := medianDiff(all[i:min(len(all), i+reach)])
		d := after - before
		if d < 0 {
			d = -d
		}
		if d > best {
			best, at = d, i
		}
	}
	leap := func(i int) int64 { return distance(all[i].diff(), all[i-1].diff()) }
	for i := max(1, at-reach); i < min(len(all), at+reach); i++ { // the medians are the same a little before and behind
		if leap(i) > 2*leap(at) {
			at = i
		}
	}
	return at
}

func medianDiff(some []observation) int64 {
	d := make([]int64, len(some))
	for i, o := range some {
		d[i] = o.diff()
	}
	slices.Sort(d)
	return d[len(d)/2]
}

// fitSegment lays the line offset(t) between the packets of both directions such that it
// keeps the largest distance to both clouds: the widest line between their convex hulls. For
// one direction the hull is the linear program of Moon, Skelly and Towsley (INFOCOM 1999,
// doi 10.1109/INFCOM.1999.749287); for both at once it is the method of Poirier, Roy and
// Dagenais (ACM SIGOPS Operating Systems Review 44(3), 2010). It is false when no line with
// a possible drift fits.
func fitSegment(all []observation, coarse float64) (segment, bool) {
	mid, base := all[len(all)/2], all[0].diff()
	var over, under hull // A->B lies over the line, B->A under it: upside down here
	s := segment{at: mid.b, from: all[0].a}
	for _, o := range inTime(all) {
		p := point{float64(o.a - mid.a), float64(o.diff() - base)}
		s.pairs[o.from]++
		if o.from == A {
			over.add(p)
		} else {
			under.add(point{p.t, -p.d})
		}
	}
	for i := range under {
		under[i].d = -under[i].d
	}
	s.hasDrift = s.pairs[A] >= driftPairs && s.pairs[B] >= driftPairs &&
		float64(all[len(all)-1].a-all[0].a) >= max(driftSpan, coarse/maxDrift)
	if s.hasDrift {
		s.slope = widest(over, under)
	}
	fits := s.place(over, under, float64(base))
	if !fits && !s.hasDrift && s.pairs[A] > 0 && s.pairs[B] > 0 {
		s.slope = widest(over, under)
		fits = s.place(over, under, float64(base))
	}
	return s, fits && !s.tooLate(all, coarse)
}

// tooLate says whether one of the packets would have been under way for longer than any is.
func (s *segment) tooLate(all []observation, coarse float64) bool {
	return slices.ContainsFunc(all, func(o observation) bool {
		return math.Abs(float64(o.diff())-s.slope*float64(o.b-s.at)-s.offset) > longestDelay+coarse
	})
}

// inTime are packets in the order of A's clock: one that was set runs through the same time twice.
func inTime(all []observation) []observation {
	byTime := func(x, y observation) int { return cmp.Compare(x.a, y.a) }
	if slices.IsSortedFunc(all, byTime) {
		return all
	}
	return slices.SortedStableFunc(slices.Values(all), byTime)
}

type point struct{ t, d float64 }

// place sets the offset and its bounds for the slope.
func (s *segment) place(over, under []point, base float64) bool {
	high, low := math.Inf(1), math.Inf(-1)
	for _, p := range over {
		high = min(high, p.d-s.slope*p.t)
	}
	for _, p := range under {
		low = max(low, p.d-s.slope*p.t)
	}
	s.low, s.high = nil, nil
	if !math.IsInf(high, 1) {
		h := high + base
		s.high, s.offset = &h, h
	}
	if !math.IsInf(low, -1) {
		l := low + base
		s.low, s.offset = &l, l
	}
	if s.low == nil || s.high == nil {
		return true
	}
	s.offset = (*s.low + *s.high) / 2
	return *s.high >= *s.low
}

// narrow moves the offset to where it asks for the least delays: the widened differences of coarse
// times leave room for some that nothing speaks for.
func (s *segment) narrow(all []observation, coarse float64) {
	low, high := math.Inf(-1), math.Inf(1)
	if s.low != nil {
		low = *s.low
	}
	if s.high != nil {
		high = *s.high
	}
	least, most := math.Inf(-1), math.Inf(1) // of the offsets that ask for none
	for _, o := range all {
		d := float64(o.diff()) - s.slope*float64(o.b-s.at)
		if o.from == A {
			least = max(least, d-coarse)
		} else {
			most = min(most, d+coarse)
		}
	}
	switch from, to := max(low, least), min(high, most); {
	case !math.IsInf(from, 0) && !math.IsInf(to, 0):
		s.offset = min(max((from+to)/2, low), high)
		s.vague = max(0, to-from)
	case !math.IsInf(from, 0):
		s.offset = from
	case !math.IsInf(to, 0):
		s.offset = to
	}
}

// widest returns the slope within the possible drift for which the gap between the hulls is
// largest. The gap is concave in the slope, so thirds of the interval can be ruled out one after
// the other.
func widest(over, under []point) float64 {
	gap := func(slope float64) float64 {
		high, low := math.Inf(1), math.Inf(-1)
		for _, p := range over {
			high = min(high, p.d-slope*p.t)
		}
		for _, p := range under {
			low = max(low, p.d-slope*p.t)
		}
		return high - low
	}
	low, high := -maxDrift, maxDrift
	for range 60 {
		third := (high - low) / 3
		if gap(low+third) < gap(high-third) {
			low += third
		} else {
			high -= third
		}
	}
	return (low + high) / 2
}

// hull is the lower convex hull of points that are added in the order of time (Andrew's monotone
// chain).
type hull []point

func (h *hull) add(p point) {
	all := *h
	for len(all) >= 2 && cross(all[len(all)-2], all[len(all)-1], p) <= 0 {
		all = all[:len(all)-1]
	}
	*h = append(all, p)
}

func cross(o, a, b point) float64 { return (a.t-o.t)*(b.d-o.d) - (a.d-o.d)*(b.t-o.t) }
