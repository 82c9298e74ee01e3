package pair

import (
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
)

// jitter is added to every time that a packet may be under way, unknownRTT when nothing tells how
// long the path is.
const (
	jitter     = 20_000_000
	unknownRTT = 100_000_000
)

// patience works out how long a packet may be under way.
func (j *joiner) patience() {
	c := j.c
	c.grace = unknownRTT
	if c.Clock != nil && c.Clock.RTT > 0 {
		c.grace = c.Clock.RTT
	}
	slowest := int64(0)
	for _, f := range c.Flows {
		f.Slow = f.spread()
		slowest = max(slowest, f.Slow)
	}
	c.grace += slowest + jitter
	if c.Clock != nil {
		c.grace += c.Clock.vague
	}
}

// underway is how long a packet may have been under way that was sent to s, the doubt about when
// that was included.
func (c *Case) underway(s Side) int64 {
	return c.grace + c.Parties[s.Other()].vague
}

// underWay works out which captures hold one direction only.
func (j *joiner) underWay() {
	c := j.c
	for _, s := range Both {
		v := &c.Parties[s].Coverage
		v.Mute = c.lacks(s, s, v.lacksOwn)
		v.Deaf = c.lacks(s, s.Other(), v.lacksOther)
		if v.Deaf {
			c.excuse(s)
		}
	}
}

// excuse takes back that anything towards s was lost: its capture holds nothing that comes in.
func (c *Case) excuse(s Side) {
	for m := range c.Messages() {
		if m.From == s {
			continue
		}
		for _, t := range m.Transmissions() {
			if t.Fate == Lost {
				t.Fate = Unknown
			}
		}
	}
}

// askedBefore is how long before its response a request came at most.
const askedBefore = 2_000_000_000

// lacks says whether the capture of at holds nothing of what from sent, although that was there to
// be captured: proven by the other capture, or by a negotiation that goes on without a word of
// from. Who asks goes on from IKE_SA_INIT, or Main Mode message 1, by an answer only.
func (c *Case) lacks(at, from Side, proven bool) bool {
	story := c.Story(at)
	if story == nil || story.Counts.Tunnel() == 0 || story.Unreadable > 0 {
		return false
	}
	var last *Message // of from's peer, in the conversation of m
	for m := range c.Messages() {
		v := m.Conversation
		switch {
		case m.Copy(at) == nil || v.Foreign:
		case m.From == from:
			return false
		default:
			began := v.Complete && v.Messages[0].Copy(at) != nil
			proven = proven || began && m.From == v.Initiator && m.SPIr != 0 && negotiates(m.Exchange) ||
				last != nil && last.Conversation == v && m.needsWordAfter(last) ||
				m.Kind == exchange.Response && m.Copy(at).Sent()[0].Nanos > story.First+askedBefore
			last = m
		}
	}
	return proven && !slices.ContainsFunc(c.Flows,
		func(f *Flow) bool { return f.From == from && f.At[at] != nil && !f.Foreign })
}

func negotiates(x ike.ExchangeType) bool {
	return x == ike.IKEAuth || x == ike.IKEIntermediate || x == ike.V1MainMode || x == ike.V1Aggressive
}

// needsWordAfter says whether m, which comes after o of the same sender, is only sent when the
// other side has spoken in between: it answers another request than o did, the negotiation's next
// request goes by the answer to the one before, and in IKEv1 the sides speak in turns.
func (m *Message) needsWordAfter(o *Message) bool {
	switch {
	case m.Major() != o.Major() || m.Frag() != nil || o.Frag() != nil || m.Fragments > 0 || o.Fragments > 0:
		return false
	case m.Major() == 1 && m.Exchange == o.Exchange:
		return negotiates(m.Exchange) || m.Exchange == ike.V1QuickMode && m.MessageID == o.MessageID
	case m.Major() == 1: // the last message of Aggressive Mode is the initiator's, who begins Quick Mode
		return m.Exchange == ike.V1QuickMode && (o.Exchange == ike.V1MainMode && o.Encrypted() ||
			o.Exchange == ike.V1Aggressive && o.SPIr != 0 && o.SAv1() != nil)
	case m.Kind == exchange.Response:
		return o.Kind == exchange.Response && m.MessageID != o.MessageID
	}
	return o.Kind == exchange.Request && negotiates(o.Exchange) && m.MessageID > o.MessageID
}

// Between says whether the capture of s holds packets of the tunnel from before and from after two
// aligned times, with room for the time under way: what it lacks in between did not reach it.
func (c *Case) Between(s Side, from, to int64) bool {
	v := &c.Parties[s].Coverage
	return v.From != 0 && c.due(s, from) && c.due(s, to)
}
