package analysis

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/packet"
	"github.com/moncap/moncap/analysis/pair"
)

// One file can hold both sides: a pcapng an interface each, as mergecap can join two files, and as
// moncap writes a report in that form; or all packets as of one interface, as mergecap joins them
// in the older format, and where the interfaces are alike.

// some says which packets of a capture are of a side.
type some func(p *packet.Packet) bool

// only are some of the packets of a capture.
type only struct {
	*packet.Reader
	keep some
}

func (o only) Next(p *packet.Packet) error {
	for {
		if err := o.Reader.Next(p); err != nil || o.keep(p) {
			return err
		}
	}
}

// division tells the sides of a capture apart.
type division interface {
	// has says whether p is of the capture of s.
	has(p *packet.Packet, s pair.Side) bool
}

// parts are what a single capture holds.
type parts struct {
	of    []*exchange.Story // each side, or each place that holds most of the messages; nil: it is of one
	sides bool
	each  []some // of the capture, that of are made of, if these are places
	far   bool   // what is lost between the places was not copied from one to the other
}

// parted reads the parts of a single capture.
func parted(ctx context.Context, a *Side, story *exchange.Story, o *Options) (p parts, err error) {
	sides := func(d division) (parts, error) {
		of, err := readParts(ctx, a, []some{
			func(p *packet.Packet) bool { return d.has(p, pair.A) },
			func(p *packet.Packet) bool { return d.has(p, pair.B) },
		}, o)
		return parts{of: of, sides: true}, err
	}
	if named := namedSides(story); named != nil {
		return sides(named)
	}
	w, err := placesOf(ctx, a, story)
	if err != nil {
		return p, err
	}
	if w != nil && w.twoSides() {
		return sides(w)
	}
	if of := sidesOf(story); of != nil {
		return sides(of)
	}
	if hops := hopsOf(story); hops != nil {
		if p, err = sides(hops); err != nil || !torn(p.of) {
			return p, err
		}
	}
	if w == nil {
		return parts{}, nil
	}
	each, far := w.alone(story)
	of, err := readParts(ctx, a, each, o)
	return parts{of: of, each: each, far: far}, err
}

