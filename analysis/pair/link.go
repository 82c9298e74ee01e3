package pair

import (
	"bytes"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
)

// room makes room for n transmissions.
func (m *Message) room(n int) {
	if n == 1 {
		if m.rest != nil {
			m.rest.sends = nil
		}
		return
	}
	all, sends := make([]Transmission, n), make([]*Transmission, n)
	for i := range all {
		sends[i] = &all[i]
	}
	m.more().sends = sends[:0]
}

// send adds a transmission, for which there is room.
func (m *Message) send(t Transmission) {
	if m.rest == nil || cap(m.rest.sends) == 0 {
		m.one, m.only[0] = t, &m.one
		return
	}
	n := len(m.rest.sends)
	m.rest.sends = m.rest.sends[:n+1]
	*m.rest.sends[n] = t
}

// side is the one whose capture holds l, of a link with one end.
func (l *Message) side() Side {
	if l.at[A] != nil {
		return A
	}
	return B
}

// better returns the copy to read: the sender's, unless it is cut and the other one is not.
func (l *Message) better() *exchange.Message {
	s, r := l.at[l.From], l.at[l.From.Other()]
	switch {
	case s == nil:
		return r
	case r != nil && s.Truncated && !r.Truncated:
		return r
	}
	return s
}

// read takes x for the copy to read.
func (l *Message) read(x *exchange.Message) {
	l.Message, l.Exchange, l.Kind, l.Role = x, x.Exchange, x.Kind, x.Role
}

// linkMessages finds every message of a in b by its content, first whole, then by what a truncated
// capture holds of it. Messages of one capture alone come with one copy. It is a hash join, linear
// in the number of messages.
func linkMessages(a, b *exchange.Story, room *Room) []*Message {
	if b == nil {
		b = &exchange.Story{}
	}
	taken := make([]bool, b.Messages.Len())
	var cut byPrefix // only needed where a capture is cut
	if b.Counts.TruncatedIKE > 0 || a.Counts.TruncatedIKE > 0 {
		cut = cutIndex(&b.Messages)
	}
	others, onlyB := make([]int32, a.Messages.Len()), b.Messages.Len() // by their places in b
	for i := range others {
		others[i] = none
	}
	for i, twin := range a.Twins(b) {
		others[i] = int32(twin)
	}
	for m := range a.Messages.All() {
		o := &others[m.Index]
		if *o == none || taken[*o] {
			*o = cut.find(m, taken)
		}
		if *o != none {
			taken[*o] = true
			onlyB--
		}
	}
	all, links := room.of(a.Messages.Len() + onlyB)
	for m := range a.Messages.All() {
		all[m.Index].at[A] = m
		if o := others[m.Index]; o != none {
			all[m.Index].at[B] = b.Messages.At(int(o))
		}
	}
	onlyInB := all[a.Messages.Len():]
	for m := range b.Messages.All() {
		if !taken[m.Index] {
			onlyInB[0].at[B] = m
			onlyInB = onlyInB[1:]
		}
	}
	return links
}

// none is no place.
const none = -1

// byPrefix finds messages by their first bytes, for captures that are cut.
type byPrefix map[uint64][]*exchange.Message

func cutIndex(all *exchange.Messages) byPrefix {
	x := byPrefix{}
	for m := range all.All() {
		x[m.Prefix()] = append(x[m.Prefix()], m)
	}
	return x
}

// find is the place of what may be m and is not taken, or none.
func (x byPrefix) find(m *exchange.Message, taken []bool) int32 {
	if len(x) == 0 {
		return none
	}
	for _, o := range x[m.Prefix()] {
		if !taken[o.Index] && (o.Truncated || m.Truncated) && sameAsFar(m, o) {
			return o.Index
		}
	}
	return none
}

// sameAsFar says whether two copies agree as far as both go.
func sameAsFar(m, o *exchange.Message) bool {
	n := min(len(m.Raw()), len(o.Raw()))
	return m.Length == o.Length && n >= ike.HeaderLen && bytes.Equal(m.Raw()[:n], o.Raw()[:n])
}

// identity is what an altered message still has in common with itself.
type identity struct {
	spiI, spiR ike.SPI
	exchange   ike.ExchangeType
	flags      ike.Flags
	id         uint32
	first      ike.PayloadType
	fragment   uint16
	whole      uint16 // FRAG of IKEv1: of which message
	length     uint32 // of what is encrypted in IKEv1: a side sends two messages of one Quick Mode
	from       Side
}

