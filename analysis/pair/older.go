package pair

import "github.com/moncap/moncap/analysis/exchange"

// told is what tells the numbers of an SA made at the aligned time born or later: its sender's own
// capture, or the other one where that alone is given, which began before that and left nothing
// out; nil when none does.
func (c *Case) told(f *Flow, born int64) *exchange.Flow {
	s := f.From
	if c.Story(s) == nil {
		s = s.Other()
	}
	x, p := f.At[s], &c.Parties[s]
	if x == nil || p.Leaky || p.Untimed || x.Restart != nil || c.Aligned(p.Story.First, s) > born {
		return nil
	}
	return x
}

// Lowest is the lowest number that is seen of f, where a capture tells the numbers of an SA made at
// the aligned time born or later; false where none does.
func (c *Case) Lowest(f *Flow, born int64) (n uint64, ok bool) {
	if x := c.told(f, born); x != nil {
		return x.Seqs.Min(), true
	}
	return 0, false
}

// Older says whether the SA of f is older than the aligned time born, though nothing of it is seen
// before: an SA's first packet has the number 1 (RFC 4303, Section 3.3.3), and the capture of its
// sender, which began before then, holds none of those below its first number here, which are far
// more than can have been sent in between.
func (c *Case) Older(f *Flow, born int64) bool {
	const many, faster, fewest, doubt = 1000, 10, 5, 2e9
	x := c.told(f, born)
	if x == nil || x.Seqs.Min() <= many || x.Packets < fewest {
		return false
	}
	lead := f.First(c) - born // of what was sent until then, nothing is captured
	took, sent := max(x.Last.Nanos-x.First.Nanos, 1), float64(x.Seqs.Max()-x.Seqs.Min())
	return lead >= 0 && float64(x.Seqs.Min()) > faster*sent/float64(took)*float64(lead+doubt)
}

// First is when the first packet of f was seen, aligned, by either capture.
func (f *Flow) First(c *Case) int64 {
	at, some := int64(0), false
	for _, s := range Both {
		if f.At[s] == nil {
			continue
		}
		if t := c.Aligned(f.At[s].First.Nanos, s); !some || t < at {
			at, some = t, true
		}
	}
	return at
}
