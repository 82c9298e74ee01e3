package pair

import (
	"cmp"
	"math"
	"slices"
)

// observation is one packet seen on both sides. Every packet bounds the offset of the clocks, since no delay is negative:
// for A->B, b-a >= offset; for B->A, b-a <= offset (RFC 5905, Section 10, takes the smallest delays for the same reason).
type observation struct {
	a, b  int64
	from  Side
	frame int32 // in A's capture: the order in which things happened, whatever the clocks say
}

func (o observation) diff() int64 { return o.b - o.a }

// maxDrift is the largest drift that is taken for a drift, in nanoseconds a nanosecond: NTP's own limit of slewing
// (RFC 5905, Section 11.3). Above it a clock was set.
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

// fitClock estimates the clocks' relation from matched packets; nil without any.
func fitClock(all []observation) *Clock {
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(x, y observation) int { return cmp.Or(cmp.Compare(x.frame, y.frame), cmp.Compare(x.a, y.a)) })
	segments := split(all, maxSteps)
	best := 0
	for i, s := range segments {
		if s.pairs[A]+s.pairs[B] > segments[best].pairs[A]+segments[best].pairs[B] {
			best = i
		}
	}
	s := segments[best]
	c := &Clock{
		Offset: int64(math.Round(s.offset)), Low: rounded(s.low), High: rounded(s.high), Drift: s.slope * 1e6,
		HasDrift: s.hasDrift, segments: segments, Method: method(s),
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
func split(all []observation, budget int) []segment {
	s, ok := fitSegment(all)
	if ok || budget == 0 || len(all) < 2 {
		s.to = math.MaxInt64
		return []segment{s}
	}
	cut := jump(all)
	left, right := split(all[:cut], budget/2), split(all[cut:], budget/2)
	left[len(left)-1].to = all[cut-1].b/2 + all[cut].b/2
	return append(left, right...)
}

// jump returns the index at which the offset changes most, by the medians of a few packets on either side.
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

// fitSegment lays the line offset(t) between the packets of both directions such that it keeps the largest distance to both clouds:
// the widest line between their convex hulls. For one direction the hull is the linear program of Moon, Skelly and Towsley
// (INFOCOM 1999, doi 10.1109/INFCOM.1999.749287); for both at once it is the method of Poirier, Roy and Dagenais (ACM SIGOPS
// Operating Systems Review 44(3), 2010). It is false when no line with a possible drift fits.
func fitSegment(all []observation) (segment, bool) {
	mid, base := all[len(all)/2], all[0].diff()
	fromA := countFrom(all, A)
	over, under := make([]point, 0, fromA), make([]point, 0, len(all)-fromA) // A->B lies over the line, B->A under it
	s := segment{at: mid.b, from: all[0].a}
	for _, o := range all {
		p := point{float64(o.a - mid.a), float64(o.diff() - base)}
		s.pairs[o.from]++
		if o.from == A {
			over = append(over, p)
		} else {
			under = append(under, p)
		}
	}
	byTime := func(x, y point) int { return cmp.Compare(x.t, y.t) }
	slices.SortFunc(over, byTime) // a clock of A that was set runs through the same time twice
	slices.SortFunc(under, byTime)
	over, under = lowerHull(over), upperHull(under)
	s.hasDrift = s.pairs[A] >= driftPairs && s.pairs[B] >= driftPairs && float64(all[len(all)-1].a-all[0].a) >= driftSpan
	if s.hasDrift {
		s.slope = widest(over, under)
	}
	fits := s.place(over, under, float64(base))
	if !fits && !s.hasDrift && s.pairs[A] > 0 && s.pairs[B] > 0 {
		s.slope = widest(over, under)
		fits = s.place(over, under, float64(base))
	}
	return s, fits
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

// widest returns the slope within the possible drift for which the gap between the hulls is largest. The gap is concave in the
// slope, so thirds of the interval can be ruled out one after the other.
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

// lowerHull returns the lower convex hull of points that are sorted by time (Andrew's monotone chain).
func lowerHull(points []point) []point {
	hull := points[:0:0]
	for _, p := range points {
		for len(hull) >= 2 && cross(hull[len(hull)-2], hull[len(hull)-1], p) <= 0 {
			hull = hull[:len(hull)-1]
		}
		hull = append(hull, p)
	}
	return hull
}

func upperHull(points []point) []point {
	mirrored := make([]point, len(points))
	for i, p := range points {
		mirrored[i] = point{p.t, -p.d}
	}
	hull := lowerHull(mirrored)
	for i := range hull {
		hull[i].d = -hull[i].d
	}
	return hull
}

func cross(o, a, b point) float64 { return (a.t-o.t)*(b.d-o.d) - (a.d-o.d)*(b.t-o.t) }
