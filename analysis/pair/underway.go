package pair

import (
	"slices"

	"github.com/moncap/moncap/analysis/ike"
)

// jitter is added to every time that a packet may be under way, unknownRTT when nothing tells how long the path is.
const (
	jitter     = 20_000_000
	unknownRTT = 100_000_000
)

// underWay works out how long a packet may be under way, and which captures hold one direction only.
func (j *joiner) underWay() {
	c := j.c
	c.grace = unknownRTT
	if c.Clock != nil && c.Clock.RTT > 0 {
		c.grace = c.Clock.RTT
	}
	slowest := int64(0)
	for _, f := range c.Flows {
		slowest = max(slowest, f.Slow)
	}
	c.grace += slowest + jitter
	for _, s := range Both {
		v := &c.Parties[s].Coverage
		v.Mute = c.lacks(s, s, v.lacksOwn)
		v.Deaf = c.lacks(s, s.Other(), v.lacksOther)
	}
}

// lacks says whether the capture of at holds nothing of what from sent, although that was there to be captured: proven by the other
// capture, or by a negotiation that goes on without a word of from. Who asks goes on from IKE_SA_INIT, or Main Mode message 1, by an
// answer only.
func (c *Case) lacks(at, from Side, proven bool) bool {
	story := c.Story(at)
	if story == nil || story.Counts.Tunnel() == 0 || story.Unreadable > 0 {
		return false
	}
	for m := range c.Messages() {
		v := m.Conversation
		switch {
		case m.Copy(at) == nil || v.Foreign:
		case m.From == from:
			return false
		default:
			began := v.Complete && v.Messages[0].Copy(at) != nil
			proven = proven || began && m.From == v.Initiator && m.SPIr != 0 && negotiates(m.Exchange)
		}
	}
	return proven && !slices.ContainsFunc(c.Flows, func(f *Flow) bool { return f.From == from && f.At[at] != nil && !f.Foreign })
}

func negotiates(x ike.ExchangeType) bool {
	return x == ike.IKEAuth || x == ike.IKEIntermediate || x == ike.V1MainMode || x == ike.V1Aggressive
}

// Between says whether the capture of s holds packets of the tunnel from before and from after two aligned times, with room for the
// time under way: what it lacks in between did not reach it.
func (c *Case) Between(s Side, from, to int64) bool {
	v := &c.Parties[s].Coverage
	return v.From != 0 && c.due(s, from) && c.due(s, to)
}
