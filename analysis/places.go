package analysis

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/packet"
	"github.com/moncap/moncap/analysis/pair"
)

// places tell where the packets of one file were captured: at which interface and, of captures that
// were joined as of one interface, on which link. Those that speak to each other by their Ethernet
// addresses are on one. A place has the name of one of its stations.
type places struct {
	links map[station]station // to another one of the same place, or to itself
	names aliases
	seen  map[seen]ttls
	order []seen            // as they came
	ike   map[int32]station // who sent the frame of an IKE message
	sides map[station]pair.Side
}

// station is an Ethernet address at an interface of a file; no address is whoever has none.
type station struct {
	iface   int
	address [6]byte
}

// seen are packets of a tunnel, by who sent them there.
type seen struct {
	at  station
	ike bool
	travel
}

// travel is a way from one address to another.
type travel struct{ from, to netip.Addr }

func (t travel) back() travel { return travel{t.to, t.from} }

// ttls are the lowest and the highest TTL of some packets.
type ttls struct{ low, high uint8 }

// untouched says whether no router has touched any of them, arrived whether one has touched all.
func (t ttls) untouched() bool { return unlowered(t.low) && unlowered(t.high) }
func (t ttls) arrived() bool   { return t.high > 0 && !unlowered(t.low) && !unlowered(t.high) }

// behind is how many routers they are away from who sent them.
func (t ttls) behind() int {
	for _, first := range [3]int{64, 128, 255} {
		if int(t.high) <= first {
			return first - int(t.high)
		}
	}
	return 0
}

// aliases are addresses by what a NAT made of them.
type aliases map[netip.Addr]netip.Addr

// aliasesOf are those that a message has where it was sent, and others where it arrived.
func aliasesOf(story *exchange.Story) aliases {
	names := aliases{}
	for m := range story.Messages.All() {
		sent := m.Sent()
		first := untouched(sent)
		if first == nil {
			continue
		}
		for i := range sent {
			if x := &sent[i]; !unlowered(x.TTL) && x.TTL < first.TTL {
				names.add(x.Src.Addr(), first.Src.Addr())
				names.add(first.Dst.Addr(), x.Dst.Addr())
			}
		}
	}
	return names
}

func (n aliases) add(name, of netip.Addr) {
	if _, known := n[name]; !known && name != of {
		n[name] = of
	}
}

func (n aliases) travel(src, dst netip.Addr) travel {
	if of, known := n[src]; known {
		src = of
	}
	if of, known := n[dst]; known {
		dst = of
	}
	return travel{src, dst}
}

// untouched is the sighting of a message with the highest TTL that no router has lowered, or nil.
func untouched(sent []exchange.Sight) (first *exchange.Sight) {
	for i := range sent {
		if unlowered(sent[i].TTL) && (first == nil || sent[i].TTL > first.TTL) {
			first = &sent[i]
		}
	}
	return first
}

// mayBePlaces says whether the TTLs are as those at two places: packets of one address to another
// as they were sent and as they arrived.
func (n aliases) mayBePlaces(story *exchange.Story) bool {
	sent, arrived := map[travel]bool{}, map[travel]bool{}
	see := func(src, dst netip.Addr, ttl uint8) {
		if t := n.travel(src, dst); unlowered(ttl) {
			sent[t] = true
		} else {
			arrived[t] = true
		}
	}
	var last *exchange.Way
	for m := range story.Messages.All() {
		for _, x := range m.Sent() {
			if x.Way != last {
				see(x.Src.Addr(), x.Dst.Addr(), x.TTL)
				last = x.Way
			}
		}
	}
	for _, f := range story.Flows {
		see(f.Src.Addr(), f.Dst.Addr(), f.LowTTL)
		see(f.Src.Addr(), f.Dst.Addr(), f.HighTTL)
	}
	for t := range sent {
		if arrived[t] {
			return true
		}
	}
	return false
}

// repeated says whether most messages are there more than once.
func repeated(story *exchange.Story) bool {
	n := 0
	for m := range story.Messages.All() {
		if len(m.Sent()) > 1 {
			n++
		}
	}
	return n > 0 && n*2 >= story.Messages.Len()
}

