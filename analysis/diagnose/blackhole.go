package diagnose

import (
	"fmt"
	"math"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// fewest is how many packets on each side of a size make it a limit and no chance.
const fewest = 5

func mtuBlackHole(j *judge) []report.Finding {
	if !j.c.TwoSided() || j.sizeIsTold() {
		return nil
	}
	var all []report.Finding
	for _, s := range pair.Both {
		z := j.sizesOf(s)
		if z.lost < fewest || z.delivered < fewest || len(z.different) < 2 || z.smallest <= z.largest {
			continue
		}
		if z.lastLost < z.firstDelivered {
			continue // nothing at all arrived until then: that is a matter of time and not of size
		}
		all = append(all, report.Finding{
			Confidence: report.Probable,
			Explanation: fmt.Sprintf("From %s to %s, frames of up to %d bytes arrive and those from %d bytes on do not, "+
				"and nobody says why: a link takes less than it should.", j.name(s), j.name(s.Other()), z.largest, z.smallest),
			Evidence: z.evidence,
			Actions:  j.withinBounds(s, z),
			Subject:  sentBy(s),
			Fields:   map[string]any{"largest_delivered": z.largest, "smallest_lost": z.smallest},
		})
	}
	return all
}

// sizeIsTold says whether something speaks of sizes itself: a device by its ICMP errors, or
// fragments that do not arrive.
func (j *judge) sizeIsTold() bool {
	return len(facts.TooBig(j.c))+len(facts.FragmentsLost(j.c))+len(j.traffic.Fragments()) > 0
}

// sizes are those of what a side sent, on the wire of its own capture, by what became of it.
type sizes struct {
	delivered, lost   int
	largest, smallest int // of the delivered, of the lost
	// When the first that arrived and the last that was lost were sent, in aligned time.
	firstDelivered, lastLost int64
	// What was lost, repetitions of the same told as one: a single message may be lost for what it is.
	different map[any]bool
	evidence  []report.Evidence
}

func (j *judge) sizesOf(s pair.Side) sizes {
	z := sizes{smallest: 1 << 30, firstDelivered: math.MaxInt64, lastLost: math.MinInt64, different: map[any]bool{}}
	for m, t := range j.c.Sent(s, 0) {
		x := t.At[s]
		if x == nil || facts.Fragmented(t) {
			continue
		}
		switch t.Fate {
		case pair.Lost:
			z.lose(m.Content, int(x.Size), s, int(x.Frame), t.Aligned)
		case pair.Delivered:
			z.deliver(int(x.Size), t.Aligned)
		}
	}
	for _, f := range j.c.Flows {
		sent, got := f.At[s], f.At[s.Other()]
		if f.From == s && sent != nil && got != nil {
			z.addFlow(j.c, f, sent, got)
		}
	}
	return z
}

// withinBounds advises on a limit between two sizes: values only where they are near enough to each
// other to stand for it.
func (j *judge) withinBounds(s pair.Side, z sizes) []report.Action {
	const ethernet, near = 14, 64
	passes, fails := z.largest-ethernet, z.smallest-ethernet
	if fails-passes > near {
		return []report.Action{j.findSize(s, passes, fails)}
	}
	return j.smaller(s, passes, fails)
}

// addFlow takes the sampled packets of a flow in; of a short flow these are all.
func (z *sizes) addFlow(c *pair.Case, f *pair.Flow, sent, got *exchange.Flow) {
	s := f.From
	for _, p := range sent.Samples {
		at := c.Aligned(p.Nanos, s)
		switch {
		case p.Pieces > 0: // its frames are smaller than it
		case got.Seqs.Has(p.Seq):
			z.deliver(int(p.Size), at)
		case f.Lost > 0 && p.Seq > got.Seqs.Min() && p.Seq < got.Seqs.Max():
			z.lose([2]uint64{uint64(f.SPI), p.Seq}, int(p.Size), s, int(p.Frame), at)
		}
	}
}

func (z *sizes) deliver(size int, at int64) {
	z.delivered++
	z.firstDelivered = min(z.firstDelivered, at)
	z.largest = max(z.largest, size)
}

func (z *sizes) lose(what any, size int, s pair.Side, frame int, at int64) {
	const shown = 8
	z.lost++
	z.lastLost = max(z.lastLost, at)
	z.smallest = min(z.smallest, size)
	z.different[what] = true
	if len(z.evidence) < shown {
		z.evidence = append(z.evidence, report.Evidence{Side: sideOf(s), Frame: frame, Note: "too large, it seems"})
	}
}
