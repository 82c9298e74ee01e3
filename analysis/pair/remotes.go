package pair

import (
	"net/netip"
)

// Remotes tell, where one capture alone shows anything, with which other gateway something is: by
// an address of it. With both captures there is one peer, which needs none.
type Remotes struct {
	side Side // whose capture it is
	lone bool
	same map[netip.Addr]netip.Addr // addresses of one peer, which moved or answers from another one
}

// Remotes tells who is who; it is found out once, for all that ask.
func (c *Case) Remotes() *Remotes {
	if c.remotes == nil {
		c.remotes = c.findRemotes()
	}
	return c.remotes
}

func (c *Case) findRemotes() *Remotes {
	r := &Remotes{}
	if r.side, r.lone = c.Lone(); !r.lone {
		return r
	}
	r.same = map[netip.Addr]netip.Addr{}
	other := r.side.Other()
	for _, v := range c.Conversations {
		last := v.Ends[other].Addr()
		for _, m := range v.Messages {
			at := m.End(other, r.side)
			if _, known := r.same[at]; at.IsValid() && at != last && !known {
				r.same[at] = last
			}
		}
	}
	return r
}

// Peer is the address that stands for the peer with one of its addresses.
func (r *Remotes) Peer(a netip.Addr) netip.Addr {
	const moves = 8 // no more are followed
	for range moves {
		next, ok := r.same[a]
		if !ok || next == a {
			break
		}
		a = next
	}
	return a
}

// Of is the peer of a flow; invalid where both captures tell.
func (r *Remotes) Of(f *Flow) netip.Addr {
	if !r.lone {
		return netip.Addr{}
	}
	return r.Peer(f.End(r.side.Other(), r.side))
}

// With is the peer of a conversation; invalid where both captures tell.
func (r *Remotes) With(v *Conversation) netip.Addr {
	if !r.lone {
		return netip.Addr{}
	}
	return r.Peer(v.Ends[r.side.Other()].Addr())
}
