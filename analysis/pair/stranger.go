package pair

import (
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
)

// partStrangers marks the messages of strangers: an address that sends to both sides is nobody's, as that of a scanner. Such a message is
// none that travelled between the sides, though both captures may hold it: it becomes one of each capture.
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

// strangers are the addresses that both captures show as that of the other side, unless what is exchanged with them is seen
// by both: that goes through a NAT which both sides are behind.
func (c *compass) strangers(links []*Message) map[netip.Addr]bool {
	var peers [2]map[netip.Addr]bool
	for _, s := range Both {
		peers[s] = map[netip.Addr]bool{}
		for _, l := range links {
			if m := l.at[s]; m != nil && !c.own[s][m.Sent()[0].Src.Addr()] {
				peers[s][m.Sent()[0].Src.Addr()] = true
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
		if l.at[A] != nil && l.at[B] != nil && c.sender(A, l.at[A].Sent()[0].Src.Addr()) == c.sender(B, l.at[B].Sent()[0].Src.Addr()) {
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

// partForeign sets the conversations with strangers aside, so that nothing is judged by them: the foreign ones in which the other end
// speaks, unless a side asks there while nothing shows its peer. A side that asks an address in vain has the wrong one, which
// is no stranger's doing.
func (c *Case) partForeign() {
	if !c.TwoSided() {
		c.partUnanswered()
		return
	}
	known := slices.ContainsFunc(c.Conversations, (*Conversation).matched)
	c.part(func(v *Conversation) bool {
		if v.shown(A) && v.shown(B) {
			return false
		}
		if !v.Foreign {
			return !known && c.unsent(v)
		}
		spoke := false
		for _, m := range v.Messages {
			spoke = spoke || m.Copy(m.From) == nil
		}
		return spoke && (known || v.Messages[0].Copy(v.Messages[0].From) == nil)
	})
}

// unsent says whether v was begun towards the one side that shows it by an address that is not the other side's: where nothing
// matches, because the other side's capture shows what it sends to that side, and v is not among it.
func (c *Case) unsent(v *Conversation) bool {
	first := v.Messages[0]
	other := first.From
	if first.Copy(other) != nil || c.Parties[other].Is(first.Copy(other.Other()).Sent()[0].Src.Addr()) {
		return false
	}
	for m := range c.Messages() {
		if x := m.Copy(other); m.From == other && x != nil && c.Parties[other.Other()].Is(x.Sent()[0].Dst.Addr()) {
			return true
		}
	}
	return false
}

// shown says whether s's capture holds anything of v.
func (v *Conversation) shown(s Side) bool {
	return slices.ContainsFunc(v.Messages, func(m *Message) bool { return m.Copy(s) != nil })
}

// part moves the conversations of strangers.
func (c *Case) part(strange func(*Conversation) bool) {
	kept := c.Conversations[:0]
	for _, v := range c.Conversations {
		if strange(v) {
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

// partUnanswered does so in a single capture: what others ask the captured side, which it leaves unanswered or refuses, while it talks
// with a peer.
func (c *Case) partUnanswered() {
	s := A
	if c.Story(A) == nil {
		s = B
	}
	peers := map[netip.Addr]bool{} // with whom it talks
	for _, v := range c.Conversations {
		if a, ok := v.target(s.Other()); ok && v.answeredBy(s) {
			peers[a] = true
		}
	}
	if len(peers) == 0 {
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
