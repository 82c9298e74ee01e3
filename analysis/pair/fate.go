package pair

import (
	"cmp"
	"math"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
)

// judgeFates says of every transmission what became of it.
func (j *joiner) judgeFates() {
	c := j.c
	c.began, c.agreed = c.flowStarts(), c.findAgreements() // nothing is known to be lost yet
	for m := range c.Messages() {
		c.arrives[m.From] = c.arrives[m.From] || !m.Conversation.Foreign && m.seenAt(m.From.Other())
	}
	for m := range c.Messages() {
		to := m.From.Other()
		// it arrived, whatever the capture says
		proven := c.Story(to) != nil && !m.seenAt(to) && !m.Conversation.Foreign && c.acknowledgedIn(m, to, m.From)
		for _, t := range m.Transmissions() {
			c.judgeFate(m, t, proven)
		}
		m.settleDuplicates(c)
	}
}

func (c *Case) judgeFate(m *Message, t *Transmission, proven bool) {
	to := m.From.Other()
	t.Fate, t.Missing = Unknown, false
	if t.At[to] != nil {
		t.Fate = Delivered
		return
	}
	if t.Duplicate || c.Story(to) == nil {
		return
	}
	t.Missing = !proven && !m.Conversation.Foreign
	if parts := c.arrivedParts(m, t); parts != nil {
		t.strange = &strange{partial: parts}
	}
	v := &c.Parties[to].Coverage
	end := v.last - c.underway(to) // what is sent later may be under way when the capture ends
	if t.Partial() != nil || c.Clock.Uneven() {
		end = v.last // part of it is there; or how long the path is depends on which clock is believed
	}
	if w := &v.shared[m.From]; w.some && t.Aligned < w.last {
		end = v.last // what was sent behind it arrived
	}
	switch {
	case proven && (!c.Overlap || c.Story(to).Unreadable > 0 || !v.within(to, m.From, t.Aligned, c.acknowledgedIn(m, to))):
	case proven:
		v.unseen(Sight{m.From, *t.Any()}, t.Aligned)
	case !c.Overlap || m.Conversation.Foreign || c.Story(to).Unreadable > 0 || v.hides[t.kind()]:
	// who did not get it would have asked again
	case t.Aligned > v.last && c.lateAlone(m, v.last):
	case t.Aligned > end && c.lateAlone(m, end):
	case c.nearEdge(m, t, v):
	case v.Covers(t.Aligned):
		t.Fate = Lost
	}
}

// nearEdge says whether t is the only sending of what was never asked for again, and it is not
// known to have been sent while the receiver's capture, which holds others of that direction, was
// at work: before its first or behind its last packet, as far as the clocks are known. Its margins
// are for what the peer sees lost, and sends again.
func (c *Case) nearEdge(m *Message, t *Transmission, v *Coverage) bool {
	w := &v.shared[m.From]
	if !c.arrives[m.From] || t.Partial() != nil || c.Untimed() ||
		w.some && w.first <= t.Aligned && t.Aligned <= w.last ||
		v.first+v.vague <= t.Aligned && t.Aligned+c.underway(m.From.Other()) <= v.last {
		return false
	}
	q := m.Answers()
	return m.sentOnce() && (q == nil || q.sentOnce())
}

// sentOnce says whether m was sent no more than once, as far as the captures show.
func (m *Message) sentOnce() bool {
	n := 0
	for _, t := range m.Transmissions() {
		if t.Duplicate {
			continue
		}
		if n++; n > 1 {
			return false // of thousands, each one asks
		}
	}
	return true
}

// lateAlone says whether hardly any sending of m is from after a moment, from which on it may have
// been under way when the capture that should hold it ended: either it is the only one, or others
// arrived before, and these few are no more than what a capture lacks that ends a little earlier.
func (c *Case) lateAlone(m *Message, end int64) bool {
	const few, burst = 2, 100_000_000
	all, late, arrived := 0, 0, false
	next := int64(math.MaxInt64)
	for _, t := range slices.Backward(m.Transmissions()) { // the late ones come last: of many, few are looked at
		if t.Duplicate {
			continue // no sending of its own
		}
		if next-t.Aligned < burst && t.At[m.From.Other()] == nil {
			continue // at the same moment, as one who was busy answers all copies of a request
		}
		next = t.Aligned
		all++
		if t.Aligned > end {
			late++
		}
		if late > few {
			return false
		}
		arrived = arrived || t.At[m.From.Other()] != nil
	}
	return all == 1 || arrived || c.roundMissing(m, end)
}

// roundMissing says whether another fragment of the message that m is a fragment of (RFC 7383)
// arrived before, and as m did not when both were sent again behind the end of the capture.
func (c *Case) roundMissing(m *Message, end int64) bool {
	if m.Fragments <= 1 {
		return false
	}
	last, some := c.summary(m.Conversation).rounds[m.whole()]
	return some && last > end
}

