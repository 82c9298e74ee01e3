package facts

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/pair"
)

// LeftBehind is protected traffic that goes on to an address, or a port of it, that the other side
// has left: all that comes of that side comes from another one. A NAT that changed its mapping
// makes it so, and a side that moved without telling (RFC 4555, Section 3.5) or was not believed.
type LeftBehind struct {
	From          pair.Side // who goes on sending there
	Before, After netip.AddrPort
	Since         int64 // aligned: of the first packet from After
	Flow          *pair.Flow
	First         exchange.Point // a packet of it to Before since then, in its sender's capture
	Packets       int            // so many of them, as far as samples show
}

// heard is when packets came from an address, aligned.
type heard struct{ first, last int64 }

// track is where what belongs together came from: one SA's packets. Native ESP has port 0.
type track map[netip.AddrPort]heard

func (t track) note(from netip.AddrPort, first, last int64) {
	if h, ok := t[from]; ok {
		first, last = min(first, h.first), max(last, h.last)
	}
	t[from] = heard{first, last}
}

// LeftBehinds lists, for each side whose own capture is there, what it goes on sending to where the
// other side no longer is.
func LeftBehinds(c *pair.Case) []LeftBehind {
	var all []LeftBehind
	for _, s := range pair.Both {
		if c.Story(s) == nil || c.Parties[s].Untimed {
			continue
		}
		sent := map[netip.AddrPort][]*pair.Flow{}
		for _, f := range c.Flows {
			if x := f.At[s]; x != nil && f.From == s && !f.Foreign {
				sent[x.Dst] = append(sent[x.Dst], f)
				for _, part := range f.Moved(s) {
					sent[part.Dst] = append(sent[part.Dst], f)
				}
			}
		}
		if len(sent) == 0 {
			continue
		}
		for _, t := range tracks(c, s) {
			if found, ok := t.leftBehind(c, s, sent); ok && !slices.ContainsFunc(all, func(o LeftBehind) bool {
				return o.Flow == found.Flow
			}) {
				all = append(all, found)
			}
		}
	}
	return all
}

// heardFrom are two tracks of the same packets: by address and port, as ESP in UDP goes, and by
// address alone, as native ESP does.
type heardFrom struct{ ports, addresses track }

func newHeardFrom() heardFrom { return heardFrom{track{}, track{}} }

func (h heardFrom) note(from netip.AddrPort, first, last int64) {
	h.addresses.note(netip.AddrPortFrom(from.Addr(), 0), first, last)
	if from.Port() != 0 && from.Port() != 500 { // which no ESP is sent to
		h.ports.note(from, first, last)
	}
}

// tracks are where SAs come from of which s received packets from more than one address or port.
// With both captures all that comes is of one peer, so that IKE and ESP belong together as well.
func tracks(c *pair.Case, s pair.Side) []track {
	var all []track
	add := func(h heardFrom) {
		for _, t := range []track{h.ports, h.addresses} {
			if len(t) > 1 {
				all = append(all, t)
			}
		}
	}
	whole := newHeardFrom()
	for _, f := range c.Flows {
		x := f.At[s]
		if f.From == s || f.Foreign || x == nil {
			continue
		}
		moved := f.Moved(s)
		if len(moved) == 0 {
			whole.note(x.Src, c.Aligned(x.First.Nanos, s), c.Aligned(x.Last.Nanos, s))
			continue
		}
		own, end, latest := newHeardFrom(), x.Last.Nanos, int64(0)
		note := func(from netip.AddrPort, first, last int64) {
			own.note(from, c.Aligned(first, s), c.Aligned(last, s))
			whole.note(from, c.Aligned(first, s), c.Aligned(last, s))
		}
		for i := range moved {
			note(moved[i].Src, moved[i].First.Nanos, moved[i].Last.Nanos)
			latest = max(latest, moved[i].Last.Nanos)
		}
		if latest >= end {
			end = moved[0].First.Nanos // x, which holds all of them, ended itself when the next one began
		}
		note(x.Src, x.First.Nanos, end)
		add(own)
	}
	for _, v := range c.Conversations {
		if v.Foreign {
			continue
		}
		several := severalSources(v, s)
		if !several && !c.TwoSided() {
			continue
		}
		own := newHeardFrom()
		for _, m := range v.Messages {
			for _, x := range m.Transmissions() {
				if got := x.At[s]; got != nil && m.From != s {
					at := c.Aligned(got.Nanos, s)
					if several {
						own.note(got.Src, at, at)
					}
					whole.note(got.Src, at, at)
				}
			}
		}
		add(own)
	}
	if c.TwoSided() {
		add(whole)
	}
	return all
}

// severalSources says whether the messages of a conversation that s received come from more than
// one address or port, but for the change from port 500.
func severalSources(v *pair.Conversation, s pair.Side) bool {
	var one netip.AddrPort
	for _, m := range v.Messages {
		for _, x := range m.Transmissions() {
			got := x.At[s]
			if got == nil || m.From == s {
				continue
			}
			if one.IsValid() && got.Src != one && (got.Src.Addr() != one.Addr() || one.Port() != 500) {
				return true
			}
			one = got.Src
		}
	}
	return false
}

// leftBehind finds what s sends to an address of t that is heard no more.
func (t track) leftBehind(c *pair.Case, s pair.Side, sent map[netip.AddrPort][]*pair.Flow) (LeftBehind, bool) {
	all := slices.SortedFunc(maps.Keys(t), netip.AddrPort.Compare)
	now := all[0]
	for _, from := range all {
		if t[from].last > t[now].last {
			now = from
		}
	}
	since := t[now].first
	for _, f := range sent[now] {
		if c.Aligned(f.At[s].Last.Nanos, s) >= since {
			return LeftBehind{}, false // it followed
		}
	}
	for _, before := range all {
		if before == now || t[before].last > since {
			continue
		}
		for _, f := range sent[before] {
			if found, ok := goesOnTo(c, f, since); ok {
				found.Before, found.After = before, now
				return found, true
			}
		}
	}
	return LeftBehind{}, false
}

// goesOnTo says whether a flow, all of which goes to one address, is sent for a while after a
// moment, and is not seen to arrive.
func goesOnTo(c *pair.Case, f *pair.Flow, since int64) (LeftBehind, bool) {
	s := f.From
	x := f.At[s]
	if len(f.Moved(s)) > 0 || c.Aligned(x.Last.Nanos, s) < since+Soon {
		return LeftBehind{}, false
	}
	if o := f.At[s.Other()]; o != nil && c.Aligned(o.Last.Nanos, s.Other()) > since+stepAside ||
		c.TwoSided() && f.Lost == 0 { // it arrives, or by an interface that the other capture does not show
		return LeftBehind{}, false
	}
	found := LeftBehind{From: s, Since: since, Flow: f, First: x.Last}
	for _, p := range x.Samples {
		if c.Aligned(p.Nanos, s) <= since {
			continue
		}
		if found.Packets++; p.Nanos < found.First.Nanos {
			found.First = p
		}
	}
	found.Packets *= int(max(x.SampleStep, 1))
	return found, found.Packets >= fewestUnanswered
}
