package pair

import (
	"net/netip"
	"slices"
)

// findForeign marks the conversations and flows with somebody else. Whose an address is, is known
// from the inventory, or from packets that matched.
func (c *Case) findForeign() {
	for _, f := range c.Flows {
		f.Foreign = f.Foreign || f.toGroup()
	}
	if s, lone := c.Lone(); lone && c.findOtherTunnels(s) || !c.TwoSided() {
		return
	}
	matched := slices.ContainsFunc(c.Conversations, (*Conversation).matched) ||
		slices.ContainsFunc(c.Flows, (*Flow).InBoth) ||
		slices.ContainsFunc(Both[:], func(s Side) bool {
			return len(reachedByPieces(c.Story(s), c.Parties[s.Other()].Addresses)) > 0
		})
	stranger := func(s Side, a netip.Addr) bool {
		p := &c.Parties[s]
		return (matched || p.Known.IsValid()) && !p.Is(a)
	}
	for _, v := range c.Conversations {
		if v.matched() {
			continue
		}
		for _, s := range Both {
			if a, ok := v.target(s); ok && stranger(s, a) {
				v.Foreign = true
			}
		}
	}
	for _, f := range c.Flows {
		for _, s := range Both {
			if a := f.End(s, s.Other()); a.IsValid() && f.At[s] == nil {
				f.Foreign = f.Foreign || stranger(s, a)
			}
		}
	}
}

// toGroup says whether f goes to a multicast group, as that of routing protocols does (RFC 4552): a
// group is no peer.
func (f *Flow) toGroup() bool {
	for _, x := range f.At {
		if x != nil && x.Dst.Addr().IsMulticast() {
			return true
		}
	}
	return false
}

// OtherTunnel says whether f is of a tunnel of one side with somebody else: it is none of this
// tunnel's, and its other end is no group.
func (f *Flow) OtherTunnel() bool { return f.Foreign && !f.toGroup() }

// InBoth says whether both captures hold packets of f.
func (f *Flow) InBoth() bool { return f.At[A] != nil && f.At[B] != nil }

// Between are the addresses of the two ends.
func (v *Conversation) Between() [2]netip.Addr {
	return [2]netip.Addr{v.Ends[A].Addr(), v.Ends[B].Addr()}
}

// matched says whether any packet of v is in both captures.
func (v *Conversation) matched() bool {
	return slices.ContainsFunc(v.Messages, func(m *Message) bool { return m.Copy(A) != nil && m.Copy(B) != nil })
}

// target is the address of s that the other side uses in v, by that side's own capture.
func (v *Conversation) target(s Side) (netip.Addr, bool) {
	for _, m := range v.Messages {
		if a := m.End(s, s.Other()); a.IsValid() {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// End is the address of s in m as the capture of in shows it, where it was sent first; invalid
// where that does not hold m.
func (m *Message) End(s, in Side) netip.Addr {
	x := m.Copy(in)
	if x == nil {
		return netip.Addr{}
	}
	return endOf(s, m.From, x.Sent()[0].Src, x.Sent()[0].Dst)
}

// End is the address of s in f as the capture of in shows it; invalid where that does not hold f.
func (f *Flow) End(s, in Side) netip.Addr {
	x := f.At[in]
	if x == nil {
		return netip.Addr{}
	}
	return endOf(s, f.From, x.Src, x.Dst)
}

// endOf is the address of s of a packet that from sent.
func endOf(s, from Side, src, dst netip.AddrPort) netip.Addr {
	if s == from {
		return src.Addr()
	}
	return dst.Addr()
}