func identityOf(m *exchange.Message, from Side) identity {
	i := identity{m.SPIi, m.SPIr, m.Exchange, m.Flags, m.MessageID, m.NextPayload, m.Fragment, 0, 0, from}
	if m.Major() == 2 && m.Exchange == ike.IKESAInit {
		i.first = 0 // a middle box may take payloads out
	}
	if m.Major() == 1 && m.Encrypted() {
		i.length = m.Length
	}
	if f := m.Frag(); f != nil {
		i.fragment, i.whole = uint16(f.Part), f.ID
	}
	return i
}

// linkAltered joins what is left alone in A with what is left alone in B when it is the same
// message with other bytes: the n-th with the n-th. One whose answer is there in the original
// bytes' capture is none the less altered.
func linkAltered(links []*Message) []*Message {
	lonely := map[identity][]*Message{}
	for _, l := range links {
		if l.at[A] == nil && l.at[B] != nil {
			k := identityOf(l.at[B], l.From)
			lonely[k] = append(lonely[k], l)
		}
	}
	gone := map[*Message]bool{}
	for _, l := range links {
		if l.at[A] == nil || l.at[B] != nil {
			continue
		}
		k := identityOf(l.at[A], l.From)
		if len(lonely[k]) == 0 {
			continue
		}
		i := max(0, slices.IndexFunc(lonely[k], func(o *Message) bool { return cutShort(l.at[A], o.at[B]) }))
		o := lonely[k][i]
		lonely[k] = slices.Delete(lonely[k], i, i+1)
		l.at[B], gone[o] = o.at[B], true
		if l.Altered = !cutShort(l.at[A], l.at[B]); l.Altered {
			l.more().differAt = firstDifference(l.at[A].Raw(), l.at[B].Raw())
		}
	}
	kept := links[:0]
	for _, l := range links {
		if !gone[l] {
			kept = append(kept, l)
		}
	}
	linkAlteredOnce(kept)
	return kept
}

// linkAlteredOnce finds the sending of an arrival with other bytes where most copies of the message
// arrived as they were sent: the n-th of the sendings is the n-th of the arrivals.
func linkAlteredOnce(links []*Message) {
	arrived := func(o *Message) bool { return o.at[o.From.Other()] != nil && o.at[o.From] == nil }
	whole := map[identity]*Message{} // of what only arrived
	for _, o := range links {
		if arrived(o) {
			whole[identityOf(o.at[o.From.Other()], o.From)] = nil
		}
	}
	if len(whole) == 0 {
		return
	}
	for _, l := range links {
		if l.at[A] != nil && l.at[B] != nil && !l.Altered {
			k := identityOf(l.at[l.From], l.From)
			if _, wanted := whole[k]; wanted {
				whole[k] = l
			}
		}
	}
	for _, o := range links {
		to := o.From.Other()
		if !arrived(o) {
			continue
		}
		l := whole[identityOf(o.at[to], o.From)]
		if l == nil || len(o.originals(to)) != 1 || len(l.originals(o.From)) <= len(l.originals(to)) {
			continue
		}
		before := 0
		for _, x := range l.originals(to) {
			if x.Nanos < o.originals(to)[0].Nanos {
				before++
			}
		}
		o.at[o.From] = l.split(l.originals(o.From)[before])
		o.Altered, o.more().differAt = true, firstDifference(o.at[A].Raw(), o.at[B].Raw())
	}
}

// split takes a sending of l's sender out and returns it as a message of its own. The story keeps
// what it has.
func (l *Message) split(x *exchange.Sight) *exchange.Message {
	m := l.at[l.From]
	part, left := *m, *m
	part.SetSent([]exchange.Sight{*x})
	rest := make([]exchange.Sight, 0, len(m.Sent())-1)
	for i := range m.Sent() {
		if &m.Sent()[i] != x {
			rest = append(rest, m.Sent()[i])
		}
	}
	left.SetSent(rest)
	l.at[l.From] = &left
	return &part
}

// cutShort says whether two copies differ only because a capture cut one of them: shorter even than
// what identifies them elsewhere.
func cutShort(m, o *exchange.Message) bool { return (m.Truncated || o.Truncated) && sameAsFar(m, o) }

func firstDifference(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