// summary is what is worked out once of all messages of a conversation: each of them asks, and one
// conversation may have a million.
type summary struct {
	of     *Conversation
	rounds map[whole]int64   // see lastRounds
	asked  map[asker]uint32  // see lastAsked
	spoken map[speaker]int64 // see lastSpoken
}

// summary is that of v. It is kept for the conversation that was asked about last.
func (c *Case) summary(v *Conversation) *summary {
	if c.summed.of != v {
		c.summed = summary{v, v.lastRounds(), v.lastAsked(), v.lastSpoken()}
	}
	return &c.summed
}

// asker is who sent requests with a responder's SPI, and whose capture shows them.
type asker struct {
	from, at Side
	spi      ike.SPI // 0: any
}

// lastAsked are the highest message IDs of requests with a responder's SPI.
func (v *Conversation) lastAsked() map[asker]uint32 {
	asked := map[asker]uint32{}
	for _, m := range v.Messages {
		if m.Kind != exchange.Request || m.SPIr == 0 {
			continue
		}
		for _, at := range Both {
			if m.seenAt(at) {
				for _, k := range [2]asker{{m.From, at, 0}, {m.From, at, m.SPIr}} {
					asked[k] = max(asked[k], m.MessageID)
				}
			}
		}
	}
	return asked
}

// speaker is who sent messages of an exchange of IKEv1, and whose capture shows them.
type speaker struct {
	from, at Side
	exchange ike.ExchangeType
	any      bool   // of any message ID
	id       uint32 // else of this one
}

// lastSpoken are when the last such messages were first sent, aligned.
func (v *Conversation) lastSpoken() map[speaker]int64 {
	if v.Version != 1 {
		return nil
	}
	spoken := map[speaker]int64{}
	for _, m := range v.Messages { // which are in order of time
		for _, at := range Both {
			if !m.seenAt(at) {
				continue
			}
			spoken[speaker{m.From, at, m.Exchange, true, 0}] = m.Transmissions()[0].Aligned
			if m.Exchange == ike.V1QuickMode {
				spoken[speaker{m.From, at, m.Exchange, false, m.MessageID}] = m.Transmissions()[0].Aligned
			}
		}
	}
	return spoken
}

// whole is what the fragments of one message share.
type whole struct {
	asks askedKey
	kind exchange.Kind
}

func (m *Message) whole() whole { return whole{m.asks(), m.Kind} }

// lastRounds are, of each message in fragments some of which arrived, when one of these was sent
// for the last time without arriving again, aligned.
func (v *Conversation) lastRounds() map[whole]int64 {
	last := map[whole]int64{}
	for _, m := range v.Messages {
		to := m.From.Other()
		if m.Fragments <= 1 || !m.seenAt(to) {
			continue
		}
		for _, t := range m.Transmissions() {
			if at, some := last[m.whole()]; t.At[to] == nil && (!some || t.Aligned > at) {
				last[m.whole()] = t.Aligned
			}
		}
	}
	return last
}

// unseen notes a packet that arrived and is not in the capture.
func (v *Coverage) unseen(x Sight, at int64) {
	if len(v.UnseenAt) < maxHiddenKept {
		v.UnseenAt = append(v.UnseenAt, x)
	}
	v.Unseen++
	v.lacksOther = v.lacksOther || v.surely(at)
}

// acknowledgedIn says whether the receiver's own later packets prove that m arrived: the answer
// to a request; to an answer of the negotiation, the request of the next exchange, which is
// made of it (RFC 7296, Section 1.2), or ESP by the keys that it agreed on. Only what the
// captures in show counts.
func (c *Case) acknowledgedIn(m *Message, in ...Side) bool {
	shown := func(o *Message) bool { return slices.ContainsFunc(in, func(s Side) bool { return o.Copy(s) != nil }) }
	switch {
	case m.AnsweredBy() != nil && shown(m.AnsweredBy()):
		return true
	case m.Major() == 1:
		return c.goneOnFrom(m, in)
	case m.Kind == exchange.Request:
		return c.goneBeyond(m, in)
	case m.Kind != exchange.Response || m.SPIr == 0:
		return false
	case m.Exchange == ike.IKEAuth && c.sendsESP(m.From.Other(), m, in):
		return true
	case m.Exchange != ike.IKESAInit && m.Exchange != ike.IKEIntermediate && m.Exchange != ike.IKEAuth:
		return false
	}
	return c.asksBeyond(m, m.From.Other(), m.SPIr, in)
}

// goneBeyond says whether who sent m, a request of the negotiation, is shown to have gone on as
// only an answer lets it: with the next request, or with ESP by the keys that were agreed on.
func (c *Case) goneBeyond(m *Message, in []Side) bool {
	if !negotiates(m.Exchange) && m.Exchange != ike.IKESAInit || m.Conversation.Foreign {
		return false
	}
	return m.Exchange == ike.IKEAuth && c.sendsESP(m.From, m, in) ||
		c.asksBeyond(m, m.From, 0, in)
}

