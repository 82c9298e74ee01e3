package pair

import (
	"cmp"
	"iter"
	"math"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
)

// A router's clock may be set while a capture runs. The times behind such a step are then moved to
// where they would be if it had not been, so that everything else counts on one clock from the
// first packet to the last one. How far is told by the packets that the other capture holds too;
// without any, by no more than their order: nothing is known then of how long nothing was captured
// at the step.

// ClockSet is a step of a capture's own clock.
type ClockSet struct {
	Frame int   // the first behind it
	By    int64 // nanoseconds that the clock was set ahead by, negative for back: at the least, unless Known
	Known bool  // the other capture tells by how much
	Shown bool  // the capture shows by itself that it was this clock: it went back
	at    int64 // the time of that frame, by the clock that was not set
}

// setBack undoes the steps back that the capture of s shows by itself, see exchange.Run.
func (j *joiner) setBack(s Side) {
	story := j.c.Story(s)
	if story == nil || len(story.Runs) < 2 {
		return
	}
	all := j.shared(s)
	unit := max(story.Grain.Size, 1)
	moved := int64(0) // by how much the times of the run before are
	var shifts []shift
	first, last := story.Runs[0].First, story.Runs[0].Last
	for i := 1; i < len(story.Runs); i++ {
		r, until := &story.Runs[i], math.MaxInt
		if i+1 < len(story.Runs) {
			until = story.Runs[i+1].Frame
		}
		at := inFrames(all, r.Frame)
		by, known := jumped(all[:at], all[at:][:inFrames(all[at:], until)])
		// Where both clocks go on alike, or numbers that only go up go back as well, it is the file that
		// is in no order.
		if known && by < r.Back/2 || !known && countsBack(story, story.Runs[i-1].Frame, r.Frame, until) {
			first, last = min(first, r.First+moved), max(last, r.Last+moved)
			continue
		}
		by = max(by, r.Back+1)             // what comes behind it is later
		by = (by + unit - 1) / unit * unit // what is whole in units stays so
		for k := at; k < len(all); k++ {
			all[k].diff -= by
		}
		moved += by
		shifts = append(shifts, shift{r.Frame, moved})
		first, last = min(first, r.First+moved), max(last, r.Last+moved)
		j.c.Parties[s].Set = append(j.c.Parties[s].Set, ClockSet{r.Frame, -by, known, true, r.First + moved})
	}
	if len(shifts) > 0 {
		story.First, story.Last = first, last
		j.move(s, shifts)
	}
	story.Runs = nil
}

// countsBack says whether what a file holds from the frame at on, until another one, is from before
// what it holds from the frame from on: by the numbers that only go up, those of ESP and AH packets
// (RFC 4303, Section 2.2) and message IDs (RFC 7296, Section 2.2; of IKEv1, zero comes first).
func countsBack(story *exchange.Story, from, at, until int) bool {
	back, on := 0, 0
	vote := func(before, behind uint64) {
		switch {
		case behind < before:
			back++
		case behind > before:
			on++
		}
	}
	for _, f := range story.Flows {
		var before, behind *exchange.Point // nearest to the frame
		for i := range f.Samples {
			switch p := &f.Samples[i]; {
			case int(p.Frame) < at && (before == nil || p.Frame > before.Frame):
				before = p
			case int(p.Frame) >= at && (behind == nil || p.Frame < behind.Frame):
				behind = p
			}
		}
		if before != nil && behind != nil {
			vote(before.Seq, behind.Seq)
		}
	}
	type counter struct {
		spi                 ike.SPI
		initiator, response bool
	}
	highest := map[counter]uint64{}
	each := func(from, until int, do func(c counter, id uint64)) {
		for m := range story.Messages.All() {
			frame := int(m.Sent()[0].Frame)
			if frame < from || frame >= until {
				continue
			}
			id := uint64(m.MessageID)
			if m.Major() == 1 {
				id = min(id, 1)
			}
			do(counter{m.SPIi, m.Initiator(), m.Response()}, id)
		}
	}
	each(from, at, func(c counter, id uint64) { highest[c] = max(highest[c], id) })
	each(at, until, func(c counter, id uint64) {
		if before, ok := highest[c]; ok {
			vote(before, id)
		}
	})
	return back > on
}

