package pair

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
)

type mappingKey struct {
	side                 Side
	original, translated netip.AddrPort
}

// mappings gathers translations.
type mappings struct {
	byKey map[mappingKey]*Mapping
	all   []*Mapping
}

// note takes in that side's address original is seen as translated by the other side, as seen says.
func (a *mappings) note(side Side, original, translated netip.AddrPort, seen Mapping) {
	if original == translated {
		return
	}
	k := mappingKey{side, original, translated}
	m := a.byKey[k]
	if m == nil {
		seen.Side, seen.Original, seen.Translated = side, original, translated
		a.byKey[k] = &seen
		a.all = append(a.all, &seen)
		return
	}
	m.Packets += seen.Packets
	m.From, m.To = min(m.From, seen.From), max(m.To, seen.To)
}

// translate finds the address mappings that the pairs prove.
func (j *joiner) translate() {
	c := j.c
	found := &mappings{byKey: map[mappingKey]*Mapping{}}
	for m := range c.Messages() {
		for _, t := range m.Transmissions {
			if t.At[A] == nil || t.At[B] == nil {
				continue
			}
			seen := Mapping{Packets: 1, First: [2]exchange.Sight{*t.At[A], *t.At[B]}, From: t.Aligned, To: t.Aligned, SPIi: m.SPIi}
			sent, got := t.At[m.From], t.At[m.From.Other()]
			found.note(m.From, sent.Src, got.Src, seen)
			found.note(m.From.Other(), got.Dst, sent.Dst, seen)
		}
	}
	for _, f := range c.Flows {
		if f.At[A] != nil && f.At[B] != nil {
			sent, got := f.At[f.From], f.At[f.From.Other()]
			found.note(f.From, sent.Src, got.Src, f.mapping(c))
			found.note(f.From.Other(), got.Dst, sent.Dst, f.mapping(c))
			f.noteMoves(c, found)
		}
	}
	slices.SortStableFunc(found.all, func(x, y *Mapping) int { return cmp.Compare(x.From, y.From) })
	for _, m := range found.all {
		c.NAT = append(c.NAT, *m)
		p := &c.Parties[m.Side]
		if a := m.Translated.Addr(); a != m.Original.Addr() && !slices.Contains(p.Translated, a) {
			p.Translated = append(p.Translated, a)
		}
	}
}

// noteMoves adds the translations that took the place of f's first one, as the receiver's capture shows them.
func (f *Flow) noteMoves(c *Case, found *mappings) {
	sent, to := f.At[f.From], f.From.Other()
	for i := range f.moved[to] {
		x := &f.moved[to][i]
		if x.Src == f.At[to].Src {
			continue
		}
		seen := f.mapping(c)
		seen.Packets, seen.From, seen.To = x.Packets, c.Aligned(x.First.Nanos, to), c.Aligned(x.Last.Nanos, to)
		seen.First[to] = exchange.Sight{Frame: x.First.Frame, Nanos: x.First.Nanos, Src: x.Src, Dst: x.Dst, TTL: x.TTL, Size: x.First.Size}
		seen.First[f.From] = exchange.Sight{Frame: pointNear(sent, x.First.Seq).Frame, Src: sent.Src, Dst: sent.Dst}
		found.note(f.From, sent.Src, x.Src, seen)
	}
}

// mapping is what f proves of a translation, but for the addresses.
func (f *Flow) mapping(c *Case) Mapping {
	seen := Mapping{Packets: f.At[f.From.Other()].Packets, From: f.start(c), To: c.Aligned(f.At[f.From].Last.Nanos, f.From)}
	for _, s := range Both {
		x := f.At[s]
		seen.First[s] = exchange.Sight{Frame: x.First.Frame, Nanos: x.First.Nanos, Src: x.Src, Dst: x.Dst, TTL: x.TTL, Size: x.First.Size}
	}
	return seen
}

// Translates says whether a NAT on the path changes addresses or ports of s.
func (c *Case) Translates(s Side) bool {
	return slices.ContainsFunc(c.NAT, func(m Mapping) bool { return m.Side == s })
}

// icmp relates the ICMP errors to the sides and messages of the case.
func (j *joiner) icmp() {
	c := j.c
	for _, s := range Both {
		if c.Story(s) == nil {
			continue
		}
		for _, e := range c.Story(s).ICMP {
			x := ICMP{ICMP: e, Side: s, Quoted: j.compass.sender(s, e.ICMPError.Src), Message: j.byLink[e.Message]}
			x.Mine = e.QuotesTunnel && (x.Message != nil || c.knows(e.ICMPError.Src) && c.knows(e.ICMPError.Dst))
			c.ICMP = append(c.ICMP, x)
		}
	}
	slices.SortStableFunc(c.ICMP, func(x, y ICMP) int {
		return cmp.Compare(c.Aligned(x.Nanos, x.Side), c.Aligned(y.Nanos, y.Side))
	})
}

// knows says whether a is an address of either side, before or after NAT.
func (c *Case) knows(a netip.Addr) bool {
	for _, s := range Both {
		if c.Parties[s].Is(a) {
			return true
		}
	}
	return false
}

// count sums up what matched.
func (j *joiner) count() {
	c := j.c
	if !c.TwoSided() {
		n := c.Story(A).Counts
		c.Counts.Only[A] = n.IKE + n.ESP + n.AH
		return
	}
	for m := range c.Messages() {
		for _, t := range m.Transmissions {
			switch {
			case t.At[A] != nil && t.At[B] != nil:
				c.Counts.Matched++
			case t.At[A] != nil:
				c.Counts.Only[A]++
			default:
				c.Counts.Only[B]++
			}
			if t.Fate == Lost {
				c.Counts.Lost[m.From]++
			}
		}
	}
	for _, f := range c.Flows {
		to := f.From.Other()
		if f.At[f.From] != nil {
			c.Counts.Matched += int(f.At[f.From].Seqs.Len() - f.Missing)
			c.Counts.Only[f.From] += int(f.Missing)
			c.Counts.Lost[f.From] += int(f.Lost)
		}
		c.Counts.Only[to] += int(f.Hidden)
	}
}
