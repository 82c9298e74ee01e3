package facts

import (
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/pair"
)

// Holes are numbers of one SPI that the receiver's capture lacks between others that it holds, of
// a time of which no capture of their sender tells.
type Holes struct {
	*pair.Flow
	Held, Missing uint64              // numbers, of that time
	Runs          []exchange.Interval // the missing ones, at most pair.MaxGaps
	// the same capture lacks nothing of what its own side sent meanwhile, so it is not the capture
	// that leaves packets out; and few are missing, again and again
	Trusted bool
}

// When missing numbers say that packets are.
const (
	mayCome      = 300_000_000 // nanoseconds after which a number that others have passed comes no more
	fewestHoles  = 2           // one alone may be chance
	trustedHeld  = 20
	trustedParts = 2  // fewer than one in so many are missing
	jumpSlack    = 16 // as many numbers more than the rate explains are no jump,
	jumpFaster   = 8  // nor is a rate that is so many times as high
)

// Holes lists the flows of which the receiver's capture lacks numbers, as far as only it can tell
// and the capture itself is not what left them out.
func (t *Traffic) Holes() []Holes {
	var all []Holes
	for _, s := range pair.Both {
		to := s.Other()
		if t.c.Story(to) == nil || t.leavesOut(to) {
			continue
		}
		own := t.sentHeld(to)
		for _, p := range t.Peers {
			var some []Holes
			missing := uint64(0)
			for _, f := range p.Flows[s] {
				if h, ok := t.holes(f); ok && (own >= trustedHeld || h.Missing <= h.Held) {
					h.Trusted = h.Trusted && own >= trustedHeld
					some, missing = append(some, h), missing+h.Missing
				}
			}
			if missing >= fewestHoles {
				all = append(all, some...)
			}
		}
	}
	return all
}

func (t *Traffic) holes(f *pair.Flow) (Holes, bool) {
	to := f.From.Other()
	x, sent := f.At[to], f.At[f.From]
	if x == nil || x.TCP || x.Restart != nil || f.Lost+f.Beyond > 0 || sent != nil && sent.Restart != nil ||
		len(x.Seqs.Runs()) < 2 {
		return Holes{}, false
	}
	h := Holes{Flow: f, Held: x.Seqs.Len()}
	covered := uint64(0) // of those that are held, and that the sender's capture knows of
	if sent != nil {
		covered = within(x.Seqs.Runs(), exchange.Interval{Low: sent.Seqs.Min(), High: sent.Seqs.Max()})
	}
	h.Held -= covered
	runs := x.Seqs.Runs()
	for i, r := range runs[:len(runs)-1] {
		gap := exchange.Interval{Low: r.High + 1, High: runs[i+1].Low - 1}
		if sent != nil && gap.High >= sent.Seqs.Min() && gap.Low <= sent.Seqs.Max() || !t.settled(f, gap) || t.jumps(f, gap) {
			continue
		}
		if h.Missing += gap.Len(); len(h.Runs) < pair.MaxGaps {
			h.Runs = append(h.Runs, gap)
		}
	}
	if h.Missing == 0 || sampled(runs) {
		return Holes{}, false
	}
	h.Trusted = len(h.Runs) > 1 && h.Held >= trustedHeld && h.Missing*trustedParts < h.Held
	return h, true
}

// within counts the numbers of ascending runs that are in an interval.
func within(runs []exchange.Interval, in exchange.Interval) (n uint64) {
	for _, r := range runs {
		if low, high := max(r.Low, in.Low), min(r.High, in.High); low <= high {
			n += high - low + 1
		}
	}
	return n
}

// leavesOut says whether the capture of s is known to leave packets out, or lacks some of what its
// own side sent: then what it lacks of the other side says nothing.
func (t *Traffic) leavesOut(s pair.Side) bool {
	p, story := &t.c.Parties[s], t.c.Story(s)
	if p.Leaky || p.Coverage.Hidden > 0 || p.Coverage.Unseen > 0 || story.Unreadable > 0 || story.Forgotten > 0 ||
		Unread(story) {
		return true
	}
	return slices.ContainsFunc(t.c.Flows, func(f *pair.Flow) bool { // of tunnels with others as well
		x := f.At[s]
		return f.From == s && x != nil && !x.TCP && len(x.Seqs.Runs()) > 1
	})
}

// sentHeld counts the numbers that the capture of s holds of what s sent.
func (t *Traffic) sentHeld(s pair.Side) (n uint64) {
	for _, f := range t.c.Flows {
		if x := f.At[s]; f.From == s && x != nil {
			n += x.Seqs.Len()
		}
	}
	return n
}

// settled says whether what is missing can no more be on its way, nor have come before the capture
// began: both the number before it and that behind it passed well inside of what is captured.
// Packets that overtake others show how far.
func (t *Traffic) settled(f *pair.Flow, gap exchange.Interval) bool {
	to := f.From.Other()
	x, story := f.At[to], t.c.Story(to)
	if far := x.Displaced; gap.Low <= x.Seqs.Min()+far || gap.High+far >= x.Seqs.Max() {
		return false
	}
	if t.c.Parties[to].Untimed {
		const window = 64 // of anti-replay, unless configured (RFC 4303, Section 3.4.3)
		return gap.Low > x.Seqs.Min()+window && gap.High+window < x.Seqs.Max()
	}
	from, until := t.c.Aligned(story.First, to)+mayCome, t.c.Aligned(story.Last, to)-mayCome
	begins := x.Seqs.Min() == 1 // none of the SA came before (RFC 4303, Section 3.3.3)
	return (begins || t.c.SeenAt(f, to, gap.Low-1) >= from) && t.c.SeenAt(f, to, gap.High+1) <= until
}

// jumps says whether far more numbers are missing than can have been sent meanwhile: a sender that
// takes over from another one goes on with higher numbers.
func (t *Traffic) jumps(f *pair.Flow, gap exchange.Interval) bool {
	to := f.From.Other()
	x := f.At[to]
	if t.c.Parties[to].Untimed {
		return gap.Len() > x.Seqs.Len()
	}
	took := t.c.SeenAt(f, to, gap.High+1) - t.c.SeenAt(f, to, gap.Low-1)
	rate := float64(x.Seqs.Len()) / float64(max(x.Last.Nanos-x.First.Nanos, 1))
	return float64(gap.Len()) > jumpSlack+jumpFaster*rate*float64(max(took, 0))
}

// sampled says whether one packet of so many was captured, or the path sends them by turns on
// several ways of which this is one: nearly every run that is there, and every one that is missing,
// is as long as the next.
func sampled(runs []exchange.Interval) bool {
	const regular = 5 // all but one in so many
	missing := map[uint64]int{}
	single, most := 0, 0
	for i, r := range runs[1:] {
		missing[r.Low-runs[i].High-1]++
		if r.Len() == 1 {
			single++
		}
	}
	for _, n := range missing {
		most = max(most, n)
	}
	n := len(runs) - 1
	return n >= regular && most >= n-n/regular && single >= n-n/regular
}
