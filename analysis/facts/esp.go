package facts

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/pair"
)

// Traffic is what the two sides send each other under the protection of ESP or AH. Flows with
// others, and with groups, are no part of it.
type Traffic struct {
	c        *pair.Case
	Peers    []*Peer
	receives *[2]bool // what Receives says, once asked for
}

// Peer is the traffic with one other gateway: with two captures, or an inventory, the other side of
// the tunnel; with one capture alone, every address that it exchanges protected packets with.
type Peer struct {
	Remote netip.Addr      // with one capture alone: the address of the other end; else invalid
	Flows  [2][]*pair.Flow // by sender, in order of time
	spans  [2][]span       // by sender: when it sent, gaps of length taken out
	watch  [2][2]int64     // by sender: the aligned time in which its packets would have been seen
	own    [2]bool         // by sender: its own capture is there
	seen   [2][]*seenFlow  // Flows, as the capture that shows most of each
	c      *pair.Case

	agreements
}

// span is a stretch of aligned time.
type span struct{ from, to int64 }

// seenFlow is a flow in the capture that is believed of it: its sender's, or else the other one.
type seenFlow struct {
	*exchange.Flow
	of   *pair.Flow
	side pair.Side // whose capture
	c    *pair.Case
}

// first and last are when packets of the flow were seen, by either capture: they do not begin and
// end together.
func (f *seenFlow) first() int64 { return f.of.First(f.c) }

func (f *seenFlow) last() int64 {
	at := f.c.Aligned(f.Last.Nanos, f.side)
	if o := f.of.At[f.side.Other()]; o != nil {
		at = max(at, f.c.Aligned(o.Last.Nanos, f.side.Other()))
	}
	return at
}

// within counts the packets in a stretch of aligned time, by the samples: all of them in a short
// flow. It also tells when the first and the last of them were seen.
func (f *seenFlow) within(s span) (n int, in span) {
	in = span{s.to, s.from}
	for _, p := range f.Samples {
		if t := f.c.Aligned(p.Nanos, f.side); t > s.from && t < s.to {
			n++
			in.from, in.to = min(in.from, t), max(in.to, t)
		}
	}
	return n * int(max(f.SampleStep, 1)), in
}

// TrafficOf gathers the traffic of a case.
func TrafficOf(c *pair.Case) *Traffic {
	t := &Traffic{c: c}
	remotes := c.Remotes()
	byRemote := map[netip.Addr]*Peer{}
	for _, f := range c.Flows {
		if f.Foreign {
			continue
		}
		remote := remotes.Of(f)
		p := byRemote[remote]
		if p == nil {
			p = &Peer{Remote: remote, c: c}
			byRemote[remote] = p
			t.Peers = append(t.Peers, p)
		}
		p.Flows[f.From] = append(p.Flows[f.From], f)
	}
	agree(c, remotes, byRemote)
	for _, p := range t.Peers {
		p.prepare()
	}
	return t
}

func (p *Peer) prepare() {
	for _, s := range pair.Both {
		for _, f := range p.Flows[s] {
			side := showsMost(f)
			p.seen[s] = append(p.seen[s], &seenFlow{f.At[side], f, side, p.c})
			for _, at := range pair.Both {
				if f.At[at] != nil {
					p.spans[s] = append(p.spans[s], spansOf(&seenFlow{f.At[at], f, at, p.c})...)
				}
			}
		}
		slices.SortFunc(p.spans[s], func(a, b span) int { return cmp.Compare(a.from, b.from) })
		p.own[s] = p.c.Story(s) != nil
		p.watch[s] = p.watchOf(s)
	}
}

// showsMost is the side whose capture is believed of f: the sender's, but for one that began later
// or ended earlier and holds less than what arrived.
func showsMost(f *pair.Flow) pair.Side {
	mine, other := f.At[f.From], f.At[f.From.Other()]
	if mine == nil || other != nil && other.Seqs.Len() > mine.Seqs.Len() {
		return f.From.Other()
	}
	return f.From
}

// watchOf is when packets of s would have been seen: by its own capture, and by the other one where
// the path lets them through.
func (p *Peer) watchOf(s pair.Side) [2]int64 {
	var w [2]int64
	for _, at := range pair.Both {
		story := p.c.Story(at)
		v := &p.c.Parties[at].Coverage
		if story == nil || story.Counts.Packets == 0 || at == s && v.Mute || at != s && v.Deaf {
			continue
		}
		from, to := p.c.Aligned(story.First, at), p.c.Aligned(story.Last, at)
		if w == [2]int64{} {
			w = [2]int64{from, to}
		}
		w = [2]int64{min(w[0], from), max(w[1], to)}
	}
	return w
}

// spansOf are the times in which a flow was busy: from its first packet to its last, the two
// longest gaps taken out.
func spansOf(f *seenFlow) []span {
	gaps := []exchange.Gap{f.LongestGap, f.SecondGap}
	slices.SortFunc(gaps, func(a, b exchange.Gap) int { return cmp.Compare(a.From, b.From) })
	var all []span
	from := f.First.Nanos
	for _, g := range gaps {
		if g.Length > 0 && g.From >= from {
			all = append(all, span{from, g.From})
			from = g.From + g.Length
		}
	}
	all = append(all, span{from, max(from, f.Last.Nanos)})
	for i, s := range all {
		all[i] = span{f.c.Aligned(s.from, f.side), f.c.Aligned(s.to, f.side)}
	}
	return all
}