// readParts reads the packets of each of some parts of a capture.
func readParts(ctx context.Context, a *Side, of []some, o *Options) (parts []*exchange.Story, err error) {
	shared := exchange.Contents{Missed: o.missed}
	for _, keep := range of {
		part, err := read(ctx, a, &shared, keep, o)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// torn says whether half of the packets of a flow are copies, and the other story has none of it:
// those are what is of the other side, and nothing tells them apart.
func torn(stories []*exchange.Story) bool {
	const some = 4
	for _, s := range pair.Both {
		other := map[uint32]bool{}
		for _, f := range stories[s.Other()].Flows {
			other[f.SPI] = true
		}
		for _, f := range stories[s].Flows {
			if f.Packets >= some && f.Duplicates*2 >= f.Packets-1 && !other[f.SPI] {
				return true
			}
		}
	}
	return false
}

// interfaces are those of each side.
type interfaces [2]map[int]bool

func (n *interfaces) has(p *packet.Packet, s pair.Side) bool { return n[s][p.Interface] }

// namedSides are the interfaces of each side in what moncap wrote, which says whose they are; else
// nil.
func namedSides(story *exchange.Story) *interfaces {
	var named interfaces
	for i, d := range story.Info.Interfaces {
		for s, prefix := range [2]string{"side A,", "side B,"} {
			if strings.HasPrefix(d, prefix) {
				if named[s] == nil {
					named[s] = map[int]bool{}
				}
				named[s][i] = true
			}
		}
	}
	if len(named[0]) == 0 || len(named[1]) == 0 {
		return nil
	}
	return &named
}

// sidesOf returns the interfaces of each side, or nil. Two interfaces are two sides when they hold
// the same messages, unless one is a copy of the other: on one router a packet keeps its TTL and is
// copied at once, or it was forwarded, which lowers the TTL by one.
func sidesOf(story *exchange.Story) *interfaces {
	seen := map[int]int{}
	shared, moved := 0, 0
	for m := range story.Messages.All() {
		first := &m.Sent()[0]
		other := false
		for i := range m.Sent() {
			x := &m.Sent()[i]
			seen[int(x.Interface)]++
			if x.Interface != first.Interface && !other {
				other = true
				if moves(first, x) {
					moved++
				}
			}
		}
		if other {
			shared++
		}
	}
	if len(seen) != 2 || shared*2 < story.Messages.Len() || moved*2 < shared || shared == 0 {
		return nil
	}
	var of interfaces
	for i := range seen {
		s := 0
		for o := range seen {
			if o < i {
				s = 1
			}
		}
		of[s] = map[int]bool{i: true}
	}
	return &of
}

// moves says whether two sightings of a message at two interfaces are those at two routers.
func moves(x, y *exchange.Sight) bool {
	if x.TTL != y.TTL {
		return max(x.TTL, y.TTL)-min(x.TTL, y.TTL) > 1
	}
	return x.IPID == y.IPID && away(x, y)
}

// away says whether a router that copies a packet at once would have taken less time.
func away(x, y *exchange.Sight) bool {
	const atOnce = 50_000 // nanoseconds
	return max(x.Nanos, y.Nanos)-min(x.Nanos, y.Nanos) > atOnce
}

// hops tell apart the two sides of packets that are all as of one interface: where a router lies
// between the sides, each packet stands there as it was sent, and as it arrived, with a lower TTL.
type hops struct {
	of map[netip.Addr]pair.Side // whose address it is
}

// unlowered says whether no router lowered a TTL yet.
func unlowered(ttl uint8) bool { return ttl == 255 || ttl == 128 || ttl == 64 }

// hopsOf is nil where story is of one side. Two places of one router show a packet again with a
// lower TTL, too, but not both what it sends and what it receives as no router has touched it.
func hopsOf(story *exchange.Story) *hops {
	went := map[travel]bool{}
	var begun travel               // the first of them
	sends := map[netip.Addr]bool{} // by whom something stands there as it was sent
	arrived, messages := 0, 0
	arrives := func(x travel) {
		if arrived++; arrived == 1 {
			begun = x
		}
		went[x] = true
	}
	var one int16
	for m := range story.Messages.All() {
		sent := m.Sent()
		for i := range sent {
			if one = max(one, sent[i].Interface); unlowered(sent[i].TTL) {
				sends[sent[i].Src.Addr()] = true
			}
		}
		messages++
		first := untouched(sent)
		if first == nil {
			continue
		}
		there := slices.IndexFunc(sent, func(x exchange.Sight) bool { return x.TTL < first.TTL && !unlowered(x.TTL) })
		if there >= 0 {
			arrives(travel{first.Src.Addr(), sent[there].Dst.Addr()})
		}
	}
	if arrived == 0 && (len(story.Info.Interfaces) < 2 || messages == 0) { // there may be no IKE at all
		for _, f := range story.Flows {
			sent, there := f.HighTTL, f.LowTTL
			if messages++; !unlowered(sent) {
				continue
			}
			sends[f.Src.Addr()] = true
			if f.Duplicates > 0 && there != sent && !unlowered(there) {
				arrives(travel{f.Src.Addr(), f.Dst.Addr()})
			}
		}
	}
	if arrived == 0 || one > 0 {
		return nil
	}
	h := &hops{map[netip.Addr]pair.Side{begun.from: pair.A, begun.to: pair.B}}
	for more := true; more; {
		more = false
		for x := range went {
			from, knownFrom := h.of[x.from]
			to, knownTo := h.of[x.to]
			switch {
			case knownFrom && knownTo && from == to:
				return nil
			case knownFrom && !knownTo:
				h.of[x.to], more = from.Other(), true
			case knownTo && !knownFrom:
				h.of[x.from], more = to.Other(), true
			}
		}
	}
	var speaks, travels [2]bool
	for x := range went {
		from, known := h.of[x.from]
		if !known {
			return nil // a tunnel of others, of which nobody knows whose side is whose
		}
		travels[from] = true
	}
	for a := range sends {
		if s, known := h.of[a]; known {
			speaks[s] = true
		}
	}
	if speaks != [2]bool{true, true} || travels != [2]bool{true, true} && arrived*2 < messages {
		return nil
	}
	return h
}

// has takes p for what s sent, or for what arrived there.
func (h *hops) has(p *packet.Packet, s pair.Side) bool {
	from, sends := h.of[p.Src]
	to, gets := h.of[p.Dst]
	if sends && (unlowered(p.TTL) || !gets) {
		return from == s
	}
	return gets && to == s
}