// placesOf reads the capture once more for its places, and is nil where it is of one.
func placesOf(ctx context.Context, a *Side, story *exchange.Story) (*places, error) {
	names := aliasesOf(story)
	if !names.mayBePlaces(story) && !repeated(story) {
		return nil, nil
	}
	f, err := a.Open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := packet.NewReader(f, packet.Options{NoHash: true, NoChecksum: true})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cmp.Or(a.File, a.Name), err)
	}
	w := &places{links: map[station]station{}, names: names, seen: map[seen]ttls{}, ike: map[int32]station{}}
	var p packet.Packet
	for n := 0; ; n++ {
		if n%tellEvery == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := r.Next(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", cmp.Or(a.File, a.Name), err)
		}
		if w.take(&p); len(w.links) > mostStations || len(w.seen) > mostTravels || len(w.ike) > mostMessages {
			return nil, nil
		}
	}
	return w, nil
}

// twoSides says whether the places are those of two sides. ESP may have the TTL of what is in it.
func (w *places) twoSides() bool { return w.settle(true) || w.settle(false) }

// alone are places that hold most of the messages, each of them and in both directions, where
// nothing tells whose they are: those of one router, or both sides. Together, what one holds would
// be taken for what another one lacks. Each has what is at none of them, too. far says that no
// router copies packets from one place to another as they are, and at once.
func (w *places) alone(story *exchange.Story) (each []some, far bool) {
	shared, moved := 0, 0
	with := map[station]int{} // the shared messages of each
	sends := map[station]map[netip.Addr]bool{}
	for m := range story.Messages.All() {
		var at []station
		sent, moves := m.Sent(), false
		for i := range sent {
			x := &sent[i]
			if p := w.place(w.ike[x.Frame]); x.IPID == sent[0].IPID && !slices.Contains(at, p) {
				at = append(at, p)
				moves = moves || x.TTL != sent[0].TTL || away(x, &sent[0])
			}
		}
		if len(at) < 2 {
			continue
		}
		if shared++; moves {
			moved++
		}
		for _, p := range at {
			if with[p]++; sends[p] == nil {
				sends[p] = map[netip.Addr]bool{}
			}
			sends[p][w.names.travel(sent[0].Src.Addr(), sent[0].Dst.Addr()).from] = true
		}
	}
	maps.DeleteFunc(with, func(p station, n int) bool { return n*2 < shared || len(sends[p]) < 2 })
	if shared*2 < story.Messages.Len() || len(with) < 2 {
		return nil, false
	}
	all := slices.SortedFunc(maps.Keys(with), func(x, y station) int {
		return cmp.Or(x.iface-y.iface, bytes.Compare(x.address[:], y.address[:]))
	})
	for _, place := range all[:min(len(all), mostAlone)] {
		each = append(each, func(p *packet.Packet) bool {
			at := w.at(p)
			return at == place || with[at] == 0
		})
	}
	return each, moved*2 >= shared
}

// Bounds on what is kept of a capture that can hold anything.
const (
	mostStations = 1 << 12
	mostTravels  = 1 << 14
	mostMessages = 1 << 16
	mostPlaces   = 64 // each is looked at beside each
	mostAlone    = 8
)

// stationsOf are who sent a frame, and whom it is for, if that is one station. What is around a
// packet that came in another one tells nothing of where it was.
func stationsOf(p *packet.Packet) (from, to station, one bool) {
	from = station{iface: p.Interface}
	to = from
	const ethernet, header = 1, 14
	if p.Link != ethernet || p.Wrapping != "" || len(p.Raw) < header {
		return from, to, false
	}
	copy(to.address[:], p.Raw)
	copy(from.address[:], p.Raw[6:])
	return from, to, to.address[0]&1 == 0
}

func (w *places) take(p *packet.Packet) {
	from, to, one := stationsOf(p)
	if one {
		w.links[w.place(from)] = w.place(to)
	}
	ike := p.Kind == packet.IKE || p.Kind == packet.Keepalive
	if !ike && p.Kind != packet.ESP && p.Kind != packet.AH {
		return
	}
	if ike {
		w.ike[int32(p.Frame)] = from
	}
	x := seen{from, ike, w.names.travel(p.Src, p.Dst)}
	t, known := w.seen[x]
	if !known {
		t = ttls{p.TTL, p.TTL}
		w.order = append(w.order, x)
	}
	w.seen[x] = ttls{min(t.low, p.TTL), max(t.high, p.TTL)}
}

// place is that of a station.
func (w *places) place(s station) station {
	for {
		next, known := w.links[s]
		if !known {
			w.links[s] = s
		}
		if !known || next == s {
			return s
		}
		w.links[s] = w.links[next] // the way is shorter the next time
		s = next
	}
}

// traffic is the packets of a tunnel at places, by their ways.
type traffic map[station]map[travel]ttls

