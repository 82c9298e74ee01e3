package pair

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
)

type conversationKey struct {
	version  int
	spi      ike.SPI
	stranger Side // in whose capture a stranger's conversation is: it may send one message to both sides
	strange  bool
}

func (k conversationKey) hash() uint64 { return exchange.Mix(uint64(k.spi), uint64(k.version)) }

// converse groups the messages by the initiator's SPI, which stays the same through COOKIE and
// INVALID_KE_PAYLOAD retries, and links the conversations that belong together.
func (j *joiner) converse() {
	c := j.c
	j.group()
	room := requests{index: &j.index}
	for v := range until(j.ctx, c.Conversations) {
		v.settle(c)
		v.linkAnswers(&room)
	}
	if j.ctx.Err() != nil {
		return // the messages of the others are in no order, and answer nothing
	}
	slices.SortStableFunc(c.Conversations, func(x, y *Conversation) int {
		return cmp.Or(cmp.Compare(x.First, y.First), cmp.Compare(x.SPIi, y.SPIi))
	})
	c.number()
	linkRekeys(c.Conversations)
	linkAttempts(c.Conversations)
	known := suites{}
	for v := range until(j.ctx, c.Conversations) {
		v.measure(j.keys, known)
	}
}

// group makes the conversations of the messages.
func (j *joiner) group() {
	c := j.c
	type group struct{ first, size int32 } // the place of its first message, and how many there are
	var groups []group
	index, of := &j.index, make([]int32, len(j.links))
	index.Reset(0)
	for i, m := range j.links {
		m.read(m.better())
		k := m.conversation()
		n := index.Find(k.hash(), func(i int) bool { return j.links[groups[i].first].conversation() == k })
		if n < 0 {
			n = len(groups)
			index.Add(k.hash(), n)
			groups = append(groups, group{first: int32(i)})
		}
		of[i] = int32(n)
		groups[n].size++
	}
	order, all := make([]*Message, len(j.links)), make([]Conversation, len(groups))
	c.Conversations = make([]*Conversation, len(groups))
	for n, g := range groups {
		k := j.links[g.first].conversation()
		c.Conversations[n] = &all[n]
		all[n] = Conversation{Version: k.version, SPIi: k.spi, Foreign: k.strange, Messages: order[:0:g.size]}
		order = order[g.size:]
	}
	for i, m := range j.links {
		v := c.Conversations[of[i]]
		m.Conversation = v
		v.Messages = append(v.Messages, m)
	}
}

// Spoken says whether v is of a major version of IKE that there is. A message of another one is
// answered with INVALID_MAJOR_VERSION (RFC 7296, Section 2.5), if at all; anybody can send it.
func (v *Conversation) Spoken() bool { return v.Version == 1 || v.Version == 2 }

// conversation names the conversation that l is of.
func (l *Message) conversation() conversationKey {
	k := conversationKey{version: l.Major(), spi: l.SPIi}
	if l.stranger {
		k.strange, k.stranger = true, l.side()
	}
	return k
}

// number gives the conversations their IDs.
func (c *Case) number() {
	for i, v := range c.Conversations {
		v.ID = strconv.Itoa(i + 1)
	}
}

// settle orders the messages of a conversation and sums up what they share.
func (v *Conversation) settle(c *Case) {
	slices.SortStableFunc(v.Messages, func(x, y *Message) int {
		return cmp.Or(cmp.Compare(x.Transmissions()[0].Aligned, y.Transmissions()[0].Aligned), cmp.Compare(x.Kind, y.Kind))
	})
	v.First, v.Last = v.Messages[0].Transmissions()[0].Aligned, v.Messages[0].Transmissions()[0].Aligned
	for _, m := range v.Messages {
		v.marks.take(m)
		for _, t := range m.Transmissions() {
			v.First, v.Last = min(v.First, t.Aligned), max(v.Last, t.Aligned)
		}
		if m.SPIr != 0 && !slices.Contains(v.SPIrs, m.SPIr) && len(v.SPIrs) < 64 {
			v.SPIrs = append(v.SPIrs, m.SPIr)
		}
		v.Complete = v.Complete || m.begins()
	}
	v.Initiator = v.initiator()
	v.SPIr = v.responderSPI()
	for _, s := range Both {
		v.Ends[s] = v.end(c, s)
	}
}