// shared is a packet that both captures hold, as one of them has it, and by how much the other's
// clock is ahead there.
type shared struct {
	frame int
	src   netip.Addr
	diff  int64
}

// inFrames is how many of the packets are from before a frame.
func inFrames(all []shared, frame int) int {
	i, _ := slices.BinarySearchFunc(all, frame, func(x shared, f int) int { return cmp.Compare(x.frame, f) })
	return i
}

// shared are the packets that need no clock to be told as those of both captures, in the order of
// the capture of s.
func (j *joiner) shared(s Side) (all []shared) {
	o := s.Other()
	if j.c.Story(o) == nil {
		return nil
	}
	for _, l := range j.links {
		if x, y, ok := single(l); ok {
			at := [2]*exchange.Sight{x, y}
			all = append(all, shared{int(at[s].Frame), at[s].Src.Addr(), at[o].Nanos - at[s].Nanos})
		} else if l.at[A] != nil && l.at[B] != nil {
			src := l.at[s].Sent()[0].Src.Addr()
			for x := range numbered(l) {
				all = append(all, shared{x.frames(s), src, x.ahead(s)})
			}
		}
	}
	for x, y := range sameFlows(j.c.Story(s), j.c.Story(o)) {
		f := Flow{At: [2]*exchange.Flow{x, y}}
		for p, q := range f.pairs(exchange.MaxSamples) {
			all = append(all, shared{int(p.Frame), x.Src.Addr(), q.Nanos - p.Nanos})
		}
	}
	slices.SortFunc(all, func(x, y shared) int { return cmp.Compare(x.frame, y.frame) })
	return all
}

// ahead is by how much the clock of the side that is not s is ahead.
func (o observation) ahead(s Side) int64 {
	if s == A {
		return o.diff()
	}
	return -o.diff()
}

// sameFlows yields the flows of which each capture holds but one by its SPI.
func sameFlows(a, b *exchange.Story) iter.Seq2[*exchange.Flow, *exchange.Flow] {
	return func(yield func(x, y *exchange.Flow) bool) {
		of := [2]map[uint32]*exchange.Flow{{}, {}}
		for i, story := range [2]*exchange.Story{a, b} {
			for _, f := range story.Flows {
				if _, again := of[i][f.SPI]; again {
					of[i][f.SPI] = nil
				} else {
					of[i][f.SPI] = f
				}
			}
		}
		for _, f := range a.Flows {
			if y := of[1][f.SPI]; of[0][f.SPI] == f && y != nil && !yield(f, y) {
				return
			}
		}
	}
}

// jumped is by how much the other clock got ahead between the last of some packets and the first of
// others: by those of one direction, where there are such, since both ways need not be equally
// long.
func jumped(before, behind []shared) (by int64, known bool) {
	const few, reach = 4, 64
	before, behind = before[max(0, len(before)-reach):], behind[:min(len(behind), reach)]
	if len(before) == 0 || len(behind) == 0 {
		return 0, false
	}
	of := func(src netip.Addr) (last, first []int64) {
		for i := len(before) - 1; i >= 0 && len(last) < few; i-- {
			if !src.IsValid() || before[i].src == src {
				last = append(last, before[i].diff)
			}
		}
		for i := 0; i < len(behind) && len(first) < few; i++ {
			if !src.IsValid() || behind[i].src == src {
				first = append(first, behind[i].diff)
			}
		}
		return last, first
	}
	n := int64(0)
	seen := map[netip.Addr]bool{}
	for _, x := range before {
		if seen[x.src] {
			continue
		}
		seen[x.src] = true
		if last, first := of(x.src); len(first) > 0 {
			by += median(first) - median(last)
			n++
		}
	}
	if n == 0 {
		last, first := of(netip.Addr{})
		return median(first) - median(last), true
	}
	return by / n, true
}

