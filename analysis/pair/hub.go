package pair

import "net/netip"

// findOtherTunnels marks, in a single capture, what is of other tunnels than the one whose two ends
// the inventory knows: a hub's capture holds many. Without a packet between these two nothing is
// marked, and it says so: a NAT that the inventory does not have may hide them.
func (c *Case) findOtherTunnels(s Side) bool {
	peer := &c.Parties[s.Other()]
	if !peer.Known.IsValid() || c.Story(s) == nil {
		return false
	}
	known := func(mine, other netip.Addr, from Side) bool {
		if from != s {
			mine, other = other, mine
		}
		home := c.Parties[s].Known
		return (!home.IsValid() || mine == home) && (other == peer.Known || other == peer.KnownNAT)
	}
	ours, some := map[endpoints]bool{}, false // who moves to another address is still the same (RFC 4555)
	note := func(src, dst netip.Addr) {
		e, _ := endpointsOf(src, dst)
		ours[e], some = true, true
	}
	for _, v := range c.Conversations {
		if v.between(s, known) {
			v.between(s, func(src, dst netip.Addr, _ Side) bool { note(src, dst); return false })
		}
	}
	for _, f := range c.Flows {
		if x := f.At[s]; x != nil && known(x.Src.Addr(), x.Dst.Addr(), f.From) {
			note(x.Src.Addr(), x.Dst.Addr())
		}
	}
	if !some {
		return false
	}
	strange := func(src, dst netip.Addr) bool { e, _ := endpointsOf(src, dst); return !ours[e] }
	for _, f := range c.Flows {
		if x := f.At[s]; x != nil && strange(x.Src.Addr(), x.Dst.Addr()) {
			f.Foreign = true
		}
	}
	c.part(func(v *Conversation) bool {
		return !v.between(s, func(src, dst netip.Addr, _ Side) bool { return !strange(src, dst) })
	})
	return true
}

// between says whether is holds for source, destination and sender of any sight
// of v in s's capture.
func (v *Conversation) between(s Side, is func(src, dst netip.Addr, from Side) bool) bool {
	for _, m := range v.Messages {
		x := m.Copy(s)
		if x == nil {
			continue
		}
		for i := range x.Sent() {
			if at := &x.Sent()[i]; is(at.Src.Addr(), at.Dst.Addr(), m.From) {
				return true
			}
		}
	}
	return false
}