// begins says whether m is the first message of an IKE SA.
func (m *Message) begins() bool {
	switch m.Exchange {
	case ike.IKESAInit:
		return m.Major() == 2 && m.Kind == exchange.Request
	case ike.V1MainMode, ike.V1Aggressive:
		return m.Major() == 1 && m.SPIr == 0
	}
	return false
}

func (v *Conversation) initiator() Side {
	for _, m := range v.Messages {
		switch m.Role {
		case exchange.Initiator:
			return m.From
		case exchange.Responder:
			return m.From.Other()
		}
	}
	return v.Messages[0].From
}

// responderSPI is the one of the encrypted messages, else of the last answer that is
// more than a Notify.
func (v *Conversation) responderSPI() ike.SPI {
	var last ike.SPI
	for _, m := range v.Messages {
		if m.SPIr == 0 {
			continue
		}
		if m.Encrypted() {
			return m.SPIr
		}
		last = m.SPIr
	}
	return last
}

// end returns the address of s as its own capture shows it last, or as the other's does.
func (v *Conversation) end(c *Case, s Side) netip.AddrPort {
	for _, capture := range [2]Side{s, s.Other()} {
		if c.Story(capture) == nil {
			continue
		}
		for _, m := range slices.Backward(v.Messages) {
			for _, t := range slices.Backward(m.Transmissions()) {
				if x := t.At[capture]; x != nil && m.From == s {
					return x.Src
				} else if x != nil {
					return x.Dst
				}
			}
		}
	}
	return netip.AddrPort{}
}

type askedKey struct {
	id       uint32
	exchange ike.ExchangeType
	from     Side
}

// asks is what a request and its response share.
func (m *Message) asks() askedKey {
	k := askedKey{m.MessageID, m.Exchange, m.From}
	if m.Kind == exchange.Response {
		k.from = m.From.Other()
	}
	return k
}

func (k askedKey) hash() uint64 {
	return exchange.Mix(uint64(k.id), uint64(k.exchange)<<8|uint64(k.from))
}

// linkAnswers relates every response to its request: by message ID, exchange and direction; several
// requests of IKE_SA_INIT (cookie, other group) to the last one before it; all fragments of a
// request (RFC 7383) to the same answer. In IKEv1 the order of the exchange tells. An answer that
// was said before a request with the same message ID came is that of an earlier one.
func (v *Conversation) linkAnswers(q *requests) {
	n := 0
	for _, m := range v.Messages {
		if m.Kind == exchange.Request {
			n++
		}
	}
	q.index.Reset(n)
	q.next = slices.Grow(q.next[:0], len(v.Messages))[:len(v.Messages)]
	inOrder := func(m *Message) bool { return v.Version == 1 || m.begins() }
	first := func(k askedKey) int {
		return q.index.Find(k.hash(), func(i int) bool { return v.Messages[i].asks() == k })
	}
	for i, m := range v.Messages {
		if m.Kind != exchange.Request || inOrder(m) {
			continue
		}
		q.next[i] = 0
		k := m.asks()
		if f := first(k); f < 0 {
			q.index.Add(k.hash(), i)
		} else {
			q.next[i], q.next[f] = q.next[f], int32(i)+1
		}
	}
	if len(q.last) > 64 {
		q.last = nil
	}
	clear(q.last)
	for _, m := range v.Messages {
		switch {
		case m.Kind == exchange.Request && inOrder(m):
			if q.last == nil {
				q.last = map[askedKey]*Message{}
			}
			q.last[m.asks()] = m
		case m.Kind == exchange.Response:
			k := m.asks()
			if r := q.last[k]; r != nil {
				m.answer(r)
				continue
			}
			f := first(k)
			for i := f; i >= 0; i = int(q.next[i]) - 1 {
				if i == f || !v.Messages[i].reuses(v.Messages[f], m) {
					m.answer(v.Messages[i])
				}
			}
		}
	}
}

