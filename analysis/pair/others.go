package pair

import (
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
)

// tunnel is what of two captures is of the addresses that the inventory gives, where the captures
// show that the peer uses these.
type tunnel struct {
	c *Case
	// by side: the inventory's address of it is one to which the other side speaks, so that others
	// are of other tunnels; surely, or only those with whom both ends speak
	bound, surely [2]bool
	ends          [2]map[netip.Addr]bool // addresses of the tunnel, by side
}

// partOtherTunnels sets aside what is of another address of a side than the inventory has, where
// the other side is shown to speak to that one: a gateway has tunnels with several, and both
// captures may hold them. Who moves (RFC 4555), or is translated, is still the same.
func (c *Case) partOtherTunnels() {
	if !c.TwoSided() {
		return
	}
	t := tunnel{c: c, ends: [2]map[netip.Addr]bool{{}, {}}}
	for _, s := range Both {
		t.bind(s)
	}
	if t.bound == [2]bool{} {
		return
	}
	ours := t.grow()
	before := len(c.Strangers)
	c.part(func(v *Conversation) bool { return !ours[v] && t.strange(v) })
	gone := [2]map[netip.Addr]bool{{}, {}}
	for _, v := range c.Strangers[before:] {
		v.sights(func(s Side, a netip.Addr) { gone[s][a] = true })
	}
	for _, f := range c.Flows {
		f.Foreign = !t.has(f.sights) && (f.InBoth() || t.surely != [2]bool{})
		if f.Foreign {
			f.sights(func(s Side, a netip.Addr) { gone[s][a] = true })
		}
	}
	c.forget(gone)
}

// bind finds out whether the other side speaks to the address that s is known by.
func (t *tunnel) bind(s Side) {
	p, from := &t.c.Parties[s], s.Other()
	if !p.Known.IsValid() {
		return
	}
	known := map[netip.Addr]bool{p.Known: true}
	if p.KnownNAT.IsValid() {
		known[p.KnownNAT] = true
	}
	answers, sealed := false, false
	for _, v := range t.c.Conversations {
		for _, m := range v.Messages {
			if m.From != from || !known[m.End(s, A)] && !known[m.End(s, B)] {
				continue
			}
			t.surely[s] = t.surely[s] || m.takesPart()
			answers = answers || len(m.Errors()) == 0
			sealed = sealed || m.Encrypted()
		}
	}
	for _, f := range t.c.Flows {
		t.surely[s] = t.surely[s] || f.From == from && (known[f.End(s, A)] || known[f.End(s, B)])
	}
	// Who answers, and never gets on to what is encrypted, may not be heard; who refuses then has
	// another one configured.
	if t.bound[s] = t.surely[s] || answers && !sealed; t.bound[s] {
		t.ends[s] = known
	}
}

// takesPart says whether who sends m has whom he sends it to configured as his peer: he begins, or
// takes part beyond a refusal.
func (m *Message) takesPart() bool {
	if m.Kind == exchange.Request && (m.Conversation.Initiator == m.From || m.Encrypted()) {
		return true
	}
	return m.Encrypted() && (m.Exchange == ike.V1QuickMode ||
		m.Kind == exchange.Response && m.Exchange == ike.IKEAuth && m.Sealed().Refused() == ike.No)
}

// grow finds the conversations of the tunnel, and its further addresses: those that they use, too.
func (t *tunnel) grow() map[*Conversation]bool {
	ours := map[*Conversation]bool{}
	for more := true; more; {
		more = false
		note := func(s Side, a netip.Addr) {
			if !t.ends[s][a] {
				t.ends[s][a], more = true, true
			}
		}
		for _, v := range t.c.Conversations {
			if !ours[v] && (ours[v.Rekeyed] || ours[v.Successor] || t.has(v.sights)) {
				ours[v], more = true, true
				v.sights(note)
			}
		}
		for _, f := range t.c.Flows {
			if t.has(f.sights) {
				f.sights(note)
			}
		}
	}
	return ours
}

// has says whether something with these addresses is of the tunnel.
func (t *tunnel) has(sights func(func(Side, netip.Addr))) bool {
	found := [2]bool{!t.bound[A], !t.bound[B]}
	sights(func(s Side, a netip.Addr) { found[s] = found[s] || t.ends[s][a] })
	return found == [2]bool{true, true}
}

// strange says whether v, which is none of the tunnel's, is another one's: a side that asks an
// address in vain may have a wrong one of its peer, unless it has the right one, too.
func (t *tunnel) strange(v *Conversation) bool {
	first := v.Messages[0]
	if first.Has(uint16(ike.RedirectedFrom)) || t.c.redirects(first.From.Other()) { // RFC 5685
		return false
	}
	return t.surely != [2]bool{} || v.answeredBy(A) && v.answeredBy(B)
}

// sights gives each the addresses of both sides in v, as either capture shows them.
func (v *Conversation) sights(each func(s Side, a netip.Addr)) {
	v.ways(func(_, from Side, w *exchange.Way) {
		each(from, w.Src.Addr())
		each(from.Other(), w.Dst.Addr())
	})
}

// ways gives each the ways of v's messages, with whose capture shows them and who sent them; not
// those that one after the other are the same.
func (v *Conversation) ways(each func(in, from Side, w *exchange.Way)) {
	var last [2][2]*exchange.Way
	for _, m := range v.Messages {
		for _, in := range Both {
			x := m.Copy(in)
			if x == nil {
				continue
			}
			for i := range x.Sent() {
				if w := x.Sent()[i].Way; w != last[in][m.From] {
					last[in][m.From] = w
					each(in, m.From, w)
				}
			}
		}
	}
}

// sights does so for f.
func (f *Flow) sights(each func(s Side, a netip.Addr)) {
	f.parts(func(_ Side, x *exchange.Flow) {
		each(f.From, x.Src.Addr())
		each(f.From.Other(), x.Dst.Addr())
	})
}

// parts gives each the parts of f that have addresses or ports of their own, with whose capture
// shows them.
func (f *Flow) parts(each func(in Side, x *exchange.Flow)) {
	for _, in := range Both {
		if f.At[in] != nil {
			each(in, f.At[in])
		}
		for i := range f.moved[in] {
			each(in, &f.moved[in][i])
		}
	}
}

// forget takes from the sides the addresses of other tunnels that this one does not use.
func (c *Case) forget(gone [2]map[netip.Addr]bool) {
	keep := func(s Side, a netip.Addr) { delete(gone[s], a) }
	for _, v := range c.Conversations {
		v.sights(keep)
	}
	for _, f := range c.Flows {
		if !f.Foreign {
			f.sights(keep)
		}
	}
	for _, s := range Both {
		p, not := &c.Parties[s], func(a netip.Addr) bool { return gone[s][a] }
		p.Addresses, p.Translated = slices.DeleteFunc(p.Addresses, not), slices.DeleteFunc(p.Translated, not)
		for a := range gone[s] {
			delete(p.mine, a)
		}
	}
	c.NAT = slices.DeleteFunc(c.NAT, func(m Mapping) bool { return gone[m.Side][m.Original.Addr()] })
}
