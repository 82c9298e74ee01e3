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

// bothSides reads the two sides of a single capture; ok is false when it is of one side.
func bothSides(ctx context.Context, a *Side, story *exchange.Story,
	o *Options) (stories [2]*exchange.Story, ok bool, err error) {
	var of [2]some
	sure := false
	if interfaces := sidesOf(story); interfaces != nil {
		sure = true
		for _, s := range pair.Both {
			of[s] = func(p *packet.Packet) bool { return interfaces[s][p.Interface] }
		}
	} else if hops := hopsOf(story); hops != nil {
		for _, s := range pair.Both {
			of[s] = func(p *packet.Packet) bool { return hops.has(p, s) }
		}
	} else {
		return stories, false, nil
	}
	shared := exchange.Contents{Missed: o.missed}
	for _, s := range pair.Both {
		if stories[s], err = read(ctx, a, &shared, of[s], o); err != nil {
			return stories, false, err
		}
	}
	return stories, sure || !torn(stories), nil
}

// torn says whether half of the packets of a flow are copies, and the other story has none of it:
// those are what is of the other side, and nothing tells them apart.
func torn(stories [2]*exchange.Story) bool {
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

// sidesOf returns the interfaces of each side, or nil. What moncap wrote says whose an interface
// is. Elsewhere two interfaces are two sides when they hold the same messages, unless one is a copy
// of the other: on one router a packet keeps its TTL, or is copied at once.
func sidesOf(story *exchange.Story) *[2]map[int]bool {
	var named [2]map[int]bool
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
	if len(named[0]) > 0 && len(named[1]) > 0 {
		return &named
	}
	const atOnce = 50_000 // nanoseconds
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
				if d := x.Nanos - first.Nanos; x.TTL != first.TTL || d > atOnce || d < -atOnce {
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
	var of [2]map[int]bool
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
	type travel struct{ from, to netip.Addr }
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
		var first *exchange.Sight
		for i := range sent {
			if one = max(one, sent[i].Interface); unlowered(sent[i].TTL) {
				sends[sent[i].Src.Addr()] = true
				if first == nil || sent[i].TTL > first.TTL {
					first = &sent[i]
				}
			}
		}
		messages++
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
			sent, there := max(f.TTL, f.CopyTTL), min(f.TTL, f.CopyTTL)
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

// has says whether p is of the capture of s: it sent it, or it arrived there.
func (h *hops) has(p *packet.Packet, s pair.Side) bool {
	from, sends := h.of[p.Src]
	to, gets := h.of[p.Dst]
	if sends && (unlowered(p.TTL) || !gets) {
		return from == s
	}
	return gets && to == s
}