// reuses says whether a request is another one than first, with the same message ID, that begins
// when the answer to that was last seen: as a gateway asks that took over from another one with an
// older state (RFC 6311, Section 3). What was said before answers nothing.
func (m *Message) reuses(first, answer *Message) bool {
	said := answer.Transmissions()
	return m.Fragments == 0 && first.Transmissions()[0].Aligned < said[0].Aligned &&
		m.Transmissions()[0].Aligned > said[len(said)-1].Aligned+answeredFirst
}

// answeredFirst is by how much clocks and captures may be apart, for an answer to be seen before
// its request.
const answeredFirst = 1_000_000_000

// requests are those of one conversation, and room for those of the next.
type requests struct {
	index *exchange.Index       // of those that their numbers tell, the first one of a key
	next  []int32               // the next one of the same key, a fragment, counted from 1
	last  map[askedKey]*Message // of those that their order tells, the last one so far
}

// answer makes m the answer of a request, of fragments the first of which comes first.
func (m *Message) answer(request *Message) {
	if m.partner == nil {
		m.partner = request
	}
	if request.partner == nil {
		request.partner = m
	}
}

// linkRekeys finds the IKE SA that a conversation without a beginning replaced: the one between the
// same sides with the last answered CREATE_CHILD_SA before it (RFC 7296, Section 1.3.2).
func linkRekeys(all []*Conversation) {
	const reach = 256 // conversations to look back over; a flood of strange SPIs may not take quadratic time
	var rekeyed []*Conversation
	for _, v := range all {
		if !v.Complete && v.Version == 2 {
			for _, old := range slices.Backward(rekeyed[max(0, len(rekeyed)-reach):]) {
				if old.Successor == nil && old.Between() == v.Between() && old.rekeyedBefore(v) {
					v.Rekeyed, v.origin, old.Successor = old, old.Origin(), v
					break
				}
			}
		}
		if v.Version == 2 && v.rekeys() {
			rekeyed = append(rekeyed, v)
		}
	}
}

// rekeys says whether v has a CREATE_CHILD_SA exchange that may be a rekey of itself.
func (v *Conversation) rekeys() bool { return slices.ContainsFunc(v.Messages, (*Message).mayRekey) }

// mayRekey says whether m may be the answer to a rekey of its IKE SA: the first payload inside is
// the new SA.
func (m *Message) mayRekey() bool {
	return m.Exchange == ike.CreateChildSA && m.Kind == exchange.Response && m.FirstInner == ike.PayloadSA
}

func (v *Conversation) rekeyedBefore(next *Conversation) bool {
	for _, m := range v.Messages {
		if m.mayRekey() && m.From != next.Initiator && m.Transmissions()[0].Aligned <= next.First {
			return true
		}
	}
	return false
}

// handover is how long an attempt may go on after the next one began and still count as given up
// for it.
const handover = 1_000_000_000

// linkAttempts relates an attempt that never came to a result to the one that the same side made
// after it, with the same peer: what others try in between is no part of it.
func linkAttempts(all []*Conversation) {
	type attempts struct {
		by   Side
		ends [2]netip.Addr
	}
	last := map[attempts]*Conversation{}
	for _, v := range all {
		if !v.Complete {
			continue
		}
		k := attempts{v.Initiator, v.Between()}
		if p := last[k]; p != nil && !p.settled() && p.Last <= v.First+handover {
			v.Previous, p.Next = p, v
		}
		last[k] = v
	}
}

// settled says whether the conversation came as far as the responder's IKE_AUTH, or Quick Mode.
func (v *Conversation) settled() bool {
	for _, m := range v.Messages {
		if m.Exchange == ike.IKEAuth && m.Kind == exchange.Response || m.Exchange == ike.V1QuickMode {
			return true
		}
	}
	return false
}
