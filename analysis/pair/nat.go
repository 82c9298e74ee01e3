package pair

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
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

// sighted are packets that prove a mapping.
type sighted struct {
	packets  int
	from, to int64              // aligned
	first    [2]*exchange.Sight // one of them
	spiI     ike.SPI
}

// note takes in that side's address original is seen as translated by the other side, as x says.
func (a *mappings) note(side Side, original, translated netip.AddrPort, x *sighted) {
	if original == translated {
		return
	}
	k := mappingKey{side, original, translated}
	m := a.byKey[k]
	if m == nil {
		m = &Mapping{
			Side: side, Original: original, Translated: translated, First: [2]exchange.Sight{*x.first[A], *x.first[B]},
			From: x.from, To: x.to, SPIi: x.spiI,
		}
		a.byKey[k] = m
		a.all = append(a.all, m)
	}
	m.Packets += x.packets
	m.From, m.To = min(m.From, x.from), max(m.To, x.to)
}

// translate finds the address mappings that the pairs prove.
func (j *joiner) translate() {
	c := j.c
	found := &mappings{byKey: map[mappingKey]*Mapping{}}
	for m := range c.Messages() {
		for _, t := range m.Transmissions() {
			if t.At[A] == nil || t.At[B] == nil {
				continue
			}
			seen := sighted{1, t.Aligned, t.Aligned, t.At, m.SPIi}
			sent, got := t.At[m.From], t.At[m.From.Other()]
			found.note(m.From, sent.Src, got.Src, &seen)
			found.note(m.From.Other(), got.Dst, sent.Dst, &seen)
		}
	}
	for _, f := range c.Flows {
		if f.InBoth() {
			seen := f.sighted(c)
			sent, got := f.At[f.From], f.At[f.From.Other()]
			found.note(f.From, sent.Src, got.Src, &seen)
			found.note(f.From.Other(), got.Dst, sent.Dst, &seen)
			f.noteMoves(c, found)
		}
	}
	slices.SortStableFunc(found.all, func(x, y *Mapping) int { return cmp.Compare(x.From, y.From) })
	translated := [2]map[netip.Addr]bool{{}, {}}
	for _, m := range found.all {
		c.NAT = append(c.NAT, *m)
		p := &c.Parties[m.Side]
		if a := m.Translated.Addr(); a != m.Original.Addr() && !translated[m.Side][a] {
			translated[m.Side][a] = true
			p.Translated = append(p.Translated, a)
		}
	}
	for _, s := range Both {
		p := &c.Parties[s]
		p.mine = translated[s]
		for _, a := range p.Addresses {
			p.mine[a] = true
		}
	}
}

// noteMoves adds the translations that took the place of f's first one, as the receiver's capture
// shows them.
func (f *Flow) noteMoves(c *Case, found *mappings) {
	sent, to := f.At[f.From], f.From.Other()
	for i := range f.moved[to] {
		x := &f.moved[to][i]
		from, ok := f.sourceOf(x.First.Seq)
		if x.Src == f.At[to].Src || !ok { // where its own capture lacks them, the sender may have moved itself
			continue
		}
		seen := sighted{packets: x.Packets, from: c.Aligned(x.First.Nanos, to), to: c.Aligned(x.Last.Nanos, to)}
		moved, before := x.Sight(x.First), sent.Sight(pointNear(sent, x.First.Seq))
		seen.first[to], seen.first[f.From] = &moved, &before
		found.note(f.From, from, x.Src, &seen)
	}
}

