package facts

import (
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/pair"
)

// Empty says whether the capture of s holds no packet of the tunnel while the other side's does, so
// that nothing proves that it worked. One that holds pieces of datagrams, or mostly what is not
// read, is not empty.
func Empty(c *pair.Case, s pair.Side) bool {
	if !c.TwoSided() {
		return false
	}
	mine := c.Story(s)
	return !mine.Shows() && c.Story(s.Other()).Counts.Tunnel() > 0 && !Unread(mine)
}

// AnyEmpty says whether one of the captures is.
func AnyEmpty(c *pair.Case) bool { return Empty(c, pair.A) || Empty(c, pair.B) }

// Unread says whether what a capture holds is, for the greater part, wrapped in what is not read,
// so that what it lacks means nothing.
func Unread(s *exchange.Story) bool {
	n := 0
	for _, u := range s.Unread {
		n += u.Packets
	}
	return n > 0 && n*2 >= s.Counts.Packets-s.Counts.Tunnel()
}

// Disjoint says whether the two captures were taken at different times, so that what one of them
// lacks was not captured.
func Disjoint(c *pair.Case) bool { return c.TwoSided() && !c.Overlap && !AnyEmpty(c) }

// Apart says whether nothing that two captures hold shows that they are of one tunnel: no SPI, no
// packet and no pair of addresses is in both, and where an address of a side is, all that each has
// of it is answered, while the other lacks every packet of it at the time. Where all is lost,
// requests that nobody answers name the peer; where a NAT hides addresses, the SPIs are left, or
// the inventory has the addresses.
func Apart(c *pair.Case) bool {
	if !c.TwoSided() {
		return false
	}
	if slices.ContainsFunc(c.Flows, (*pair.Flow).InBoth) ||
		slices.ContainsFunc(c.Conversations, (*pair.Conversation).InBoth) ||
		slices.ContainsFunc(c.Strangers, (*pair.Conversation).InBoth) {
		return false
	}
	ways := [2]routes{routesOf(c.Story(pair.A)), routesOf(c.Story(pair.B))}
	if len(ways[pair.A]) == 0 || len(ways[pair.B]) == 0 || ways[pair.A].known(c, pair.A) && ways[pair.B].known(c, pair.B) {
		return false
	}
	ends := [2]map[netip.Addr]bool{ways[pair.A].ends(), ways[pair.B].ends()}
	shows := func(x netip.Addr) bool { // an address of one of the two sides is in both captures
		return ends[pair.A][x] && ends[pair.B][x] && (c.Parties[pair.A].Is(x) || c.Parties[pair.B].Is(x))
	}
	a, b := c.Story(pair.A).Counts, c.Story(pair.B).Counts
	alike := c.Overlap && (a.IKE > 0 && b.IKE > 0 || a.ESP+a.AH > 0 && b.ESP+b.AH > 0)
	for _, s := range pair.Both {
		for w := range ways[s] {
			back, other := route{w.to, w.from}, ways[s.Other()]
			if other[w] || other[back] || (shows(w.from) || shows(w.to)) && !(alike && ways[s][back]) {
				return false
			}
		}
	}
	return true
}

// OfOther says whether the capture of s is that of a gateway which is not the one that the
// inventory knows: what it shares with the other capture is a tunnel with another address, and it
// has nothing of the one that is meant, while the other capture has.
func OfOther(c *pair.Case, s pair.Side) bool {
	p := &c.Parties[s]
	if !c.TwoSided() || !p.Known.IsValid() || routesOf(c.Story(s)).known(c, s) {
		return false
	}
	other := routesOf(c.Story(s.Other())).ends()
	if !other[p.Known] && !(p.KnownNAT.IsValid() && other[p.KnownNAT]) {
		return false
	}
	shared := func(f *pair.Flow) bool { return f.OtherTunnel() && f.InBoth() }
	return (slices.ContainsFunc(c.Strangers, (*pair.Conversation).InBoth) || slices.ContainsFunc(c.Flows, shared)) &&
		!slices.ContainsFunc(c.Conversations, func(v *pair.Conversation) bool { return v.Shown(s) }) &&
		!slices.ContainsFunc(c.Flows, func(f *pair.Flow) bool { return !f.Foreign && f.At[s] != nil })
}

// OneFits says whether one of two captures holds the tunnel that the inventory names, and the other
// one nothing of it: what negotiations there are in the case are then of the first.
func OneFits(c *pair.Case) bool {
	if !c.TwoSided() || !c.Said() {
		return false
	}
	fits := [2]bool{routesOf(c.Story(pair.A)).known(c, pair.A), routesOf(c.Story(pair.B)).known(c, pair.B)}
	return fits[pair.A] != fits[pair.B] && !slices.ContainsFunc(c.Conversations, func(v *pair.Conversation) bool {
		return !v.Foreign && (v.Shown(pair.A) && !fits[pair.A] || v.Shown(pair.B) && !fits[pair.B])
	})
}

// Ends are the addresses of a packet of a tunnel in a capture, and its frame; ok is false where
// none is whole.
func Ends(s *exchange.Story) (from, to netip.Addr, frame int, ok bool) {
	switch {
	case s.Messages.Len() > 0:
		x := &s.Messages.At(0).Sent()[0]
		return x.Src.Addr(), x.Dst.Addr(), int(x.Frame), true
	case len(s.Flows) > 0:
		f := s.Flows[0]
		return f.Src.Addr(), f.Dst.Addr(), int(f.First.Frame), true
	}
	return from, to, 0, false
}

// route is a way that packets of a tunnel went.
type route struct{ from, to netip.Addr }

type routes map[route]bool

// routesOf are those of a capture, pieces of datagrams included; to no group.
func routesOf(s *exchange.Story) routes {
	all := routes{}
	add := func(from, to netip.Addr) {
		if !to.IsMulticast() {
			all[route{from, to}] = true
		}
	}
	for m := range s.Messages.All() {
		for i := range m.Sent() {
			add(m.Sent()[i].Src.Addr(), m.Sent()[i].Dst.Addr())
		}
	}
	for _, f := range s.Flows {
		add(f.Src.Addr(), f.Dst.Addr())
	}
	for _, k := range s.Keepalives {
		add(k.Src.Addr(), k.Dst.Addr())
	}
	for _, d := range s.Datagrams {
		add(d.Src, d.Dst)
	}
	return all
}

func (r routes) ends() map[netip.Addr]bool {
	all := map[netip.Addr]bool{}
	for w := range r {
		all[w.from], all[w.to] = true, true
	}
	return all
}

// known says whether one of them has the address that the inventory gives to s, whose capture has
// them; where it gives none, that of the peer.
func (r routes) known(c *pair.Case, s pair.Side) bool {
	p := &c.Parties[s]
	if !p.Known.IsValid() {
		p = &c.Parties[s.Other()]
	}
	ends := r.ends()
	return p.Known.IsValid() && ends[p.Known] || p.KnownNAT.IsValid() && ends[p.KnownNAT]
}

// Unheard says whether no capture would show what s sends: those that there are hold one direction
// only.
func Unheard(c *pair.Case, s pair.Side) bool {
	own, other := &c.Parties[s], &c.Parties[s.Other()]
	return (own.Story == nil || own.Coverage.Mute) && (other.Story == nil || other.Coverage.Deaf)
}