func median(all []int64) int64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// even undoes the steps that the relation of the clocks shows, where one at a frame of one of the
// captures explains it, and says whether there were any. all are the packets that it is told by.
func (j *joiner) even(all []observation) (any bool) {
	c := j.c
	again := func(f *Flow) bool { return f.InBoth() && !f.numbersOnce() }
	if j.c.units() > 0 || slices.ContainsFunc(j.c.Flows, again) {
		return false // it does not show where the step is, or maybe there is none
	}
	for range maxSteps {
		if !c.Clock.Uneven() || !j.evenOne(all) {
			break
		}
		any = true
	}
	return any
}

// evenOne undoes the first of the steps that can be explained.
func (j *joiner) evenOne(all []observation) bool {
	c := j.c
	for i := 1; i < len(c.Clock.segments); i++ {
		jump := int64(c.Clock.segments[i].offset - c.Clock.segments[i-1].offset)
		cut := c.Clock.segments[i-1].cut
		for _, x := range j.mayBeSet(all, cut, jump) {
			by := x.By // of that side's clock
			moved := slices.Clone(all)
			for k := range moved {
				if o := &moved[k]; o.frames(x.side) >= x.Frame {
					*o.time(x.side) -= by
				}
			}
			clock := c.fit(slices.Clone(moved))
			if len(clock.segments) >= len(c.Clock.segments) {
				continue
			}
			copy(all, moved)
			c.Clock = clock
			j.undo(x.side, x.ClockSet)
			return true
		}
	}
	return false
}

// undo moves the times of s behind a step.
func (j *joiner) undo(s Side, x ClockSet) {
	j.move(s, []shift{{x.Frame, -x.By}})
	story := j.c.Story(s)
	story.Last -= x.By
	set := &j.c.Parties[s].Set
	k, again := slices.BinarySearchFunc(*set, x.Frame, func(x ClockSet, f int) int { return cmp.Compare(x.Frame, f) })
	if again {
		(*set)[k].By += x.By
		(*set)[k].Known = true
	} else {
		*set = slices.Insert(*set, k, x)
	}
	j.stamp(s)
}

// stamp finds when the frames at which the clock of s was set are from.
func (j *joiner) stamp(s Side) {
	set := j.c.Parties[s].Set
	if len(set) == 0 {
		return
	}
	all := j.moments(s, exchange.Grain{Size: 1})
	for i := range set {
		if k, _ := slices.BinarySearchFunc(all, set[i].Frame, moment.ofFrame); k < len(all) {
			set[i].at = all[k].early
		}
	}
}

// sideSet is a step of the clock of a side.
type sideSet struct {
	ClockSet
	side Side
}

// mayBeSet are the steps that may explain that B's clock got ahead of A's around a cut:
// of a clock that is known to have been set there; of the one that was set ahead; and of one that
// was set back, by less than nothing was captured for.
func (j *joiner) mayBeSet(all []observation, cut [2]observation, jump int64) (some []sideSet) {
	for _, s := range Both {
		by := jump
		if s == A {
			by = -jump
		}
		from, to := cutIn(all, s, cut, jump)
		x := sideSet{ClockSet{By: by, Known: true}, s}
		known := false
		for _, set := range j.c.Parties[s].Set {
			if set.Shown && from < set.Frame && set.Frame <= to {
				x.Frame, known = set.Frame, true
			}
		}
		gap := int64(0)
		if !known {
			x.Frame, gap = j.longestGap(s, from, to)
		}
		switch {
		case known || by > 0 && gap >= by && len(some) > 0:
			some = slices.Insert(some, 0, x)
		case gap >= by || by < 0:
			some = append(some, x)
		}
	}
	return some
}

