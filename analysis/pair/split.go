package pair

import "github.com/moncap/moncap/analysis/exchange"

// settleSplit finds out what became of the packets that left in IP fragments: r is the flow at the
// receiver, and arrived what is whole there.
func (f *Flow) settleSplit(c *Case, r *exchange.Flow, arrived *exchange.Set, rests *rests) {
	to := f.From.Other()
	v := &c.Parties[to].Coverage
	if !c.Overlap || v.From == 0 || v.hides[kindFragment] || v.hides[f.kind()] || v.Deaf {
		return
	}
	for _, p := range f.At[f.From].Split {
		t := c.Aligned(p.Nanos, f.From)
		between := r.Packets > 0 && p.Seq > r.Seqs.Min() && p.Seq < r.Seqs.Max()
		if !between && !c.due(to, t) {
			continue
		}
		f.Split.Sent++
		if arrived.Has(p.Seq) {
			continue
		}
		f.Split.Lost++
		rest := rests.of(c, f, p, t)
		if f.Split.Lost == 1 || f.Split.Rest == nil && rest != nil {
			f.Split.First, f.Split.Rest = p, rest
		}
	}
}

// rests finds the datagrams that are whole in neither capture.
type rests struct {
	byNumber [2]map[[2]uint32]*exchange.Datagram // those with a first fragment, by SPI and sequence number
	byID     [2]map[uint16]*exchange.Datagram    // those without, by the low bits of their IP identification
}

func newRests(c *Case) *rests {
	r := &rests{}
	for _, s := range Both {
		r.byNumber[s], r.byID[s] = map[[2]uint32]*exchange.Datagram{}, map[uint16]*exchange.Datagram{}
		if c.Story(s) == nil {
			continue
		}
		for _, d := range c.Story(s).Datagrams {
			switch {
			case d.SPI != 0:
				r.byNumber[s][[2]uint32{d.SPI, d.Seq}] = d
			case !d.HasFirst && uint16(d.IPID) != 0:
				r.byID[s][uint16(d.IPID)] = d
			}
		}
	}
	return r
}

// of is what the receiver's capture has of a packet that was sent at the aligned time t and did not
// arrive whole; nil for nothing.
func (r *rests) of(c *Case, f *Flow, p exchange.Point, t int64) *exchange.Datagram {
	to := f.From.Other()
	for _, d := range [2]*exchange.Datagram{r.byNumber[to][[2]uint32{f.SPI, uint32(p.Seq)}], r.byID[to][p.ID]} {
		if d != nil && distance(c.Aligned(d.First, to), t) < longestDelay {
			return d
		}
	}
	return nil
}
