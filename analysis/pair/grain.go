package pair

import (
	"cmp"
	"iter"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
)

// Some captures have coarse times: whole seconds, as some tools write them, or milliseconds. A
// packet of such a time was there at that time or later, by less than the grain. Where in between
// is told by the order of the packets, and by the other capture of those that both hold; what is
// left open after that is the doubt of all comparisons of times.

// unit is the grain of the times of s's capture, milliseconds included.
func (c *Case) unit(s Side) exchange.Grain {
	if story := c.Story(s); story != nil && !c.Parties[s].Untimed {
		return story.Grain
	}
	return exchange.Grain{}
}

// grain is that of a capture in which it matters for more than the clocks: what is finer, all
// comparisons of times have room for.
func (c *Case) grain(s Side) exchange.Grain {
	if g := c.unit(s); g.Size > jitter {
		return g
	}
	return exchange.Grain{}
}

// Stamp is the time that the capture of s gives to a packet that is taken to be from t.
func (c *Case) Stamp(s Side, t int64) int64 {
	if p := &c.Parties[s]; p.Untimed {
		return p.Stamp
	}
	for _, x := range slices.Backward(c.Parties[s].Set) {
		if x.at <= t {
			t += x.By
		}
	}
	return c.unit(s).Floor(t)
}

// Unit is of what all times of s's capture are whole numbers, nanoseconds, where that is coarse
// enough to matter; 0 where it is not.
func (c *Case) Unit(s Side) int64 { return c.grain(s).Size }

// Coarse is by how much times of one capture and the other may be further apart than those of its
// packets say, nanoseconds: 0 where both are fine.
func (c *Case) Coarse() int64 { return c.grain(A).Size + c.grain(B).Size }

// worked are the aligned times between which the capture of s was at work, at the least.
func (c *Case) worked(s Side) (from, to int64) {
	if c.grain(s).Size > 0 {
		x := &c.Parties[s].surely
		return c.Aligned(x[0], s), c.Aligned(x[1], s)
	}
	return c.Aligned(c.Story(s).First, s), c.Aligned(c.Story(s).Last, s)
}

// widened is o as far as it surely bounds the offset, with what coarse times leave open.
func (c *Case) widened(o observation) observation {
	a, b := c.unit(A), c.unit(B)
	o.a, o.b = a.Floor(o.a), b.Floor(o.b)
	if o.from == A {
		o.b += b.Size
	} else {
		o.a += a.Size
	}
	return o
}

// units is how far apart from the truth the times of one capture and the other may be together.
func (c *Case) units() int64 { return c.unit(A).Size + c.unit(B).Size }

// fit estimates the clocks' relation. Of milliseconds the doubt counts where a clock would have to
// have been set without it: on a path that is shorter.
func (c *Case) fit(all []observation) *Clock {
	coarse, units := c.Coarse() > 0, c.units()
	var fine *Clock
	if !coarse {
		if fine = fitClock(all, 0); fine == nil || len(fine.Steps) == 0 || units == 0 {
			return fine
		}
	}
	for i := range all {
		all[i] = c.widened(all[i])
	}
	if wide := fitClock(all, units); coarse || len(wide.Steps) < len(fine.Steps) {
		return wide
	}
	return fine
}

// moment is between when a packet was captured, by its capture's clock.
type moment struct {
	frame       int
	early, late int64
	at          int64 // what is taken for it
}

// refine gives the packets of a coarse capture times that are in their order, and agree with the
// other capture as far as that tells anything.
func (j *joiner) refine(s Side) {
	g, coarse := j.c.unit(s), j.c.grain(s).Size > 0
	if g.Size == 0 || !coarse && (j.c.Clock == nil || j.c.unit(s.Other()).Size >= g.Size) {
		return // it is no worse than the other one, or nothing tells better
	}
	all := j.moments(s, g)
	if len(all) == 0 {
		return
	}
	if j.c.Clock != nil {
		j.anchor(s, all)
	}
	for rest := all; len(rest) > 0; {
		n := 1
		for n < len(rest) && g.Floor(rest[n].early) >= g.Floor(rest[n-1].early) {
			n++ // a clock that is set back, or the packets of several interfaces, begin anew
		}
		inOrder(rest[:n])
		rest = rest[n:]
	}
	p := &j.c.Parties[s]
	story := p.Story
	first, last := g.Floor(story.First), g.Floor(story.Last)
	p.surely, p.vague = [2]int64{first + g.Size - 1, last}, 0
	story.First, story.Last = all[0].at, all[0].at
	for _, m := range all {
		p.surely = [2]int64{min(p.surely[0], m.late), max(p.surely[1], m.early)}
		story.First, story.Last = min(story.First, m.at), max(story.Last, m.at)
		p.vague = max(p.vague, m.late-m.early)
	}
	if first < g.Floor(story.First) { // what is not kept shows, too, when the capture was at work
		story.First = first + g.Size - 1
	}
	if last > g.Floor(story.Last) {
		story.Last = last
	}
	for frame, nanos := range j.times(s) {
		if i, ok := slices.BinarySearchFunc(all, frame, moment.ofFrame); ok {
			*nanos = all[i].at
		}
	}
}

func (m moment) ofFrame(frame int) int { return cmp.Compare(m.frame, frame) }

