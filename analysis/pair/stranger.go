package pair

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
)

// partStrangers marks the messages of strangers: an address that sends to both sides is nobody's,
// as that of a scanner. Such a message is none that travelled between the sides, though both
// captures may hold it: it becomes one of each capture.
func (c *compass) partStrangers(links []*Message) []*Message {
	strangers := c.strangers(links)
	if len(strangers) == 0 {
		return links
	}
	parted := make([]*Message, 0, len(links))
	for _, l := range links {
		parted = append(parted, l)
		for _, s := range Both {
			if l.at[s] != nil && strangers[c.peer(s, l.at[s])] {
				l.stranger = true
			}
		}
		if l.stranger && l.at[A] != nil && l.at[B] != nil {
			parted = append(parted, &Message{at: [2]*exchange.Message{nil, l.at[B]}, stranger: true})
			l.at[B] = nil
		}
	}
	return parted
}

// strangers are the addresses that both captures show as that of the other side, unless what is
// exchanged with them is seen by both: that goes through a NAT which both sides are behind.
func (c *compass) strangers(links []*Message) map[netip.Addr]bool {
	var peers [2]map[netip.Addr]bool
	for _, s := range Both {
		peers[s] = map[netip.Addr]bool{}
		ways := map[*exchange.Way]bool{}
		for _, l := range links {
			if m := l.at[s]; m != nil {
				ways[m.Sent()[0].Way] = true
			}
		}
		for w := range ways {
			if a := w.Src.Addr(); !c.own[s][a] {
				peers[s][a] = true
			}
		}
	}
	found := map[netip.Addr]bool{}
	for a := range peers[A] {
		if peers[B][a] && !c.own[A][a] && !c.own[B][a] {
			found[a] = true
		}
	}
	if len(found) == 0 {
		return nil
	}
	for _, l := range links {
		if l.at[A] != nil && l.at[B] != nil && c.sender(A, l.at[A].Sent()[0].Src.Addr()) == c.sender(B,
			l.at[B].Sent()[0].Src.Addr()) {
			for _, s := range Both {
				delete(found, c.peer(s, l.at[s]))
			}
		}
	}
	return found
}

// peer is the address that is not s's own of those of a message in s's capture.
func (c *compass) peer(s Side, m *exchange.Message) netip.Addr {
	if x := &m.Sent()[0]; c.own[s][x.Src.Addr()] {
		return x.Dst.Addr()
	}
	return m.Sent()[0].Src.Addr()
}

// partForeign sets the conversations with strangers aside, so that nothing is judged by them: the
// foreign ones in which the other end speaks, unless a side asks there while nothing shows its
// peer; those in which a side that has a tunnel with its peer asks others, as a hub does; and,
// where nothing matches, those from an address that is not the other side's while its capture shows
// what it does send. A side that asks an address in vain instead of its peer has the wrong one,
// which is no stranger's doing.
func (c *Case) partForeign() {
	if s, lone := c.Lone(); lone {
		c.partUnanswered(s, !c.TwoSided() || c.Parties[s.Other()].Known.IsValid())
	}
	if !c.TwoSided() {
		return
	}
	known := slices.ContainsFunc(c.Conversations, (*Conversation).matched)
	meets, redirects := [2]bool{c.meetsPeer(A), c.meetsPeer(B)}, [2]bool{c.redirects(A), c.redirects(B)}
	sends := [2]bool{!known && c.sendsToPeer(A), !known && c.sendsToPeer(B)}
	c.part(func(v *Conversation) bool {
		if v.InBoth() {
			return false
		}
		first := v.Messages[0]
		if !v.Foreign {
			return sends[first.From] && c.unsent(first)
		}
		spoke := slices.ContainsFunc(v.Messages, func(m *Message) bool { return m.Copy(m.From) == nil })
		sentAway := first.Has(uint16(ike.RedirectedFrom)) || redirects[first.From.Other()]
		return spoke && (known || first.Copy(first.From) == nil) || meets[first.From] && !sentAway
	})
}

// meetsPeer says whether s has its peer configured with the address that the peer has: it begins
// negotiations there, takes part in one of the peer's beyond a refusal, or sends ESP that arrives.
func (c *Case) meetsPeer(s Side) bool {
	meets := func(m *Message) bool { return m.From == s && m.Copy(s) != nil && m.takesPart() }
	return slices.ContainsFunc(c.Conversations, func(v *Conversation) bool {
		return !v.Foreign && v.matched() && slices.ContainsFunc(v.Messages, meets)
	}) || slices.ContainsFunc(c.Flows, func(f *Flow) bool {
		return f.From == s && !f.Foreign && f.InBoth()
	})
}