// sighted is what f proves of a translation.
func (f *Flow) sighted(c *Case) sighted {
	seen := sighted{packets: f.At[f.From.Other()].Packets, from: f.start(c),
		to: c.Aligned(f.At[f.From].Last.Nanos, f.From)}
	for _, s := range Both {
		x := f.At[s].Sight(f.At[s].First)
		seen.first[s] = &x
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
	quoted := j.quotable()
	for _, s := range Both {
		if c.Story(s) == nil {
			continue
		}
		for _, e := range c.Story(s).ICMP {
			x := ICMP{ICMP: e, Side: s, Quoted: j.compass.sender(s, e.ICMPError.Src)}
			if e.Message != nil {
				x.Message = quoted[s][e.Message.Index]
			}
			x.Mine = e.QuotesTunnel && (x.Message != nil || c.knows(e.ICMPError.Src) && c.knows(e.ICMPError.Dst))
			c.ICMP = append(c.ICMP, x)
		}
	}
	c.joinICMP()
	c.excuseRefused()
	slices.SortStableFunc(c.ICMP, func(x, y ICMP) int {
		return cmp.Compare(c.Aligned(x.Nanos, x.Side), c.Aligned(y.Nanos, y.Side))
	})
}

// excuseRefused takes back that a sending was lost which the receiver itself refused by an ICMP
// error: it arrived, whatever the receiver's capture lacks.
func (c *Case) excuseRefused() {
	for _, e := range c.ICMP {
		m := e.Message
		if m == nil || e.Side != m.From || !c.Parties[m.From.Other()].Is(e.Sight.Src.Addr()) {
			continue
		}
		var refused *Transmission
		for _, t := range m.Transmissions() {
			if x := t.At[m.From]; x != nil && x.Nanos <= e.Sight.Nanos {
				refused = t
			}
		}
		if refused != nil && refused.Fate == Lost {
			refused.Fate, refused.Missing = Unknown, false
		}
	}
}

// icmpKey is what the two sights of one ICMP error share, whatever a NAT translates in it: what it
// says and what it quotes.
type icmpKey struct {
	v6         bool
	kind, code uint8
	quoted     Side
	message    *Message
	spi, id    uint32
	mine       bool
}

// joinICMP makes one of the errors that both captures hold: the n-th of a kind in the one is the
// n-th in the other. The capture of who is told keeps it.
func (c *Case) joinICMP() {
	of := func(e ICMP) icmpKey {
		return icmpKey{e.V6, e.Type, e.Code, e.Quoted, e.Message, e.SPI, e.ICMPError.IPID, e.Mine}
	}
	told := map[icmpKey][]*ICMP{}
	for i := range c.ICMP {
		if e := &c.ICMP[i]; e.Side == e.Quoted {
			told[of(*e)] = append(told[of(*e)], e)
		}
	}
	gone := map[*exchange.ICMP]bool{}
	for _, e := range c.ICMP {
		k := of(e)
		if e.Side == e.Quoted || len(told[k]) == 0 {
			continue
		}
		told[k][0].Twin = &Sight{e.Side, e.Sight}
		told[k], gone[e.ICMP] = told[k][1:], true
	}
	c.ICMP = slices.DeleteFunc(c.ICMP, func(e ICMP) bool { return gone[e.ICMP] })
}

// quotable finds the messages of the case by the places of those of each capture; nothing when no
// ICMP error asks for one.
func (j *joiner) quotable() (found [2]map[int32]*Message) {
	for _, s := range Both {
		if j.c.Story(s) == nil || len(j.c.Story(s).ICMP) == 0 {
			continue
		}
		found[s] = map[int32]*Message{}
		for _, l := range j.links {
			if x := l.at[s]; x != nil && (found[s][x.Index] == nil || !l.Altered) { // one sending of it may have been altered
				found[s][x.Index] = l
			}
		}
	}
	return found
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
	for _, v := range c.Conversations {
		v.Smooth = true
	}
	for m := range c.Messages() {
		m.Conversation.Smooth = m.Conversation.Smooth && m.smooth()
		for _, t := range m.Transmissions() {
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
			for _, s := range Both {
				if t.Duplicate && t.At[s] != nil && t.At[s.Other()] == nil {
					c.Counts.Copies[s]++
					c.Counts.copied[s]++
				}
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
		for _, s := range Both {
			if f.At[s] != nil {
				c.Counts.Copies[s] += f.At[s].Duplicates
			}
		}
	}
}