// settle finds whose the places are by IKE, or else by ESP, and says whether they are two sides.
func (w *places) settle(ike bool) bool {
	at := traffic{}
	var order []station
	for _, x := range w.order {
		if x.ike != ike {
			continue
		}
		place, t := w.place(x.at), w.seen[x]
		if at[place] == nil {
			at[place] = map[travel]ttls{}
			order = append(order, place)
		}
		if before, known := at[place][x.travel]; known {
			t = ttls{min(t.low, before.low), max(t.high, before.high)}
		}
		at[place][x.travel] = t
	}
	if len(order) > mostPlaces {
		return false
	}
	passes := at.passes(order)
	if len(passes) == 0 || !w.colour(passes) {
		return false
	}
	of := map[netip.Addr]pair.Side{} // whose address it is
	for _, x := range passes {
		of[x.from], of[x.to] = w.sides[x.here], w.sides[x.there]
	}
	w.rest(of)
	w.name(of[w.order[0].from])
	return true
}

// pass is a way from the gateway at one place to that at another one.
type pass struct {
	here, there station
	travel
}

// passes are those that the TTLs prove: at each place, what its gateway sends is untouched, and
// what the other one sends is not, of which something arrived. Where there is nothing of the other
// gateway's, as in a capture of what comes in, both gateways are as many routers away.
func (at traffic) passes(order []station) []pass {
	var all []pass
	for _, here := range order {
		for t, sent := range at[here] {
			comes := at[here][t.back()]
			if !sent.untouched() || comes.high > 0 && !comes.arrived() {
				continue
			}
			for _, there := range order {
				gets, sends := at[there][t], at[there][t.back()]
				ok := false
				switch {
				case there == here || gets.high > 0 && !gets.arrived():
				case sends.high > 0:
					ok = sends.untouched() && (gets.arrived() || comes.arrived())
				default:
					ok = gets.arrived() && comes.arrived() && gets.behind() == comes.behind()
				}
				if ok {
					all = append(all, pass{here, there, t})
				}
			}
		}
	}
	return all
}

// colour gives each place its side, and is false where passes contradict each other, or where some
// are of a tunnel of others, of which nobody knows whose side is whose.
func (w *places) colour(passes []pass) bool {
	w.sides = map[station]pair.Side{passes[0].here: pair.A}
	for more := true; more; {
		more = false
		for _, x := range passes {
			from, known := w.sides[x.here]
			to, there := w.sides[x.there]
			switch {
			case known && there && from == to:
				return false
			case known && !there:
				w.sides[x.there], more = from.Other(), true
			case there && !known:
				w.sides[x.here], more = to.Other(), true
			}
		}
	}
	return !slices.ContainsFunc(passes, func(x pass) bool { _, known := w.sides[x.here]; return !known })
}

// rest gives the places of which no pass is known the side that all they hold is of: it was sent
// there, or it arrived. Where nothing of a tunnel is, that is the side of all others of the
// interface.
func (w *places) rest(of map[netip.Addr]pair.Side) {
	votes := map[station][2]bool{}
	for _, x := range w.order {
		whose, asked := x.to, w.place(x.at)
		if w.seen[x].untouched() {
			whose = x.from
		}
		s, known := of[whose]
		if _, has := w.sides[asked]; has || !known {
			continue
		}
		v := votes[asked]
		v[s] = true
		votes[asked] = v
	}
	interfaces := map[int][2]bool{}
	for at, s := range w.sides {
		v := interfaces[at.iface]
		v[s] = true
		interfaces[at.iface] = v
	}
	for at := range w.links {
		at = w.place(at)
		v, holds := votes[at]
		if !holds {
			v = interfaces[at.iface]
		}
		if _, has := w.sides[at]; !has && v[pair.A] != v[pair.B] {
			w.sides[at] = pair.A
			if v[pair.B] {
				w.sides[at] = pair.B
			}
		}
	}
}

// name makes A the side of the first interface or, where that is both, of who sent first.
func (w *places) name(first pair.Side) {
	lowest := [2]int{-1, -1}
	for at, s := range w.sides {
		if lowest[s] < 0 || at.iface < lowest[s] {
			lowest[s] = at.iface
		}
	}
	if lowest[pair.A] == lowest[pair.B] && first == pair.A || lowest[pair.A] < lowest[pair.B] {
		return
	}
	for at, s := range w.sides {
		w.sides[at] = s.Other()
	}
}

// has says whether p was captured at a place of s.
func (w *places) has(p *packet.Packet, s pair.Side) bool {
	of, known := w.sides[w.at(p)]
	return known && of == s
}

// at is where p was captured.
func (w *places) at(p *packet.Packet) station {
	from, _, _ := stationsOf(p)
	return w.place(from)
}