// asksBeyond says whether the captures in show a request of s with a higher message ID than that of
// m and the responder's SPI spi; 0 is any.
func (c *Case) asksBeyond(m *Message, s Side, spi ike.SPI, in []Side) bool {
	asked := c.summary(m.Conversation).asked
	return slices.ContainsFunc(in, func(at Side) bool {
		id, some := asked[asker{s, at, spi}]
		return some && id > m.MessageID
	})
}

// goneOnFrom says whether who should get m, of IKEv1, is shown to have gone on from it: in Main,
// Aggressive and Quick Mode the sides speak in turns, and Quick Mode begins when phase 1 is
// complete (RFC 2409, Section 5). Of a fragment it does not tell, which may have come in another
// round; nor without times, for then the order of what only one capture holds is not known.
func (c *Case) goneOnFrom(m *Message, in []Side) bool {
	if m.Frag() != nil || c.Untimed() ||
		m.Exchange != ike.V1MainMode && m.Exchange != ike.V1Aggressive && m.Exchange != ike.V1QuickMode {
		return false
	}
	spoken := c.summary(m.Conversation).spoken
	since := func(k speaker) bool {
		last, some := spoken[k]
		return some && last > m.Transmissions()[0].Aligned
	}
	return slices.ContainsFunc(in, func(at Side) bool {
		k := speaker{m.From.Other(), at, m.Exchange, true, 0}
		if m.Exchange == ike.V1QuickMode {
			k.any, k.id = false, m.MessageID
			return since(k)
		}
		quick := k
		quick.exchange = ike.V1QuickMode
		return since(k) || since(quick)
	})
}

// sendsESP says whether, as the captures in show, s began to send ESP soon after m, of an SA that
// no other IKE SA agreed on since, but for one that m's was replaced by: a later attempt that works
// says nothing of m, and m that refuses brings no ESP.
func (c *Case) sendsESP(s Side, m *Message, in []Side) bool {
	const soon, few = 60_000_000_000, 256
	if m.Kind == exchange.Response && m.Sealed().Refused() == ike.Yes {
		return false
	}
	own := m.Conversation.Origin()
	at := m.Transmissions()[0].Aligned
	return slices.ContainsFunc(in, func(x Side) bool {
		began := c.began[s][x]
		if c.Untimed() {
			return len(began) > 0
		}
		i, _ := slices.BinarySearchFunc(began, at, Start.Compare)
		for _, start := range began[i:min(len(began), i+few)] {
			if start.At >= at+soon {
				break
			}
			last := LastAgreed(c.agreed, start.At)
			if (last == nil || last.At < at || last.By.Origin() == own) && !c.Older(start.Flow, m.Conversation.First) {
				return true
			}
		}
		return false
	})
}

// Start is when a capture shows the first packet of a flow, aligned.
type Start struct {
	At   int64
	Flow *Flow
}

// Compare orders starts by their time, for slices.BinarySearchFunc.
func (s Start) Compare(at int64) int { return cmp.Compare(s.At, at) }

// SortStarts puts starts in order of time.
func SortStarts(all []Start) {
	slices.SortFunc(all, func(x, y Start) int { return cmp.Compare(x.At, y.At) })
}

// flowStarts are, by sender and capture, the flows in the order in which they began.
func (c *Case) flowStarts() (began [2][2][]Start) {
	for _, f := range c.Flows {
		for _, x := range Both {
			if f.At[x] != nil && !f.Foreign {
				began[f.From][x] = append(began[f.From][x], Start{f.start(c), f})
			}
		}
	}
	for _, s := range Both {
		for _, x := range Both {
			SortStarts(began[s][x])
		}
	}
	return began
}

func (m *Message) seenAt(s Side) bool { return m.Copy(s) != nil }

// settleDuplicates tells copies that a capture made from those that the path made: a copy of
// a packet that the side sent itself, or with another TTL or interface than its twin, was
// made by the capture.
func (m *Message) settleDuplicates(c *Case) {
	for _, t := range m.Transmissions() {
		if !t.Duplicate {
			continue
		}
		to := m.From.Other()
		x := t.At[to]
		if x == nil {
			t.CaptureCopy = true
			continue
		}
		t.CaptureCopy = c.Parties[to].copiesOwn
		if t.CopyOf() != nil && t.CopyOf().At[to] != nil {
			twin := t.CopyOf().At[to]
			t.CaptureCopy = t.CaptureCopy || twin.TTL != x.TTL || twin.Interface != x.Interface
		}
	}
}

// arrivedParts returns the frames of a fragmented datagram that the receiver has, when it does not
// have all.
func (c *Case) arrivedParts(m *Message, t *Transmission) []int {
	from, to := m.From, m.From.Other()
	x := t.At[from]
	if x == nil || len(x.Fragments) == 0 {
		return nil
	}
	for _, d := range c.Story(to).Datagrams {
		if d.IPID == x.IPID && distance(c.Aligned(d.First, to), t.Aligned) < longestDelay {
			return d.Frames
		}
	}
	return nil
}