// moments are those of the packets of s's story, in their order.
func (j *joiner) moments(s Side, g exchange.Grain) []moment {
	var all []moment
	for frame, nanos := range timesOf(j.c.Story(s)) {
		if frame > 0 {
			t := g.Floor(*nanos)
			all = append(all, moment{frame: frame, early: t, late: t + g.Size - 1})
		}
	}
	slices.SortFunc(all, func(x, y moment) int { return cmp.Compare(x.frame, y.frame) })
	return slices.CompactFunc(all, func(x, y moment) bool { return x.frame == y.frame })
}

// times are those of s's story and of the flows that were made of it, with their frames.
func (j *joiner) times(s Side) iter.Seq2[int, *int64] {
	return func(yield func(int, *int64) bool) {
		for frame, nanos := range timesOf(j.c.Story(s)) {
			if !yield(frame, nanos) {
				return
			}
		}
		for x := range j.made(s) {
			for frame, nanos := range timesOfFlow(x) {
				if !yield(frame, nanos) {
					return
				}
			}
		}
	}
}

// made are the flows that were made of those of s's story.
func (j *joiner) made(s Side) iter.Seq[*exchange.Flow] {
	return func(yield func(*exchange.Flow) bool) {
		for _, f := range j.c.Flows {
			if f.At[s] != nil && !yield(f.At[s]) {
				return
			}
			for i := range f.moved[s] {
				if !yield(&f.moved[s][i]) {
					return
				}
			}
		}
	}
}

// anchor narrows the moments of what the other capture holds too.
func (j *joiner) anchor(s Side, all []moment) {
	c := j.c
	o := s.Other()
	other := c.grain(o)
	at := func(frame int32, t int64) {
		i, ok := slices.BinarySearchFunc(all, int(frame), moment.ofFrame)
		if !ok {
			return
		}
		from, to := t, t
		if other.Size > 0 && !j.refined[o] {
			from = other.Floor(t)
			to = from + other.Size - 1
		}
		m := &all[i]
		from, to = c.clockOf(s, from, o), c.clockOf(s, to, o)
		m.early, m.late = min(max(m.early, from), m.late), max(min(m.late, to), m.early)
	}
	for _, x := range j.inBoth() {
		at(x[s].Frame, x[o].Nanos)
	}
	j.refined[s] = true
}

// inBoth are the packets that both captures hold, with who sent them: frame and time in each.
func (j *joiner) inBoth() iter.Seq2[Side, [2]exchange.Point] {
	return func(yield func(Side, [2]exchange.Point) bool) {
		for _, l := range j.links {
			for _, t := range l.Transmissions() {
				a, b := t.At[A], t.At[B]
				if a == nil || b == nil {
					continue
				}
				if !yield(l.From, [2]exchange.Point{{Frame: a.Frame, Nanos: a.Nanos}, {Frame: b.Frame, Nanos: b.Nanos}}) {
					return
				}
			}
		}
		for _, f := range j.c.Flows {
			for a, b := range f.pairs(exchange.MaxSamples) {
				if !yield(f.From, [2]exchange.Point{a, b}) {
					return
				}
			}
		}
	}
}

// turnAround bounds the round trip by the order in a capture of coarse times, of which the other
// one is the clock: what it sent behind what it received arrived after that had been sent.
func (j *joiner) turnAround() {
	c := j.c
	for _, s := range Both {
		o := s.Other()
		if c.Clock == nil || c.Clock.RTT == 0 || c.grain(s).Size == 0 || c.grain(o).Size > 0 {
			continue
		}
		type pass struct {
			frame int32
			from  Side
			at    int64 // by the other side's clock
		}
		var all []pass
		for from, x := range j.inBoth() {
			all = append(all, pass{x[s].Frame, from, x[o].Nanos})
		}
		slices.SortFunc(all, func(x, y pass) int { return cmp.Compare(x.frame, y.frame) })
		last, some := int64(0), false
		for _, p := range all {
			if p.from == o && (!some || p.at > last) {
				last, some = p.at, true
			} else if p.from == s && some && p.at > last {
				c.Clock.RTT = min(c.Clock.RTT, p.at-last)
			}
		}
	}
}

// clockOf is the time t of o's clock on the clock of s.
func (c *Case) clockOf(s Side, t int64, o Side) int64 {
	if s == A {
		return c.Aligned(t, o)
	}
	return c.Clock.toB(t)
}

// inOrder narrows moments to what their order leaves of them, and spreads what is left over it.
func inOrder(all []moment) {
	for i := 1; i < len(all); i++ {
		all[i].early = max(all[i].early, all[i-1].early)
	}
	for i := len(all) - 2; i >= 0; i-- {
		all[i].late = min(all[i].late, all[i+1].late)
	}
	last := all[0].early
	for from := 0; from < len(all); {
		all[from].late = max(all[from].late, all[from].early) // nothing that is known fits
		to := from + 1
		for to < len(all) && max(all[to].late, all[to].early) == all[from].late {
			to++
		}
		for i := from; i < to; i++ {
			last = max(last, all[i].early)
			last += (all[from].late - last) / int64(to-i+1)
			all[i].at, all[i].late = last, all[from].late
		}
		from = to
	}
}