// redirects says whether s sends its peer elsewhere (RFC 5685).
func (c *Case) redirects(s Side) bool {
	return slices.ContainsFunc(c.Conversations, func(v *Conversation) bool {
		return v.MaySay(ike.Redirect) && slices.ContainsFunc(v.Messages, func(m *Message) bool {
			return m.From == s && m.Has(uint16(ike.Redirect))
		})
	})
}

// unsent says whether a negotiation was begun by first towards the one side that shows it, from an
// address that is not the sender's.
func (c *Case) unsent(first *Message) bool {
	s := first.From
	return first.Copy(s) == nil && !c.Parties[s].Is(first.Copy(s.Other()).Sent()[0].Src.Addr())
}

// sendsToPeer says whether the capture of s shows what s sends to the other side: what is missing
// there it did not send.
func (c *Case) sendsToPeer(s Side) bool {
	for m := range c.Messages() {
		if x := m.Copy(s); m.From == s && x != nil && c.Parties[s.Other()].Is(x.Sent()[0].Dst.Addr()) {
			return true
		}
	}
	return false
}

// Shown says whether s's capture holds anything of v.
func (v *Conversation) Shown(s Side) bool {
	return slices.ContainsFunc(v.Messages, func(m *Message) bool { return m.Copy(s) != nil })
}

// InBoth says whether both captures hold something of v, and be it different messages.
func (v *Conversation) InBoth() bool { return v.Shown(A) && v.Shown(B) }

// StrangersOf are the strangers' conversations that the capture of s alone holds, as a case of its
// own: as if the other capture were not there.
func (c *Case) StrangersOf(s Side) *Case {
	alone := *c
	alone.Conversations, alone.Flows, alone.Parties[s.Other()].Story = nil, nil, nil
	alone.remotes, alone.agreements = nil, nil // what was found out of the whole case
	for _, v := range c.Strangers {
		if v.Shown(s) && !v.Shown(s.Other()) {
			alone.Conversations = append(alone.Conversations, v)
		}
	}
	return &alone
}

// part moves the conversations of strangers. An IKE SA and the one that replaced it are of one
// tunnel: they stay together.
func (c *Case) part(strange func(*Conversation) bool) {
	if !slices.ContainsFunc(c.Conversations, strange) {
		return
	}
	oldest := map[*Conversation]*Conversation{} // of the IKE SAs that replaced each other
	ours := map[*Conversation]bool{}            // by the oldest one
	for _, v := range c.Conversations {         // in order of time: the older ones come first
		o := cmp.Or(oldest[v.Rekeyed], v)
		oldest[v] = o
		ours[o] = ours[o] || !strange(v)
	}
	kept := c.Conversations[:0]
	for _, v := range c.Conversations {
		if !ours[oldest[v]] {
			v.Foreign = true
			c.Strangers = append(c.Strangers, v)
		} else {
			kept = append(kept, v)
		}
	}
	if c.Conversations = kept; len(c.Strangers) > 0 {
		c.number()
	}
}

// partUnanswered does so in a single capture: what others ask the captured side, which it leaves
// unanswered or refuses, while it talks with a peer. Where the other capture was given, too, holds
// nothing, and nobody said who the peer is, it is sure only when the side talks with one peer.
func (c *Case) partUnanswered(s Side, sure bool) {
	peers := map[netip.Addr]bool{} // with whom it talks
	for _, f := range c.Flows {
		if a := f.End(s.Other(), s); a.IsValid() && f.From == s && sure && !f.toGroup() {
			peers[a] = true // whom it sends protected packets may well say that it does not know their SPI
		}
	}
	for _, v := range c.Conversations {
		if a, ok := v.target(s.Other()); ok && v.answeredBy(s) && (sure || v.answeredBy(s.Other())) {
			peers[a] = true
		}
	}
	if len(peers) == 0 || !sure && len(peers) > 1 {
		return
	}
	p := &c.Parties[s.Other()]
	c.part(func(v *Conversation) bool {
		a, ok := v.target(s.Other())
		return ok && !peers[a] && a != p.Known && a != p.KnownNAT && v.Messages[0].From != s && !v.answeredBy(s)
	})
}

// answeredBy says whether s sent anything in v but errors in clear.
func (v *Conversation) answeredBy(s Side) bool {
	return slices.ContainsFunc(v.Messages, func(m *Message) bool { return m.From == s && len(m.Errors()) == 0 })
}