// cutIn finds the place in the capture of s at which the relation of the clocks jumps: frames of
// the two packets of both captures between which it does. What is under way then comes in another
// order on the other side.
func cutIn(all []observation, s Side, cut [2]observation, jump int64) (from, to int) {
	const reach = 64
	sorted := slices.SortedStableFunc(slices.Values(all),
		func(x, y observation) int { return cmp.Compare(x.frames(s), y.frames(s)) })
	low, high := cut[0].frames(s), cut[1].frames(s)
	at := func(frame int) int {
		i, _ := slices.BinarySearchFunc(sorted, frame, func(o observation, f int) int { return cmp.Compare(o.frames(s), f) })
		return i
	}
	sorted = sorted[max(0, at(min(low, high))-reach):min(len(sorted), at(max(low, high))+1+reach)]
	behind := func(o observation) bool { // as the packets of its direction are
		middle := cut[0].diff() + jump/2
		if o.from == cut[1].from {
			middle = cut[1].diff() - jump/2
		}
		return (o.diff() > middle) == (jump > 0)
	}
	wrong := 0 // if the jump were before all of them
	for _, o := range sorted {
		if !behind(o) {
			wrong++
		}
	}
	best, place := math.MaxInt, 1
	for i, o := range sorted[:len(sorted)-1] {
		if behind(o) {
			wrong++
		} else {
			wrong--
		}
		if wrong < best {
			best, place = wrong, i+1
		}
	}
	return sorted[place-1].frames(s), sorted[place].frames(s)
}

// longestGap is the longest time without a packet in the capture of s between two frames, and the
// first frame behind that.
func (j *joiner) longestGap(s Side, from, to int) (frame int, gap int64) {
	all := j.moments(s, exchange.Grain{Size: 1})
	frame = to
	i, _ := slices.BinarySearchFunc(all, from+1, moment.ofFrame)
	for ; i < len(all) && all[i].frame <= to; i++ {
		if i > 0 && all[i].early-all[i-1].early > gap {
			frame, gap = all[i].frame, all[i].early-all[i-1].early
		}
	}
	return frame, gap
}

func (o observation) frames(s Side) int { return [2]int{int(o.frame), int(o.there)}[s] }

func (o *observation) time(s Side) *int64 { return [2]*int64{&o.a, &o.b}[s] }

// shift is by how much times are moved from a frame on.
type shift struct {
	frame int
	by    int64
}

// move moves the times of s's capture: those of its story, and of the flows that were made of it.
func (j *joiner) move(s Side, shifts []shift) {
	if len(shifts) == 0 {
		return
	}
	by := func(frame int) int64 {
		i, found := slices.BinarySearchFunc(shifts, frame, func(x shift, f int) int { return cmp.Compare(x.frame, f) })
		if found {
			i++
		}
		if i == 0 {
			return 0
		}
		return shifts[i-1].by
	}
	moved := map[*int64]bool{}
	for frame, nanos := range j.times(s) {
		if frame > 0 && !moved[nanos] {
			moved[nanos] = true
			*nanos += by(frame)
		}
	}
	gaps := map[*exchange.Flow]bool{}
	for _, f := range slices.AppendSeq(slices.Clone(j.c.Story(s).Flows), j.made(s)) {
		if !gaps[f] {
			gaps[f] = true
			for _, g := range [2]*exchange.Gap{&f.LongestGap, &f.SecondGap} {
				from, to := by(int(g.Before)), by(int(g.Behind))
				g.From, g.Length = g.From+from, g.Length+to-from
			}
		}
	}
}

// Uneven says whether the clocks' relation jumps, and the times are not put right.
func (c *Clock) Uneven() bool { return c != nil && len(c.segments) > 1 }

// tellSteps adds the steps that were undone to those of the clocks' relation.
func (c *Case) tellSteps() {
	if c.Clock == nil {
		return
	}
	for _, s := range Both {
		for _, x := range c.Parties[s].Set {
			by := x.By
			if s == A {
				by = -by
			}
			c.Clock.Steps = append(c.Clock.Steps, Step{c.Aligned(x.at, s), by})
		}
	}
	slices.SortStableFunc(c.Clock.Steps, func(x, y Step) int { return cmp.Compare(x.Aligned, y.Aligned) })
}
